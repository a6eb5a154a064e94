"""Pooling: the maximum or the sum of every window of a feature map. Results are channel-major."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from minidl.kernels.common.layout import tiles
from minidl.kernels.numpy.columns import Overlap, Padding, Pair, overlaps

Pull = Callable[[np.ndarray, Sequence[bool]], tuple[np.ndarray]]
"""From the gradient of the pooled map to that of the input, (N, C, P, Q) → (N, C, H, W)."""

TILE = 1 << 18
"""Entries of windows to work on at a time: 1 MB of float32, what one core's cache holds."""


def max_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, output_size: Pair
) -> tuple[np.ndarray, Pull]:
    """The largest entry of every window, (N, C, H, W) → (N, C, P, Q), and the pullback to where it was found.

        y[n, c, p, q] = max over i, j of x[n, c, p·stride₀ + i·dilation₀ - top, q·stride₁ + j·dilation₁ - left]

    Of equal entries the first in row-major order wins; a NaN beats every number, and the last NaN wins, as
    in PyTorch. Padding never wins: a window that sees nothing else gives -inf and passes no gradient on.

    Fast because a tile of windows is unfolded once, with I·J strided copies, and everything else reads these
    in cache, at vector speed. A byte a window is kept for the pullback: how many entries precede the winner.
    """
    (N, C, H, W), (P, Q) = x.shape, output_size
    rows = overlaps(H, P, kernel_size[0], stride[0], padding[0][0], dilation[0])
    cols = overlaps(W, Q, kernel_size[1], stride[1], padding[1][0], dilation[1])
    entries = list(product(rows, cols))
    y = np.empty((C, N, P, Q), x.dtype)
    winners = np.zeros((C, N, P, Q), np.min_scalar_type(len(entries)))
    source, plane = x.transpose(1, 0, 2, 3), len(entries) * P * Q
    for c in tiles(C, N * plane, TILE):
        for n in tiles(N, (c.stop - c.start) * plane, TILE):
            _largest(source[c, n], entries, y[c, n], winners[c, n])

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray]:
        (i, j), (p, q) = np.ogrid[: kernel_size[0], : kernel_size[1]], np.ogrid[:P, :Q]
        corners = (p * stride[0] - padding[0][0]) * W + q * stride[1] - padding[1][0]
        steps = i * dilation[0] * W + j * dilation[1]
        places = np.append(steps, 0)[winners]
        places += (np.arange(C * N) * (H * W)).reshape(C, N, 1, 1) + corners
        places[winners == len(entries)] = C * N * H * W
        dx = np.zeros(C * N * H * W + 1, g.dtype)  # the last element takes what belongs to nobody
        np.add.at(dx, places.ravel(), g.transpose(1, 0, 2, 3).ravel())
        return (dx[:-1].reshape(C, N, H, W).transpose(1, 0, 2, 3),)

    return y.transpose(1, 0, 2, 3), pull


def _largest(x: np.ndarray, entries: list[tuple[Overlap, Overlap]], y: np.ndarray, winners: np.ndarray) -> None:
    """Fill y with the maxima of the windows of x, all (C, N, ...), and winners, zeros so far, with their numbers."""
    unfolded = np.full((len(entries), *y.shape), -np.inf, x.dtype)
    for entry, ((p, h), (q, w)) in zip(unfolded, entries, strict=True):
        entry[:, :, p, q] = x[:, :, h, w]
    np.maximum.reduce(unfolded, axis=0, out=y)
    before = np.ones(y.shape, bool)  # is the winner yet to come?
    for entry in unfolded:
        before &= entry != y
        winners += before
    if not np.isfinite(y).all():  # NaN, which equals nothing, or -inf, which equals the padding
        first = np.full(y.shape[2:], len(entries))
        for k, ((p, _), (q, _)) in reversed(list(enumerate(entries))):
            first[p, q] = k
        np.copyto(winners, first, where=y == -np.inf, casting="unsafe")
        for k, entry in enumerate(unfolded):
            np.copyto(winners, k, where=np.isnan(entry))


def sum_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, output_size: Pair
) -> tuple[np.ndarray, Pull]:
    """The sum of every window, (N, C, H, W) → (N, C, P, Q), and the pullback that spreads a gradient over it.

        y[n, c, p, q] = Σ over i, j of x[n, c, p·stride₀ + i - top, q·stride₁ + j - left], padding counting 0

    Fast because a sum over a rectangle is a sum down and then a sum across: I + J additions of slices instead
    of I·J, and the J that are strided touch P rows instead of H. The pullback goes the same way back.
    """
    (N, C, H, W), (P, Q) = x.shape, output_size
    rows = overlaps(H, P, kernel_size[0], stride[0], padding[0][0], 1)
    cols = overlaps(W, Q, kernel_size[1], stride[1], padding[1][0], 1)
    source = x.transpose(1, 0, 2, 3)
    down, y = np.zeros((C, N, P, W), x.dtype), np.zeros((C, N, P, Q), x.dtype)
    for p, h in rows:
        down[:, :, p] += source[:, :, h]
    for q, w in cols:
        y[..., q] += down[..., w]

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray]:
        g = g.transpose(1, 0, 2, 3)
        across, dx = np.zeros((C, N, P, W), g.dtype), np.zeros((C, N, H, W), g.dtype)
        for q, w in cols:
            across[..., w] += g[..., q]
        for p, h in rows:
            dx[:, :, h] += across[:, :, p]
        return (dx.transpose(1, 0, 2, 3),)

    return y.transpose(1, 0, 2, 3), pull
