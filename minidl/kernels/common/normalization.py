"""Batch normalisation on rows: with one channel a row, each step is a sum or a scaling of contiguous numbers.

A few rows at a time pass through all the steps, so that what one step writes the next one finds in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minidl.backend import Array
from minidl.kernels.common.layout import feature_map, rows
from minidl.kernels.common.slices import tiles


class Normalization:
    """Batch statistics and normalisation for arrays of one library, `budget` elements at a time."""

    def __init__(self, budget: int):
        self.budget = budget

    def channel_moments(self, x: Array) -> tuple[Array, Array]:
        """The mean and the (biased) variance of each channel of x (N, C, ...)."""
        matrix = rows(x)
        count = matrix.shape[1]
        mean = matrix.mean(axis=1)
        variance = np.empty_like(mean)
        for part in tiles(len(matrix), matrix.shape[1], self.budget):
            deviation = matrix[part] - mean[part, None]
            variance[part] = np.multiply(deviation, deviation, out=deviation).sum(axis=1) / count
        return mean, variance

    def batch_norm(
        self,
        x: Array,
        weight: Array | None,
        bias: Array | None,
        eps: float,
        moments: tuple[Array, Array],
        of_batch: bool,
    ) -> tuple[Array, Callable[[Array, Sequence[bool]], tuple[Array | None, Array | None, Array | None]]]:
        """y = s·x + t with s = γ/√(σ² + ε), t = β - s·μ, channel-major, and its pullback.

        With d = x - μ, M elements in a row and r = 1/√(σ² + ε): dβ = Σg, dγ = r Σg·d, dx = s (g - dβ/M - r d·dγ/M),
        or s·g if μ and σ² are not those of the batch.
        """
        mean, variance = moments
        root = 1 / np.sqrt(variance + eps)
        scale = root if weight is None else weight * root
        shift = -mean * scale if bias is None else bias - mean * scale
        matrix = rows(x)
        y = np.empty_like(matrix)
        for part in tiles(len(matrix), matrix.shape[1], self.budget):
            np.multiply(matrix[part], scale[part, None], out=y[part])
            y[part] += shift[part, None]

        def pull(g: Array, wanted: Sequence[bool]) -> tuple[Array | None, Array | None, Array | None]:
            upstream, matrix = rows(g), rows(x)
            count = matrix.shape[1]
            dbias = upstream.sum(axis=1)
            dweight, dx = np.empty_like(dbias), np.empty_like(matrix)
            for part in tiles(len(matrix), matrix.shape[1], self.budget):
                d = matrix[part] - mean[part, None]
                np.multiply(upstream[part], d, out=dx[part])
                dweight[part] = root[part] * dx[part].sum(axis=1)
                np.multiply(upstream[part], scale[part, None], out=dx[part])
                if of_batch:
                    d *= (scale[part] * root[part] * dweight[part] / count)[:, None]
                    d += (scale[part] * dbias[part] / count)[:, None]
                    dx[part] -= d
            return feature_map(dx, x.shape), dweight, dbias

        return feature_map(y, x.shape), pull
