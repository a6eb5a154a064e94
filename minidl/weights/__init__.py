"""Weights from files of other libraries, read without running what is in them, and files that other libraries read."""

from minidl.weights.load import LoadedWeights, load_weights, save_weights
from minidl.weights.stored import WeightsError

__all__ = ["LoadedWeights", "WeightsError", "load_weights", "save_weights"]
