"""Pooling: one number for every window of an image, or for every part of a grid laid over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.nn.functional.geometry import Padding, Pair, image_size, pair, window_count
from minidl.ops import accelerated, as_tensors, im2col, mean, pad, reshape, stack
from minidl.ops import max as largest
from minidl.ops import sum as total
from minidl.tensor import Tensor

Ints = int | Sequence[int]


def max_pool2d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest element of each window of x (N, C, H, W); of equals the first one, row by row, gets the gradient.

    The stride is the kernel's size unless given. `ceil_mode` also takes the windows that hang over the far edges.
    """
    (x,) = as_tensors("max_pool2d", [x])
    size = image_size("max_pool2d", x.shape)
    kernel, step, widths = _windows("max_pool2d", kernel_size, stride, padding)
    spread = pair("max_pool2d", "dilation", dilation)
    if ceil_mode:
        widths = _overhang(size, kernel, step, widths, spread)
    count = window_count("max_pool2d", size, kernel, step, widths, spread)
    return _max_pool2d(x, kernel, step, widths, spread, count)


@accelerated(by="max_pool2d")
def _max_pool2d(
    x: Tensor, /, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, output_size: Pair
) -> Tensor:
    bordered = pad(x, ((0, 0), (0, 0), *padding), value=-np.inf)
    windows = im2col(bordered, kernel_size, stride, ((0, 0), (0, 0)), dilation)
    n, c, i, j, p, q = windows.shape
    return largest(reshape(windows, n, c, i * j, p, q), axis=2).values


def avg_pool2d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window of x (N, C, H, W): Σ / count, where count may or may not include the padding.

    What `ceil_mode` adds beyond the padding never counts. `divisor_override` takes a number in place of the count.
    """
    (x,) = as_tensors("avg_pool2d", [x])
    size = image_size("avg_pool2d", x.shape)
    kernel, step, border = _windows("avg_pool2d", kernel_size, stride, padding)
    widths = _overhang(size, kernel, step, border, (1, 1)) if ceil_mode else border
    count = window_count("avg_pool2d", size, kernel, step, widths)
    sums = _sum_pool2d(x, kernel, step, widths, count)
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError("avg_pool2d: divisor_override must not be 0")
        return sums / divisor_override
    down, across = (
        _valid_counts(n, k, s, pads, m, count_include_pad)
        for n, k, s, pads, m in zip(size, kernel, step, border, count, strict=True)
    )
    counts = np.outer(down, across)
    if (counts == counts[0, 0]).all():
        return sums / int(counts[0, 0])
    return sums / np.asarray(counts, like=x.data).astype(x.dtype)


@accelerated(by="sum_pool2d")
def _sum_pool2d(x: Tensor, /, kernel_size: Pair, stride: Pair, padding: Padding, output_size: Pair) -> Tensor:
    return total(im2col(x, kernel_size, stride, padding, (1, 1)), axis=(2, 3))


def adaptive_avg_pool2d(x: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """The averages over a grid of any size laid over x (N, C, H, W): cell i spans ⌊i·H/P⌋ to ⌈(i + 1)·H/P⌉.

    None keeps that length. The average over a rectangle is that over its rows, then over its columns.
    """
    (x,) = as_tensors("adaptive_avg_pool2d", [x])
    down, across = _grid("adaptive_avg_pool2d", x, output_size)
    if len(down) == len(across) == 1:
        return global_avg_pool2d(x)
    height, width = x.shape[2:]
    if height % len(down) == width % len(across) == 0:  # the cells are windows side by side
        kernel = (height // len(down), width // len(across))
        return x if kernel == (1, 1) else avg_pool2d(x, kernel)
    rows = stack([mean(x[:, :, top:bottom], axis=2) for top, bottom in down], axis=2)
    return stack([mean(rows[..., left:right], axis=3) for left, right in across], axis=3)


def adaptive_max_pool2d(x: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """The largest elements over a grid laid over x (N, C, H, W), with the cells of `adaptive_avg_pool2d`.

    Of equals the first one, row by row, gets the gradient: the first in each row, then the first of these.
    """
    (x,) = as_tensors("adaptive_max_pool2d", [x])
    down, across = _grid("adaptive_max_pool2d", x, output_size)
    columns = stack([largest(x[..., left:right], axis=3).values for left, right in across], axis=3)
    return stack([largest(columns[:, :, top:bottom], axis=2).values for top, bottom in down], axis=2)


def global_avg_pool2d(x: Tensor) -> Tensor:
    """The average of each channel of x (N, C, H, W), as (N, C, 1, 1). (Lin et al., arXiv:1312.4400, section 3.2.)"""
    (x,) = as_tensors("global_avg_pool2d", [x])
    image_size("global_avg_pool2d", x.shape)
    return mean(x, axis=(2, 3), keepdims=True)


def _windows(op: str, kernel_size: Ints, stride: Ints | None, padding: Ints) -> tuple[Pair, Pair, Padding]:
    kernel = pair(op, "kernel_size", kernel_size)
    step = kernel if stride is None else pair(op, "stride", stride)
    vertical, horizontal = pair(op, "padding", padding, least=0)
    if vertical > kernel[0] // 2 or horizontal > kernel[1] // 2:
        raise ValueError(f"{op}: padding {padding} must be at most half of kernel_size {kernel}")
    return kernel, step, ((vertical, vertical), (horizontal, horizontal))


def _overhang(size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Padding:
    """The padding that also admits the last windows which start inside the image or the padding before it."""

    def longer(n: int, k: int, s: int, pads: Pair, d: int) -> Pair:
        room = n + sum(pads) - d * (k - 1) - 1
        count = -(-room // s) + 1
        if (count - 1) * s >= n + pads[0]:
            count -= 1
        return pads[0], max(pads[1], pads[1] + (count - 1) * s - room)

    vertical, horizontal = (longer(*axis) for axis in zip(size, kernel, stride, padding, dilation, strict=True))
    return vertical, horizontal


def _valid_counts(n: int, kernel: int, stride: int, pads: Pair, windows: int, include_padding: bool) -> np.ndarray:
    """How many elements along one axis each window averages over."""
    start = np.arange(windows) * stride - pads[0]
    end = np.minimum(start + kernel, n + pads[1])
    return end - start if include_padding else np.minimum(end, n) - np.maximum(start, 0)


def _grid(op: str, x: Tensor, output_size: int | Sequence[int | None]) -> list[list[Pair]]:
    size = image_size(op, x.shape)
    lengths: Any = output_size
    if isinstance(lengths, Sequence) and len(lengths) == 2:
        lengths = tuple(n if p is None else p for n, p in zip(size, lengths, strict=True))
    lengths = pair(op, "output_size", lengths)
    if min(size) < 1:
        raise ValueError(f"{op}: x of shape {x.shape} has no elements to pool")
    return [[(i * n // p, -(-(i + 1) * n // p)) for i in range(p)] for n, p in zip(size, lengths, strict=True)]
