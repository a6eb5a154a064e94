"""minidl: automatic differentiation and convolutional networks, from scratch, on NumPy or CuPy."""

from minidl import ops

# isort: split
# The ops come first: tensors inherit their methods from them.
from minidl.autograd import backward, definitions, enable_grad, grad, is_grad_enabled, no_grad
from minidl.backend import BackendError
from minidl.creation import arange, eye, from_dlpack, full, ones, ones_like, rand, randn, tensor, zeros, zeros_like
from minidl.ops import *  # noqa: F403  (the ops are the top-level functions, as NumPy's are)
from minidl.random import manual_seed
from minidl.tensor import Tensor

__version__ = "0.1.0"
