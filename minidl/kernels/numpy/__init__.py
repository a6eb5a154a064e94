"""Kernels in pure NumPy."""

from minidl.kernels.numpy.chain import norm_relu_conv2d
from minidl.kernels.numpy.columns import col2im, im2col
from minidl.kernels.numpy.convolution import conv2d
from minidl.kernels.numpy.elementwise import accumulate, add_relu, hardswish, relu, sigmoid, silu
from minidl.kernels.numpy.heap import keep_freed_memory
from minidl.kernels.numpy.linear import linear
from minidl.kernels.numpy.loss import cross_entropy
from minidl.kernels.numpy.normalization import batch_norm, channel_moments, norm_relu
from minidl.kernels.numpy.pooling import max_pool2d, sum_pool2d
from minidl.kernels.numpy.special import erf

keep_freed_memory()

__all__ = [
    "accumulate",
    "add_relu",
    "batch_norm",
    "channel_moments",
    "col2im",
    "conv2d",
    "cross_entropy",
    "erf",
    "hardswish",
    "im2col",
    "linear",
    "max_pool2d",
    "norm_relu",
    "norm_relu_conv2d",
    "relu",
    "sigmoid",
    "silu",
    "sum_pool2d",
]
