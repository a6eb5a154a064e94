"""Training with files to show for it: the loop, its checkpoints and curves, and the command line of the examples."""

from minidl.train import command
from minidl.train.comparison import Comparison
from minidl.train.evaluation import DivergedError, evaluate
from minidl.train.record import Record
from minidl.train.trainer import Trainer

__all__ = ["Comparison", "DivergedError", "Record", "Trainer", "command", "evaluate"]
