"""Pooling on CuPy arrays. minidl.kernels.numpy.pooling defines it, pooling.cu has the kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minidl.backend import Array
from minidl.kernels.cupy.columns import col2im
from minidl.kernels.cupy.launch import geometry, launch, strides
from minidl.kernels.numpy.columns import Padding, Pair

Pull = Callable[[Array, Sequence[bool]], tuple[Array]]
"""From the gradient of the pooled map to that of the input, (N, C, P, Q) → (N, C, H, W)."""


def max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, output_size: Pair
) -> tuple[Array, Pull]:
    """The largest entry of every window, (N, C, H, W) → (N, C, P, Q), and the pullback to where it was found.

    Fast because each window is read once and leaves, beside its maximum, the int32 place of the winner; the
    pullback then needs neither x nor atomics: each pixel asks the few windows that cover it whether it won.
    """
    N, C, H, W = x.shape
    windows = geometry(x.shape, output_size, kernel_size, stride, padding, dilation)
    y = np.empty_like(x, order="C", shape=(C, N, *output_size))
    winners = np.empty_like(y, np.int32)
    lowest, outputs = x.dtype.type(-np.inf), output_size[0] * output_size[1]
    launch("pooling", "max_pool2d", x.dtype, N * C, outputs, x, strides(x), y, winners, windows, lowest)

    def pull(g: Array, wanted: Sequence[bool]) -> tuple[Array]:
        dx = np.empty_like(g, order="C", shape=(C, N, H, W))
        launch("pooling", "max_pool2d_pull", g.dtype, N * C, H * W, g, strides(g), winners, dx, windows)
        return (dx.transpose(1, 0, 2, 3),)

    return y.transpose(1, 0, 2, 3), pull


def sum_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Padding, output_size: Pair) -> tuple[Array, Pull]:
    """The sum of every window, (N, C, H, W) → (N, C, P, Q), and the pullback that spreads a gradient over it.

    Fast because one thread a window keeps its sum in a register. The pullback is col2im of the gradient
    repeated I·J times: by strides of zero, never in memory.
    """
    N, C, H, W = x.shape
    P, Q = output_size
    y = np.empty_like(x, order="C", shape=(C, N, P, Q))
    windows = geometry(x.shape, output_size, kernel_size, stride, padding, (1, 1))
    launch("pooling", "sum_pool2d", x.dtype, N * C, P * Q, x, strides(x), y, windows)

    def pull(g: Array, wanted: Sequence[bool]) -> tuple[Array]:
        columns = np.broadcast_to(g[:, :, None, None], (N, C, *kernel_size, P, Q))
        return (col2im(columns, (H, W), kernel_size, stride, padding, (1, 1)),)

    return y.transpose(1, 0, 2, 3), pull
