"""Kernels in pure NumPy."""

from minidl.kernels.numpy.columns import col2im, im2col
from minidl.kernels.numpy.pooling import max_pool2d, sum_pool2d
from minidl.kernels.numpy.special import erf

__all__ = ["col2im", "erf", "im2col", "max_pool2d", "sum_pool2d"]
