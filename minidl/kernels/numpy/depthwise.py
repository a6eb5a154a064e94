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

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from minidl.kernels.common.layout import tiles
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
    plan = _flat(*geometry) if small else _by_rows(*geometry)
    source = x.transpose(1, 0, 2, 3).reshape(C, N, plan.rows_in, plan.bands.shape[1])
    kernels = weight.reshape(C, len(plan.overlaps), len(plan.bands))
    shape = (C, N, plan.rows_out, plan.bands.shape[2])
    y, places, bands = np.empty(shape, x.dtype), _places(source.shape), _bands(kernels, plan.bands)
    parallel(lambda at: _correlate(source[at], bands, at[0], plan, y[at]), places)

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray | None, np.ndarray | None]:
        upstream = g.transpose(1, 0, 2, 3).reshape(shape)
        adjoint = _bands(kernels, plan.bands.swapaxes(1, 2)) if wanted[0] else []
        dx = np.empty(source.shape, g.dtype) if wanted[0] else None
        dweight = np.zeros(kernels.shape, g.dtype) if wanted[1] else None

        def backward(at: Place) -> np.ndarray | None:
            if dx is not None:
                _spread(upstream[at], adjoint, at[0], plan, dx[at])
            return None if dweight is None else _compare(source[at], upstream[at], plan)

        for (channels, _), part in zip(places, parallel(backward, places), strict=True):
            if dweight is not None:
                dweight[channels] += part
        return (
            None if dx is None else dx.reshape(C, N, *size).transpose(1, 0, 2, 3),
            None if dweight is None else dweight.reshape(weight.shape),
        )

    return y.reshape(C, N, *windows).transpose(1, 0, 2, 3), pull


class Plan(NamedTuple):
    """A kernel as rows that slide down an image, and elements in them whose places along a row `bands` knows.

    bands[j, w, q] is 1 where the element j of a row sees the pixel w for the result q, else 0.
    """

    rows_in: int
    rows_out: int
    stride: int
    overlaps: list[Overlap]
    bands: np.ndarray


class Block(NamedTuple):
    """Some columns of a banded matrix, and the rows in which they are not zero; values are (C, rows, columns)."""

    rows: slice
    columns: slice
    values: list[np.ndarray]


def _by_rows(vertical: tuple[int, ...], horizontal: tuple[int, ...]) -> Plan:
    return Plan(vertical[0], vertical[1], vertical[3], overlaps(*vertical), _seen(*horizontal))


def _flat(vertical: tuple[int, ...], horizontal: tuple[int, ...]) -> Plan:
    """The plan that takes a plane for a row."""
    bands = np.einsum("ihp,jwq->ijhwpq", _seen(*vertical), _seen(*horizontal))
    i, j, h, w, p, q = bands.shape
    return Plan(1, 1, 1, [(slice(0, 1), slice(0, 1))], bands.reshape(i * j, h * w, p * q))


def _seen(size: int, windows: int, kernel: int, stride: int, before: int, dilation: int) -> np.ndarray:
    """[k, place, window] is 1 where the element k of the kernel sees that place, else 0."""
    seen = np.zeros((kernel, size, windows), np.float32)
    for k, (window, place) in enumerate(overlaps(size, windows, kernel, stride, before, dilation)):
        seen[k, np.r_[place], np.r_[window]] = 1
    return seen


def _blocks(bands: np.ndarray) -> list[tuple[slice, slice]]:
    """The columns in blocks, each with the rows in which it is not zero."""
    columns = bands.shape[2]
    width = -(-columns // -(-columns // BLOCK))
    found = []
    for block in (slice(q, min(q + width, columns)) for q in range(0, columns, width)):
        used = np.flatnonzero(bands[..., block].any(axis=(0, 2)))
        found.append((slice(used[0], used[-1] + 1) if len(used) else slice(0, 1), block))
    return found


def _bands(kernels: np.ndarray, bands: np.ndarray) -> list[Block]:
    """The banded matrices of all channels, in blocks, with one for each row of the kernel: kernels are (C, I, J)."""
    found = []
    for rows, columns in _blocks(bands):
        block = bands[:, rows, columns].astype(kernels.dtype)
        values = [
            (kernel @ block.reshape(len(block), -1)).reshape(-1, *block.shape[1:]) for kernel in kernels.swapaxes(0, 1)
        ]
        found.append(Block(rows, columns, values))
    return found


def _correlate(x: np.ndarray, bands: list[Block], channels: slice, plan: Plan, y: np.ndarray) -> None:
    """Fill y (C, N, P, Q) with the sum over the kernel's rows of rows of x (C, N, H, W) times bands."""
    steps = [(i, there, *_phase(here, plan.stride)) for i, (there, here) in enumerate(plan.overlaps)]
    _add_up([(i, x[:, :, phase :: plan.stride], seen, there) for i, there, phase, seen in steps], bands, channels, y)


def _spread(g: np.ndarray, bands: list[Block], channels: slice, plan: Plan, dx: np.ndarray) -> None:
    """The adjoint: fill dx (C, N, H, W) with what the kernel's rows send to its rows."""
    steps = [(i, there, *_phase(here, plan.stride)) for i, (there, here) in enumerate(plan.overlaps)]
    for phase in range(min(plan.stride, plan.rows_in)):
        mine = [(i, g, there, seen) for i, there, its_phase, seen in steps if its_phase == phase]
        _add_up(mine, bands, channels, dx[:, :, phase :: plan.stride])


def _add_up(steps: list[Step], bands: list[Block], channels: slice, y: np.ndarray) -> None:
    """Fill y with the sum of all steps; what the first one that reaches all rows makes is written there at once."""
    is_matrix = y.strides[1] == y.shape[2] * y.strides[2]
    everywhere = slice(0, y.shape[2])
    whole = next(
        (step for step in steps if is_matrix and step[1].shape[2] == y.shape[2] and step[3] == everywhere), None
    )
    if whole is None:
        y[...] = 0
    else:
        _multiply(whole[1], bands, whole[0], channels, y)
    for step in steps:
        if step is not whole:
            i, x, here, there = step
            products = scratch("products", (*x.shape[:3], y.shape[3]), x.dtype)
            _multiply(x, bands, i, channels, products)
            np.add(y[:, :, there], products[:, :, here], out=y[:, :, there])


def _multiply(x: np.ndarray, bands: list[Block], i: int, channels: slice, y: np.ndarray) -> None:
    """Fill y with all rows of x times the bands of the kernel's row i."""
    matrices, results = x.reshape(len(x), -1, x.shape[3]), y.reshape(len(y), -1, y.shape[3])
    for rows, columns, values in bands:
        np.matmul(matrices[..., rows], values[i][channels], out=results[..., columns])


def _compare(x: np.ndarray, g: np.ndarray, plan: Plan) -> np.ndarray:
    """The gradient of the kernels (C, I, J): each element's sum of products of what it sees and what became of it."""
    result = np.zeros((len(x), len(plan.overlaps), len(plan.bands)), x.dtype)
    for i, (there, here) in enumerate(plan.overlaps):
        phase, seen = _phase(here, plan.stride)
        rows = x[:, :, phase :: plan.stride]
        left, right = rows.reshape(len(x), -1, x.shape[3]), _aligned(g[:, :, there], seen, rows.shape[2])
        for used, columns in _blocks(plan.bands):
            band = plan.bands[:, used, columns].astype(x.dtype)
            products = left[..., used].swapaxes(1, 2) @ right[..., columns]
            result[:, i] += products.reshape(len(x), -1) @ band.reshape(len(band), -1).T
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
