"""Kernels in pure NumPy."""

from minidl.kernels.common.convolution import Convolution
from minidl.kernels.common.normalization import Normalization
from minidl.kernels.numpy import columns
from minidl.kernels.numpy.columns import col2im, im2col
from minidl.kernels.numpy.pooling import max_pool2d, sum_pool2d
from minidl.kernels.numpy.special import erf

conv2d = Convolution(columns, budget=1 << 20)  # 4 MB of float32: a core's share of the last cache
_normalization = Normalization(budget=1 << 16)  # 256 KB of float32: a core's own cache
channel_moments, batch_norm = _normalization.channel_moments, _normalization.batch_norm

__all__ = ["batch_norm", "channel_moments", "col2im", "conv2d", "erf", "im2col", "max_pool2d", "sum_pool2d"]
