"""Kernels on CuPy arrays, in CUDA C++ or CuPy's own functions. See minidl.kernels.numpy for what each computes."""

from minidl.kernels.common.convolution import Convolution
from minidl.kernels.common.normalization import Normalization
from minidl.kernels.cupy import columns
from minidl.kernels.cupy.columns import col2im, im2col
from minidl.kernels.cupy.elementwise import accumulate
from minidl.kernels.cupy.linear import linear
from minidl.kernels.cupy.pooling import max_pool2d, sum_pool2d
from minidl.kernels.cupy.special import erf

# 256 MB of float32: enough work for one launch on the largest device, and a small part of 8 GB with two tiles alive.
BUDGET = 1 << 26

conv2d = Convolution(columns, budget=BUDGET)
_normalization = Normalization(budget=BUDGET)
channel_moments, batch_norm = _normalization.channel_moments, _normalization.batch_norm

__all__ = [
    "accumulate",
    "batch_norm",
    "channel_moments",
    "col2im",
    "conv2d",
    "erf",
    "im2col",
    "linear",
    "max_pool2d",
    "sum_pool2d",
]
