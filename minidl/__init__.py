"""minidl: automatic differentiation and convolutional networks, from scratch, on NumPy or CuPy."""

from minidl import core_type  # noqa: F401  (imports NumPy, with a say in the kernels that OpenBLAS takes)

# isort: split
# Nothing may import NumPy before.
from minidl import ops

# isort: split
# The ops come first: tensors inherit their methods from them.
from minidl import nn, optim
from minidl.autograd import backward, grad
from minidl.backend import BackendError
from minidl.config import show_config
from minidl.creation import arange, eye, from_dlpack, full, ones, ones_like, rand, randn, tensor, zeros, zeros_like
from minidl.kernels.numpy.parallel import get_num_threads, set_num_threads
from minidl.mode import definitions, enable_grad, is_grad_enabled, no_grad
from minidl.ops import *  # noqa: F403  (the ops are top-level functions, as NumPy's are)
from minidl.overview import summary
from minidl.profiler import profile
from minidl.random import manual_seed
from minidl.tensor import Tensor
from minidl.weights import load_weights, save_weights

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "Tensor",
    "arange",
    "backward",
    "definitions",
    "enable_grad",
    "eye",
    "from_dlpack",
    "full",
    "get_num_threads",
    "grad",
    "is_grad_enabled",
    "load_weights",
    "manual_seed",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "profile",
    "rand",
    "randn",
    "save_weights",
    "set_num_threads",
    "show_config",
    "summary",
    "tensor",
    "zeros",
    "zeros_like",
]
__all__ += ops.__all__
