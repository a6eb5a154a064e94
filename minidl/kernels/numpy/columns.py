"""im2col and col2im: a feature map as the matrix of its windows, and that matrix summed back into a map."""

from __future__ import annotations

from itertools import product

import numpy as np

Pair = tuple[int, int]
"""Vertical, horizontal."""
Padding = tuple[Pair, Pair]
"""(top, bottom), (left, right)."""
Overlap = tuple[slice, slice]
"""Along one axis: windows, and where in the input they find one of their entries."""


def output_size(size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Pair:
    """How many windows fit each way: (size + padding - dilation·(kernel - 1) - 1) // stride + 1."""
    padded = [length + sum(pads) for length, pads in zip(size, padding, strict=True)]
    reach = [step * (length - 1) + 1 for length, step in zip(kernel_size, dilation, strict=True)]
    if padded[0] < reach[0] or padded[1] < reach[1]:
        raise ValueError(
            f"a window that spans {reach[0]}x{reach[1]} pixels does not fit a padded input of "
            f"{padded[0]}x{padded[1]}: use a smaller kernel or dilation, or more padding"
        )
    return (padded[0] - reach[0]) // stride[0] + 1, (padded[1] - reach[1]) // stride[1] + 1


def overlaps(size: int, windows: int, kernel: int, stride: int, before: int, dilation: int) -> list[Overlap]:
    """For each entry i of a kernel along one axis: which windows find it inside the input, and where.

    Window p finds its entry i at p·stride + i·dilation - before; these are the slices of p and of places.
    """
    found = []
    for i in range(kernel):
        shift = i * dilation - before
        first = max(0, -(shift // stride))
        count = max(0, min(windows, (size - 1 - shift) // stride + 1) - first)
        begin = first * stride + shift
        found.append((slice(first, first + count), slice(begin, begin + count * stride, stride)))
    return found


def im2col(x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> np.ndarray:
    """The windows of x: (N, C, H, W) → (N, C, I, J, P, Q), zeros where a window reaches beyond x.

        columns[n, c, i, j, p, q] = x[n, c, p·stride₀ + i·dilation₀ - top, q·stride₁ + j·dilation₁ - left]

    In memory the order is C I J N P Q: the (C·I·J, N·P·Q) matrix that a convolution multiplies is a view.

    Fast because it is one copy, of a view in which every window stands beside the next.
    """
    P, Q = output_size(x.shape[2:], kernel_size, stride, padding, dilation)
    if any(map(any, padding)):
        x = np.pad(x, ((0, 0), (0, 0), *padding))
    N, C, *_ = x.shape
    sn, sc, sh, sw = x.strides
    windows = np.lib.stride_tricks.as_strided(
        x,
        (C, *kernel_size, N, P, Q),
        (sc, sh * dilation[0], sw * dilation[1], sn, sh * stride[0], sw * stride[1]),
        writeable=False,
    )
    return windows.copy().transpose(3, 0, 1, 2, 4, 5)


def col2im(
    columns: np.ndarray, size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> np.ndarray:
    """The adjoint of im2col: (N, C, I, J, P, Q) → (N, C, H, W), channel-major.

        x[n, c, h, w] = Σ columns[n, c, i, j, p, q] over all i, j, p, q
                        with p·stride₀ + i·dilation₀ - top = h and q·stride₁ + j·dilation₁ - left = w

    Fast for im2col's reason: I·J additions of slices, and what falls on the padding is never read.
    """
    N, C, _, _, P, Q = columns.shape
    x = np.zeros((C, N, *size), columns.dtype)
    rows = overlaps(size[0], P, kernel_size[0], stride[0], padding[0][0], dilation[0])
    cols = overlaps(size[1], Q, kernel_size[1], stride[1], padding[1][0], dilation[1])
    source = columns.transpose(1, 2, 3, 0, 4, 5)
    for (i, (p, h)), (j, (q, w)) in product(enumerate(rows), enumerate(cols)):
        part = x[:, :, h, w]
        np.add(part, source[:, i, j, :, p, q], out=part)  # += would also copy the part onto itself
    return x.transpose(1, 0, 2, 3)
