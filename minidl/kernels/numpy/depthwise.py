"""Depthwise convolution: each channel with a small kernel of its own, as products with banded matrices.

A row of the result is the sum, over the kernel's rows i, of a row of the image times a matrix that is zero but for a
band, which holds the kernel's row i:

    y[n, c, p, :] = Σ_i x[n, c, s₀·p + d₀·i - top, :] · B_i[c],   B_i[c][w, q] = W[c, i, j] where w = s₁·q + d₁·j - left

Most of the numbers in B_i are zeros, and yet BLAS is through faster than NumPy with a multiplication and an addition
for each element of the kernel, if B_i is cut in blocks of 16 columns, of which each needs few rows. Nothing is padded
nor laid out in memory anew, strides and dilations are a matter of where the band is, and one call does all images of
a channel. A small plane is taken as one row: then one product does it all. The gradients are the same products
transposed.

(A NaN or infinity in the image spoils the rest of its block: it is multiplied by zeros.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from minidl.kernels.common.slices import evenly, tiles
from minidl.kernels.numpy.columns import Overlap, Padding, Pair, output_size, overlaps
from minidl.kernels.numpy.parallel import parallel, scratch

BLOCK = 16
"""Columns of a result to compute at a time: a vector register of float32."""

SMALL_PLANE = 64
"""Up to so many pixels a plane is one row, if there are images enough to be worth the large matrix."""

TILE = 1 << 17
"""Numbers of the image to work on at a time: half a MB of float32, what one core's cache holds."""

ROWS = 2048
"""Rows in one product: more are beyond what OpenBLAS multiplies in its quick way for small matrices."""

Place = tuple[slice, slice]
"""Some channels of some images."""
Axis = tuple[int, int, int, int, int, int]
"""Along one axis: the input's size, windows, the kernel's size, stride, padding before, dilation."""
Block = tuple[slice, slice, list[np.ndarray]]
"""Rows and columns of a banded matrix, and its numbers there for each row of the kernel, (C, rows, columns)."""
Step = tuple[int, np.ndarray, slice, slice]
"""A row of the kernel, an image, and what rows of its product are added to what rows of the result."""


def depthwise(
    x: np.ndarray, weight: np.ndarray, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[np.ndarray, Callable[[np.ndarray, Sequence[bool]], tuple[np.ndarray | None, np.ndarray | None]]]:
    """y (N, C, P, Q), channel-major, of x (N, C, H, W) and weight (C, 1, I, J), and the pullback to both."""
    (N, C, *size), kernel_size = x.shape, weight.shape[2:]
    windows = output_size((size[0], size[1]), kernel_size, stride, padding, dilation)
    geometry = tuple(zip(size, windows, kernel_size, stride, (pads[0] for pads in padding), dilation, strict=True))
    small = size[0] * size[1] <= SMALL_PLANE and windows[0] * windows[1] <= 2 * N
    plan = _plan(*geometry, small, BLOCK, x.dtype)
    source = x.transpose(1, 0, 2, 3).reshape(C, N, *plan.plane)
    kernels = weight.reshape(C, len(plan.overlaps), plan.elements)
    y, places = np.empty((C, N, *plan.result), x.dtype), _places(source.shape)
    bands = parallel(lambda band: band.of(kernels), plan.bands)
    parallel(lambda at: _correlate(source[at], bands, at[0], plan, y[at]), places)

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray | None, np.ndarray | None]:
        upstream = g.transpose(1, 0, 2, 3).reshape(C, N, *plan.result)
        turned = parallel(lambda band: band.of(kernels), plan.turned) if wanted[0] else []
        dx = np.empty(source.shape, g.dtype) if wanted[0] else None
        dweight = np.zeros(kernels.shape, g.dtype) if wanted[1] else None

        def backward(at: Place) -> np.ndarray | None:
            if dx is not None:
                _spread(upstream[at], turned, at[0], plan, dx[at])
            return None if dweight is None else _compare(source[at], upstream[at], plan)

        for (channels, _), part in zip(places, parallel(backward, places), strict=True):
            if dweight is not None:
                dweight[channels] += part
        return (
            None if dx is None else dx.reshape(C, N, *size).transpose(1, 0, 2, 3),
            None if dweight is None else dweight.reshape(weight.shape),
        )

    return y.reshape(C, N, *windows).transpose(1, 0, 2, 3), pull


class Band(NamedTuple):
    """Some columns of a banded matrix, and the rows in which they are not zero: (rows, columns) of the elements.

    `places` (elements, rows · columns) is 1 where an element stands, else 0.
    """

    rows: slice
    columns: slice
    places: np.ndarray

    def of(self, kernels: np.ndarray) -> Block:
        """The matrices for kernels (C, I, J), one for each row i of all channels: (C, rows, columns)."""
        shape = (len(kernels), self.rows.stop - self.rows.start, self.columns.stop - self.columns.start)
        return self.rows, self.columns, [(row @ self.places).reshape(shape) for row in kernels.swapaxes(0, 1)]


class Plan(NamedTuple):
    """A kernel as rows that slide down a plane with a stride, and as a band along a row; and the band turned round."""

    plane: Pair
    result: Pair
    stride: int
    overlaps: list[Overlap]
    elements: int
    bands: list[Band]
    turned: list[Band]


