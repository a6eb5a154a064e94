"""Products of matrices in blocks that OpenBLAS multiplies at once instead of packing them first.

OpenBLAS copies both factors into an order that its kernels like, and for the matrices of small networks that takes as
long as the product. Up to a million multiplications it has kernels (on CPUs with AVX-512) that read the factors where
they are. With 64 to 256 columns, and of a tall matrix some rows at a time, they are up to twice as fast.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.common.slices import evenly
from minidl.kernels.numpy.parallel import HELD, scratch

SMALL = 1_000_000
"""Up to so many multiplications OpenBLAS takes a product for small."""

PIECES = (256, 128, 64)
"""Columns to multiply at a time."""

ROWS = 16
"""Rows of weights to multiply at a time, at least."""

LARGE = 1 << 18
"""From so many weights on packing pays."""

FAR = 64, 1 << 15
"""More rows than this, so many bytes apart, are quicker packed."""

SIDES = 64, 16
"""How many rows of either factor of an outer product to take at a time, at most."""

DEPTH = 768
"""How much of these rows to take at a time, at most; it does not pay for less than an eighth of that."""

VECTOR = 16
"""Of how many numbers a vector register is full."""

FEW = 1 << 16
"""With more results than this, BLAS is as fast by itself."""


def multiply(weight: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """out (..., O, P) = weight (..., O, K) · columns (..., K, P)."""
    o, depth = weight.shape[-2:]
    if 0 < o * depth <= LARGE and columns.shape[-1] >= PIECES[-1] and not _is_far(columns):
        first, *rest = evenly(depth, SMALL // (ROWS * PIECES[-1]))
        rows = _divisor(o, SMALL // (first.stop * PIECES[-1]))
        if rows >= min(o, ROWS):
            _multiply(weight[..., first], columns[..., first, :], rows, out)
            for part in rest:
                more = scratch("more", out.shape, out.dtype)
                _multiply(weight[..., part], columns[..., part, :], rows, more)
                np.add(out, more, out=out)
            return
    np.matmul(weight, columns, out=out)


def _multiply(weight: np.ndarray, columns: np.ndarray, rows: int, out: np.ndarray) -> None:
    """The same with so many rows of the weights at a time."""
    (*batch, o, depth), count = weight.shape, columns.shape[-1]
    piece = next(piece for piece in PIECES if rows * depth * piece <= SMALL and piece <= count)
    whole = count - count % piece
    blocks = out[..., :whole].reshape(*batch, o // rows, rows, -1, piece).swapaxes(-3, -2)
    pieces = columns[..., :whole].reshape(*batch, 1, depth, -1, piece).swapaxes(-3, -2)
    np.matmul(weight.reshape(*batch, o // rows, 1, rows, depth), pieces, out=blocks)
    if whole < count:
        np.matmul(weight, columns[..., whole:], out=out[..., whole:])


def outer(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x (..., K, P) · yᵀ (..., P, O) → (..., K, O)."""
    (*batch, k, count), o = x.shape, y.shape[-2]
    if k < o:
        return outer(y, x).swapaxes(-2, -1)  # BLAS is faster with the longer side first
    if not 0 < k * o <= FEW or count < DEPTH // 8 or _is_far(x) or _is_far(y):
        return x @ y.swapaxes(-2, -1)
    rows, columns, pieces = _divisor(k, SIDES[0]), _divisor(o, SIDES[1]), -(-count // DEPTH)
    if (rows < SIDES[0] // 4 or columns < SIDES[1] // 2) and k * o > HELD:  # with fewer results NumPy keeps its lock
        return x @ y.swapaxes(-2, -1)
    depth = count // pieces // VECTOR * VECTOR
    whole = pieces * depth
    shape = (*batch, pieces, k, o)
    parts = scratch("parts", shape, x.dtype) if pieces > 1 else np.empty(shape, x.dtype)  # a single one is the result
    left = x[..., :whole].reshape(*batch, k // rows, rows, pieces, depth).swapaxes(-3, -2).swapaxes(-4, -3)
    right = y[..., :whole].reshape(*batch, o // columns, columns, pieces, depth).swapaxes(-3, -2).swapaxes(-4, -3)
    blocks = parts.reshape(*batch, pieces, k // rows, rows, o // columns, columns).swapaxes(-3, -2)
    np.matmul(left[..., None, :, :], right[..., None, :, :, :].swapaxes(-2, -1), out=blocks)
    result = parts[..., 0, :, :] if pieces == 1 else np.add.reduce(parts, axis=-3)
    return result if whole == count else result + x[..., whole:] @ y[..., whole:].swapaxes(-2, -1)


def _is_far(matrix: np.ndarray) -> bool:
    """Whether its rows are so many, and so far apart, that reading them in pieces would be slow."""
    rows, distance = FAR
    return matrix.shape[-2] > rows and matrix.strides[-2] > distance


def _divisor(number: int, most: int) -> int:
    """The largest divisor that is not larger than this."""
    return next(number // count for count in range(-(-number // most), number + 1) if number % count == 0)
