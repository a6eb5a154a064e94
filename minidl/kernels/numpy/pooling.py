"""Pooling: the maximum or the sum of every window of a feature map. Results are channel-major.

Both go down first and then across: what a window says of its columns is summarised from what each column says of its
rows, in I + J steps instead of I·J, and those that stride through memory touch P rows instead of H. Tiles of planes
go through all steps while they are in the cache, on all threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from minidl.kernels.common.slices import tiles
from minidl.kernels.numpy.columns import Overlap, Padding, Pair, overlaps
from minidl.kernels.numpy.parallel import parallel, scratch

Pull = Callable[[np.ndarray, Sequence[bool]], tuple[np.ndarray]]
"""From the gradient of the pooled map to that of the input, (N, C, P, Q) → (N, C, H, W)."""
Place = tuple[slice, slice]
"""Some channels of some images."""

TILE = 1 << 17
"""Entries of the input to work on at a time: half a MB of float32, what one core's cache holds."""


def max_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, output_size: Pair
) -> tuple[np.ndarray, Pull]:
    """The largest entry of every window, (N, C, H, W) → (N, C, P, Q), and the pullback to where it was found.

        y[n, c, p, q] = max over i, j of x[n, c, p·stride₀ + i·dilation₀ - top, q·stride₁ + j·dilation₁ - left]

    Of equal entries the first in row-major order wins; a NaN beats every number, and the last NaN wins, as
    in PyTorch. Padding never wins: a window that sees nothing else gives -inf and passes no gradient on.

    A byte a window is kept for the pullback, the winner's number i·J + j.
    """
    (N, C, H, W), (P, Q) = x.shape, output_size
    rows = Axis(H, P, kernel_size[0], stride[0], padding[0][0], dilation[0])
    columns = Axis(W, Q, kernel_size[1], stride[1], padding[1][0], dilation[1])
    y = np.empty((C, N, P, Q), x.dtype)
    winners = np.empty((C, N, P, Q), np.min_scalar_type(rows.kernel * columns.kernel))
    source, places = x.transpose(1, 0, 2, 3), _places(C, N, H * W)
    parallel(lambda at: _largest(source[at], rows, columns, y[at], winners[at]), places)

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray]:
        (i, j), (p, q) = np.ogrid[: kernel_size[0], : kernel_size[1]], np.ogrid[:P, :Q]
        steps = np.append(i * dilation[0] * W + j * dilation[1], 0)
        corners = (p * stride[0] - padding[0][0]) * W + q * stride[1] - padding[1][0]
        planes = np.arange(max((winners[at].size for at in places), default=0) // max(P * Q, 1))
        origins = np.ravel(planes[:, None] * (H * W) + corners.ravel())
        dx, upstream = np.empty((C, N, H, W), g.dtype), g.transpose(1, 0, 2, 3)
        parallel(lambda at: _scatter(upstream[at], winners[at], steps, origins, dx[at]), places)
        return (dx.transpose(1, 0, 2, 3),)

    return y.transpose(1, 0, 2, 3), pull


class Axis(NamedTuple):
    """How windows lie along one axis of the input."""

    size: int
    windows: int
    kernel: int
    stride: int
    before: int
    dilation: int

    @property
    def reach(self) -> int:
        """How far a window's last entry is from its first."""
        return (self.kernel - 1) * self.dilation

    @property
    def length(self) -> int:
        """How long all windows together are, in whole strides."""
        return -(-((self.windows - 1) * self.stride + self.reach + 1) // self.stride) * self.stride

    @property
    def inside(self) -> tuple[slice, slice]:
        """What of this length is input and no padding: where it is there, and where in the input."""
        end = min(self.before + self.size, self.length)
        return slice(self.before, end), slice(0, end - self.before)

    def overlaps(self) -> list[Overlap]:
        """For each entry of the kernel, which windows find it inside the input, and where."""
        return overlaps(self.size, self.windows, self.kernel, self.stride, self.before, self.dilation)


def _largest(x: np.ndarray, rows: Axis, columns: Axis, y: np.ndarray, winners: np.ndarray) -> None:
    """Fill y with the maxima of the windows of x, all (C, N, ...), and winners with their numbers.

    With as many columns as whole strides have, each entry of all windows, in all rows of all planes, is one long slice.
    """
    image = _bordered(x, rows, columns)
    planes, step = y.shape[:2], columns.stride
    tall = scratch("tall", (planes[0] * planes[1] * rows.windows * columns.length + columns.reach,), x.dtype)
    row = scratch("row", tall.shape, winners.dtype)
    shape = (*planes, rows.windows, columns.length)
    _largest_of_columns(image, rows, columns.kernel, *(flat[: math.prod(shape)].reshape(shape) for flat in (tall, row)))
    end = math.prod(shape) - step + 1
    champion, number = tall[:end:step].copy(), row[:end:step].copy()
    for j in range(1, columns.kernel):
        entry = slice(j * columns.dilation, j * columns.dilation + end, step)
        challenger, its_number = np.ascontiguousarray(tall[entry]), np.ascontiguousarray(row[entry])
        _challenge(champion, number, challenger, its_number + row.dtype.type(j))
    y[...] = champion.reshape(*y.shape[:3], -1)[..., : y.shape[3]]
    winners[...] = number.reshape(*y.shape[:3], -1)[..., : y.shape[3]]
    if not np.isfinite(y).all():  # NaN, which equals nothing, or -inf, which equals the padding
        _settle(x, rows, columns, y, winners)


def _bordered(x: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """x as high and as wide as all windows together, with a border of -inf."""
    if (rows.inside[0], columns.inside[0]) == (slice(0, rows.length), slice(0, columns.length)):
        return x[:, :, rows.inside[1], columns.inside[1]]
    bordered = scratch("bordered", (*x.shape[:2], rows.length, columns.length), x.dtype)
    bordered.fill(-np.inf)
    bordered[:, :, rows.inside[0], columns.inside[0]] = x[:, :, rows.inside[1], columns.inside[1]]
    return bordered


def _largest_of_columns(x: np.ndarray, rows: Axis, weight: int, tall: np.ndarray, row: np.ndarray) -> None:
    """Fill tall with the maxima of windows as wide as a pixel, and row with `weight` times their first row's number."""
    last = (rows.windows - 1) * rows.stride + 1
    np.copyto(tall, x[:, :, : last : rows.stride])
    row.fill(0)
    for i in range(1, rows.kernel):
        challenger = scratch("challenger", tall.shape, tall.dtype)  # in one piece, for two fast calls
        np.copyto(challenger, x[:, :, i * rows.dilation : i * rows.dilation + last : rows.stride])
        wins = np.greater(challenger, tall, out=scratch("wins", tall.shape, bool))
        np.maximum(tall, challenger, out=tall)
        np.maximum(row, _number(wins, row.dtype) * row.dtype.type(i * weight), out=row)


def _challenge(champion: np.ndarray, number: np.ndarray, challenger: np.ndarray, its_number: np.ndarray) -> None:
    """Let the larger win, and among equals the smaller number.

    Bytes move ten times as fast as `where` chooses: all ones for a number that is not to be the smaller one.
    """
    its_number |= _number(challenger >= champion, number.dtype) - number.dtype.type(1)
    number |= np.negative(_number(challenger > champion, number.dtype))
    np.minimum(number, its_number, out=number)
    np.maximum(champion, challenger, out=champion)


def _number(answers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Booleans as 0 and 1."""
    return answers.view(np.uint8).astype(dtype, copy=False)


def _settle(x: np.ndarray, rows: Axis, columns: Axis, y: np.ndarray, winners: np.ndarray) -> None:
    """The winners where the maximum is -inf, the first entry that is no padding, and NaN, the last one."""
    entries = list(enumerate(product(rows.overlaps(), columns.overlaps())))
    first = np.full(y.shape[2:], len(entries))
    for k, ((p, _), (q, _)) in reversed(entries):
        first[p, q] = k
    np.copyto(winners, first, where=y == -np.inf, casting="unsafe")
    for k, ((p, h), (q, w)) in entries:
        np.copyto(winners[:, :, p, q], k, where=np.isnan(x[:, :, h, w]))


def _scatter(g: np.ndarray, winners: np.ndarray, steps: np.ndarray, origins: np.ndarray, dx: np.ndarray) -> None:
    """Fill dx with the sum of what the windows pass on, each to its winner."""
    places = scratch("places", (winners.size,), np.intp)
    np.copyto(places, winners.reshape(-1))
    np.take(steps, places, out=places, mode="clip")
    places += origins[: winners.size]
    upstream = g.reshape(-1)
    if (winners == len(steps) - 1).any():
        somebody = winners.reshape(-1) < len(steps) - 1
        places, upstream = places[somebody], upstream[somebody]
    dx.fill(0)
    np.add.at(dx.reshape(-1), places, upstream)


def sum_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, output_size: Pair
) -> tuple[np.ndarray, Pull]:
    """The sum of every window, (N, C, H, W) → (N, C, P, Q), and the pullback that spreads a gradient over it.

    y[n, c, p, q] = Σ over i, j of x[n, c, p·stride₀ + i - top, q·stride₁ + j - left], padding counting 0
    """
    (N, C, H, W), (P, Q) = x.shape, output_size
    rows = overlaps(H, P, kernel_size[0], stride[0], padding[0][0], 1)
    columns = overlaps(W, Q, kernel_size[1], stride[1], padding[1][0], 1)
    y = np.empty((C, N, P, Q), x.dtype)
    source, places = x.transpose(1, 0, 2, 3), _places(C, N, H * W)

    def add(at: Place) -> None:
        tall = scratch("tall", (*y[at].shape[:3], W), x.dtype)
        _accumulate(tall.swapaxes(2, 3), source[at].swapaxes(2, 3), rows)
        _accumulate(y[at], tall, columns)

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray]:
        upstream, dx = g.transpose(1, 0, 2, 3), np.empty((C, N, H, W), g.dtype)

        def spread(at: Place) -> None:
            tall = scratch("tall", (*upstream[at].shape[:3], W), g.dtype)
            _accumulate(tall, upstream[at], [(w, q) for q, w in columns])
            _accumulate(dx[at].swapaxes(2, 3), tall.swapaxes(2, 3), [(h, p) for p, h in rows])

        parallel(spread, places)
        return (dx.transpose(1, 0, 2, 3),)

    parallel(add, places)
    return y.transpose(1, 0, 2, 3), pull


def _accumulate(y: np.ndarray, x: np.ndarray, overlaps: list[Overlap]) -> None:
    """Fill y with the sums of slices of x along the last axis: y[..., there] += x[..., here] for each pair."""
    everywhere = slice(0, y.shape[-1])
    if _cover(overlaps, y.shape[-1]):
        for there, here in overlaps:
            y[..., there] = x[..., here]
    elif len(overlaps) > 1 and overlaps[0][0] == overlaps[1][0] == everywhere:
        np.add(x[..., overlaps[0][1]], x[..., overlaps[1][1]], out=y)
        for there, here in overlaps[2:]:
            np.add(y[..., there], x[..., here], out=y[..., there])
    else:
        y.fill(0)
        for there, here in overlaps:
            np.add(y[..., there], x[..., here], out=y[..., there])


def _cover(overlaps: list[Overlap], size: int) -> bool:
    """Whether every place is in one of the slices, and in one only."""
    places = np.zeros(size, int)
    for there, _ in overlaps:
        places[there] += 1
    return bool((places == 1).all())


def _places(channels: int, images: int, plane: int) -> list[Place]:
    """A feature map in tiles."""
    return [
        (c, n) for c in tiles(channels, images * plane, TILE) for n in tiles(images, (c.stop - c.start) * plane, TILE)
    ]
