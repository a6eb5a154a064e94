"""im2col and col2im on CuPy arrays. minidl.kernels.numpy.columns defines them, columns.cu has the kernels.

Any strides are read as they are: nothing is copied first. Outputs are made with `np.empty_like`, which CuPy
answers for its own arrays.
"""

from __future__ import annotations

import numpy as np

from minidl.backend import Array
from minidl.kernels.cupy.launch import geometry, launch, strides
from minidl.kernels.numpy.columns import Padding, Pair, output_size


def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Array:
    """The windows of x: (N, C, H, W) → (N, C, I, J, P, Q), in memory C I J N P Q, zeros beyond x.

    Fast because a thread makes all I·J entries of its window: the divisions that find its place are paid
    once, a warp writes whole lines of each of the I·J matrices, and what is read again comes from the cache.
    """
    N, C, H, W = x.shape
    P, Q = output_size((H, W), kernel_size, stride, padding, dilation)
    columns = np.empty_like(x, order="C", shape=(C, *kernel_size, N, P, Q))
    windows = geometry(x.shape, (P, Q), kernel_size, stride, padding, dilation)
    launch("columns", "im2col", x.dtype, N * C, P * Q, x, strides(x), columns, windows)
    return columns.transpose(3, 0, 1, 2, 4, 5)


def col2im(columns: Array, size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Array:
    """The adjoint of im2col: (N, C, I, J, P, Q) → (N, C, H, W), channel-major.

    Fast because each pixel gathers what it is owed: one write a pixel, no zeroing first, no atomics; and the
    sum is taken in the same order in every run.
    """
    N, C, _, _, P, Q = columns.shape
    x = np.empty_like(columns, order="C", shape=(C, N, *size))
    windows = geometry((N, C, *size), (P, Q), kernel_size, stride, padding, dilation)
    launch("columns", "col2im", x.dtype, N * C, size[0] * size[1], columns, strides(columns), x, windows)
    return x.transpose(1, 0, 2, 3)
