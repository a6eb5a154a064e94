"""Kernels on CuPy arrays, in CUDA C++. See minidl.kernels.numpy for what each computes."""

from minidl.kernels.cupy.columns import col2im, im2col
from minidl.kernels.cupy.pooling import max_pool2d, sum_pool2d

__all__ = ["col2im", "im2col", "max_pool2d", "sum_pool2d"]
