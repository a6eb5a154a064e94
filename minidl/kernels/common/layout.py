"""Channel-major memory: a feature map (N, C, H, W) kept as a matrix with one row a channel, one column a pixel."""

from __future__ import annotations

from minidl.backend import Array


def rows(x: Array) -> Array:
    """x (N, C, ...) as a matrix (C, N·...): a view if x is channel-major in memory, else a copy."""
    return x.swapaxes(0, 1).reshape(x.shape[1], x.size // max(x.shape[1], 1))


def feature_map(matrix: Array, shape: tuple[int, ...]) -> Array:
    """A matrix (C, N·...) as x of shape (N, C, ...), the inverse of `rows`: always a view."""
    n, c, *image = shape
    return matrix.reshape(c, n, *image).swapaxes(0, 1)