@functools.lru_cache(maxsize=256)
def _plan(vertical: Axis, horizontal: Axis, small: bool, block: int, dtype: np.dtype) -> Plan:
    """The plan for this geometry; if planes are small, that which takes a plane for a row."""
    steps, seen = overlaps(*vertical), _seen(horizontal, dtype)
    plane, result, stride = (vertical[0], horizontal[0]), (vertical[1], horizontal[1]), vertical[3]
    if small:
        both = np.einsum("ihp,jwq->ijhwpq", _seen(vertical, dtype), seen)
        steps, seen = [(slice(0, 1), slice(0, 1))], both.reshape(-1, plane[0] * plane[1], result[0] * result[1])
        plane, result, stride = (1, seen.shape[1]), (1, seen.shape[2]), 1
    return Plan(plane, result, stride, steps, len(seen), _cut(seen, block), _cut(seen.swapaxes(1, 2), block))


def _seen(axis: Axis, dtype: np.dtype) -> np.ndarray:
    """[k, place, window] is 1 where the element k of the kernel sees that place, else 0."""
    size, windows, kernel, *_ = axis
    seen = np.zeros((kernel, size, windows), dtype)
    for k, (window, place) in enumerate(overlaps(*axis)):
        seen[k, np.r_[place], np.r_[window]] = 1
    return seen


def _cut(seen: np.ndarray, block: int) -> list[Band]:
    """Columns in even blocks, each with the rows in which it is not zero."""
    found = []
    for part in evenly(seen.shape[2], block):
        used = np.flatnonzero(seen[..., part].any(axis=(0, 2)))
        rows = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
        found.append(Band(rows, part, seen[:, rows, part].reshape(len(seen), -1)))
    return found


def _correlate(x: np.ndarray, blocks: list[Block], channels: slice, plan: Plan, y: np.ndarray) -> None:
    """Fill y (C, N, P, Q) with the sum over the kernel's rows of rows of x (C, N, H, W) times bands."""
    steps = [(i, there, *_phase(here, plan.stride)) for i, (there, here) in enumerate(plan.overlaps)]
    _add_up([(i, x[:, :, phase :: plan.stride], seen, there) for i, there, phase, seen in steps], blocks, channels, y)


def _spread(g: np.ndarray, blocks: list[Block], channels: slice, plan: Plan, dx: np.ndarray) -> None:
    """The adjoint: fill dx (C, N, H, W) with what the kernel's rows send to its rows."""
    steps = [(i, there, *_phase(here, plan.stride)) for i, (there, here) in enumerate(plan.overlaps)]
    for phase in range(min(plan.stride, plan.plane[0])):
        mine = [(i, g, there, seen) for i, there, its_phase, seen in steps if its_phase == phase]
        _add_up(mine, blocks, channels, dx[:, :, phase :: plan.stride])


def _add_up(steps: list[Step], blocks: list[Block], channels: slice, y: np.ndarray) -> None:
    """Fill y with the sum of all steps; what the first one that reaches all rows makes is written there at once."""
    is_matrix = y.strides[1] == y.shape[2] * y.strides[2]
    everywhere = slice(0, y.shape[2])
    whole = next(
        (step for step in steps if is_matrix and step[1].shape[2] == y.shape[2] and step[3] == everywhere), None
    )
    if whole is None:
        y[...] = 0
    else:
        _multiply(whole[1], blocks, whole[0], channels, y)
    for step in steps:
        if step is not whole:
            i, x, here, there = step
            products = scratch("products", (*x.shape[:3], y.shape[3]), x.dtype)
            _multiply(x, blocks, i, channels, products)
            np.add(y[:, :, there], products[:, :, here], out=y[:, :, there])


def _multiply(x: np.ndarray, blocks: list[Block], i: int, channels: slice, y: np.ndarray) -> None:
    """Fill y with all rows of x times the bands of the kernel's row i."""
    matrices, results = x.reshape(len(x), -1, x.shape[3]), y.reshape(len(y), -1, y.shape[3])
    for rows, columns, values in blocks:
        np.matmul(matrices[..., rows], values[i][channels], out=results[..., columns])


def _compare(x: np.ndarray, g: np.ndarray, plan: Plan) -> np.ndarray:
    """The gradient of the kernels (C, I, J): each element's sum of products of what it sees and what became of it."""
    result = np.zeros((len(x), len(plan.overlaps), plan.elements), x.dtype)
    for i, (there, here) in enumerate(plan.overlaps):
        phase, seen = _phase(here, plan.stride)
        rows = x[:, :, phase :: plan.stride]
        left, right = rows.reshape(len(x), -1, x.shape[3]), _aligned(g[:, :, there], seen, rows.shape[2])
        for used, columns, places in plan.bands:
            products = left[..., used].swapaxes(1, 2) @ right[..., columns]
            result[:, i] += products.reshape(len(x), -1) @ places.T
    return result


def _aligned(g: np.ndarray, place: slice, height: int) -> np.ndarray:
    """The rows of g (C, N, P, Q) at their place among as many as the image has, the others zero: (C, N·height, Q)."""
    if g.shape[2] < height:
        aligned = scratch("aligned", (*g.shape[:2], height, g.shape[3]), g.dtype)
        aligned[:, :, : place.start] = 0
        aligned[:, :, place] = g
        aligned[:, :, place.stop :] = 0
        g = aligned
    return g.reshape(len(g), -1, g.shape[3])


def _phase(rows: slice, stride: int) -> tuple[int, slice]:
    """Rows with a stride as part of all rows of the same remainder: these are one matrix for BLAS."""
    first, phase = divmod(rows.start, stride)
    return phase, slice(first, first + len(range(rows.start, rows.stop, stride)))


def _places(shape: tuple[int, ...]) -> list[Place]:
    """A feature map (C, N, H, W) in tiles."""
    channels, images, height, width = shape
    return [
        (c, n) for n in tiles(images, height, ROWS) for c in tiles(channels, (n.stop - n.start) * height * width, TILE)
    ]
