"""A matrix times a wide one, in pieces that OpenBLAS multiplies at once instead of packing them first.

OpenBLAS copies both factors into an order that its kernels like; with few rows in the first factor, that takes as long
as the product. Up to a million multiplications it has kernels (on CPUs with AVX-512) that read the factors where they
are: two times as fast for 12×432 times 432×128 as for 432×2048.
"""

from __future__ import annotations

import numpy as np

SMALL = 1_000_000
"""Up to so many multiplications OpenBLAS takes a product for small."""

FAR = 64
"""So many rows may be far apart in memory; more of them, and it is quicker to pack them."""

PIECES = (256, 128, 64)
"""Columns to multiply at a time."""


def multiply(weight: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """out (O, P) = weight (O, K) · columns (K, P)."""
    count = columns.shape[1]
    near = columns.flags.c_contiguous or len(columns) <= FAR
    piece = next((piece for piece in PIECES if near and weight.size * piece <= SMALL and piece <= count), None)
    if piece is None:
        np.matmul(weight, columns, out=out)
        return
    whole = count - count % piece
    np.matmul(weight, _in_pieces(columns[:, :whole], piece), out=_in_pieces(out[:, :whole], piece))
    if whole < count:
        np.matmul(weight, columns[:, whole:], out=out[:, whole:])


def _in_pieces(matrix: np.ndarray, piece: int) -> np.ndarray:
    """A view (pieces, rows, columns of a piece)."""
    return matrix.reshape(len(matrix), -1, piece).swapaxes(0, 1)


def outer(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x (K, P) · yᵀ (P, O) → (K, O). BLAS is faster with the longer side first."""
    return x @ y.T if len(x) >= len(y) else (y @ x.T).T
