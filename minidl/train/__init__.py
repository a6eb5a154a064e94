"""Training with files to show for it: the loop, its checkpoints and curves, and the command line of the examples."""

from minidl.train import command
from minidl.train.record import Record
from minidl.train.trainer import DivergedError, Trainer, evaluate

__all__ = ["DivergedError", "Record", "Trainer", "command", "evaluate"]
