"""Products of matrices in blocks that OpenBLAS multiplies at once instead of packing them first.

OpenBLAS copies both factors into an order that its kernels like, and for the matrices of small networks that takes as
long as the product. Up to a million multiplications it has kernels (on CPUs with AVX-512) that read the factors where
they are. With 64 columns, and of a wide matrix 16 to 64 rows at a time, they are up to twice as fast.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.numpy.parallel import scratch

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

BLOCK = 64, 16, 768
"""How many rows of either factor of an outer product to take at a time, at most, and how much of them."""

FEW = 1 << 16
"""With more results than this, BLAS is as fast by itself."""

HELD = 500
"""NumPy keeps Python's lock, and all threads waiting, during products with no more results than this."""


def multiply(weight: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """out (O, P) = weight (O, K) · columns (K, P)."""
    depth, count = columns.shape
    if not 0 < weight.size <= LARGE or count < PIECES[-1] or _is_far(columns):
        np.matmul(weight, columns, out=out)
        return
    first, *rest = _evenly(depth, SMALL // (ROWS * PIECES[-1]))
    _multiply(weight[:, first], columns[first], out)
    for part in rest:
        more = scratch("more", out.shape, out.dtype)
        _multiply(weight[:, part], columns[part], more)
        np.add(out, more, out=out)


def _multiply(weight: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """The same, for a K with which blocks of 16 rows and 64 columns are small."""
    (o, depth), count = weight.shape, columns.shape[1]
    rows = _divisor(o, SMALL // (depth * PIECES[-1]))
    if rows < min(o, ROWS):
        np.matmul(weight, columns, out=out)
        return
    piece = next(piece for piece in PIECES if rows * depth * piece <= SMALL and piece <= count)
    whole = count - count % piece
    blocks = out[:, :whole].reshape(o // rows, rows, -1, piece).swapaxes(1, 2)
    pieces = columns[:, :whole].reshape(depth, -1, piece).swapaxes(0, 1)
    np.matmul(weight.reshape(o // rows, 1, rows, depth), pieces, out=blocks)
    if whole < count:
        np.matmul(weight, columns[:, whole:], out=out[:, whole:])


def outer(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x (K, P) · yᵀ (P, O) → (K, O)."""
    if len(x) < len(y):
        return outer(y, x).T  # BLAS is faster with the longer side first
    (k, count), o = x.shape, len(y)
    if not 0 < k * o <= FEW or count < BLOCK[2] // 4 or _is_far(x) or _is_far(y):
        return x @ y.T
    rows, columns, pieces = _divisor(k, BLOCK[0]), _divisor(o, BLOCK[1]), -(-count // BLOCK[2])
    if (rows < ROWS or columns < ROWS // 2) and k * o > HELD:
        return x @ y.T
    depth = count // pieces // ROWS * ROWS
    whole = pieces * depth
    parts = scratch("parts", (pieces, k, o), x.dtype)
    np.matmul(
        x[:, :whole].reshape(k // rows, rows, pieces, depth).transpose(2, 0, 1, 3)[:, :, None],
        y[:, :whole].reshape(o // columns, columns, pieces, depth).transpose(2, 0, 3, 1)[:, None],
        out=parts.reshape(pieces, k // rows, rows, o // columns, columns).swapaxes(2, 3),
    )
    result = np.add.reduce(parts, axis=0)
    return result if whole == count else result + x[:, whole:] @ y[:, whole:].T


def _is_far(matrix: np.ndarray) -> bool:
    """Whether its rows are so many, and so far apart, that reading them in pieces would be slow."""
    rows, distance = FAR
    return len(matrix) > rows and matrix.strides[0] > distance


def _divisor(number: int, most: int) -> int:
    """The largest divisor that is not larger than this."""
    return next(number // count for count in range(-(-number // most), number + 1) if number % count == 0)


def _evenly(length: int, most: int) -> list[slice]:
    """As few slices as possible that are not longer than this, all of about one length."""
    step = -(-length // -(-length // most))
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]
