"""What a gradient still lacks: a constant and a multiple of x for each channel, to be subtracted once for all.

The backward pass of batch normalisation ends in dx = s·d - α - β·x, with two numbers for each channel. Where many
layers normalise the same channels, as in a dense block, their α and β add up, and the pass over memory that
subtracts them is made once, when the gradient is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minidl.kernels.common.layout import feature_map, rows
from minidl.kernels.numpy.parallel import parallel, scratch, shares
from minidl.kernels.numpy.plane import Source, Tile, planes


class Debt(NamedTuple):
    """α and β (C), and the x (N, C, ...) that they are about."""

    x: np.ndarray
    constant: np.ndarray
    slope: np.ndarray

    def plus(self, other: Debt | None) -> Debt:
        """This one and another on the same gradient."""
        if other is None:
            return self
        return Debt(self.x, self.constant + other.constant, self.slope + other.slope)

    def of(self, channels: slice) -> Debt:
        """The debt on some of the channels."""
        return Debt(self.x[:, channels], self.constant[channels], self.slope[channels])

    def settle(self, g: np.ndarray, in_place: bool) -> np.ndarray:
        """g - α - β·x."""
        matrix, upstream = rows(self.x), rows(g)
        settled = upstream if in_place and np.may_share_memory(upstream, g) else np.empty_like(upstream)

        def subtract(part: slice) -> None:
            due = scratch("due", matrix[part].shape, g.dtype)
            np.multiply(matrix[part], self.slope[part, None], out=due)
            np.add(due, self.constant[part, None], out=due)
            np.subtract(upstream[part], due, out=settled[part])

        parallel(subtract, shares(*matrix.shape))
        return feature_map(settled, g.shape)


class Owing(Source):
    """Planes of g - α - β·x: the debt is settled tile by tile, where the gradient is read."""

    def __init__(self, g: np.ndarray, debt: Debt):
        super().__init__(planes(g))
        self.debt, self.x = debt, planes(debt.x)

    def write(self, images: slice, pixels: slice, out: np.ndarray) -> None:
        """A part of them, into `out` (C, n, pixels)."""
        self._settle(self.array[:, images, pixels], self.x[:, images, pixels], out)

    def matrix(self, tile: Tile) -> np.ndarray:
        """A tile with one row a channel."""
        part = tile.matrix(self.array)
        settled = scratch("settled", part.shape, self.dtype)
        self._settle(part, tile.matrix(self.x), settled)
        return settled

    def _settle(self, g: np.ndarray, x: np.ndarray, out: np.ndarray) -> None:
        wide = (-1,) + (1,) * (g.ndim - 1)
        np.multiply(x, self.debt.slope.reshape(wide), out=out)
        np.add(out, self.debt.constant.reshape(wide), out=out)
        np.subtract(g, out, out=out)
