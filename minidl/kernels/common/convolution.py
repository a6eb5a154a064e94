"""Convolution as one matrix product for each group of channels: W (O × C·I·J) · columns (C·I·J × N·P·Q) → y (O × N·P·Q).

In channel-major memory the product is the feature map itself. The columns, I·J times as large as x, are made for a few images
at a time and again in the backward pass, so that they stay in the cache and are never all in memory. A 1×1 kernel at stride 1
needs none: its columns are x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np

from minidl.backend import Array
from minidl.kernels.common.layout import feature_map, rows, tiles

Gradients = tuple[Array | None, Array | None, Array | None]


class Geometry(NamedTuple):
    """How the kernel moves over the image."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]

    @property
    def is_pointwise(self) -> bool:
        """Whether every position sees one pixel, and every pixel is seen."""
        return self.kernel_size == (1, 1) == self.stride and self.padding == ((0, 0), (0, 0))

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """How many places there are for the kernel, down and across."""
        p, q = (
            (n + sum(pads) - d * (k - 1) - 1) // s + 1
            for n, k, s, pads, d in zip((height, width), *self, strict=True)
        )
        return p, q


class Convolution:
    """The convolution of arrays of one library. `budget` is how many elements the columns in work may have."""

    def __init__(self, columns: ModuleType, budget: int):
        self.im2col, self.col2im, self.budget = columns.im2col, columns.col2im, budget

    def __call__(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: tuple[int, int],
        padding: tuple[tuple[int, int], tuple[int, int]],
        dilation: tuple[int, int],
        groups: int,
    ) -> tuple[Array, Callable[[Array, Sequence[bool]], Gradients]]:
        """y (N, O, P, Q), channel-major, and its pullback; the arguments are those of `minidl.nn.functional.conv2d`."""
        geometry = Geometry(weight.shape[2:], stride, padding, dilation)
        n, o = x.shape[0], weight.shape[0]
        p, q = geometry.positions(*x.shape[2:])
        matrix = weight.reshape(groups, o // groups, -1)
        y = np.empty_like(x, shape=(groups, o // groups, n * p * q), order="C")
        for images, pixels in self._tiles(n, matrix.shape[0] * matrix.shape[2], p * q, geometry):
            y[..., pixels] = matrix @ self._columns(x[images], groups, geometry)
        if bias is not None:
            y += bias.reshape(groups, -1, 1)

        def pull(g: Array, wanted: Sequence[bool]) -> Gradients:
            by_row = rows(g)
            dx, dweight = self._gradients(by_row.reshape(groups, o // groups, -1), x, weight, geometry, wanted)
            return dx, dweight, by_row.sum(axis=1) if len(wanted) > 2 and wanted[2] else None

        return feature_map(y, (n, o, p, q)), pull

    def _gradients(
        self, g: Array, x: Array, weight: Array, geometry: Geometry, wanted: Sequence[bool]
    ) -> tuple[Array | None, Array | None]:
        """dx = col2im(Wᵀ · g) and dW = g · columnsᵀ."""
        groups, n = g.shape[0], x.shape[0]
        p, q = geometry.positions(*x.shape[2:])
        matrix = weight.reshape(groups, g.shape[1], -1)
        dx = feature_map(np.empty_like(g, shape=(x.shape[1], n * x.shape[2] * x.shape[3])), x.shape) if wanted[0] else None
        dweight = np.zeros_like(matrix) if wanted[1] else None
        for images, pixels in self._tiles(n, matrix.shape[0] * matrix.shape[2], p * q, geometry):
            part = g[..., pixels]
            if dweight is not None:
                dweight += part @ self._columns(x[images], groups, geometry).transpose(0, 2, 1)
            if dx is not None:
                dx[images] = self._image(matrix.transpose(0, 2, 1) @ part, x[images].shape, (p, q), geometry)
        return dx, None if dweight is None else dweight.reshape(weight.shape)

    def _tiles(self, n: int, column: int, positions: int, geometry: Geometry) -> list[tuple[slice, slice]]:
        """The images to take at a time, and the pixels of the result that are theirs."""
        budget = n * column * positions if geometry.is_pointwise else self.budget
        parts = tiles(n, column * positions, budget)
        return [(part, slice(part.start * positions, part.stop * positions)) for part in parts]

    def _columns(self, x: Array, groups: int, geometry: Geometry) -> Array:
        """What the kernel sees, (groups, C/groups·I·J, N·P·Q)."""
        if geometry.is_pointwise:
            return rows(x).reshape(groups, x.shape[1] // groups, -1)
        columns = self.im2col(x, *geometry)
        return columns.transpose(1, 2, 3, 0, 4, 5).reshape(groups, -1, x.shape[0] * columns.shape[4] * columns.shape[5])

    def _image(self, columns: Array, shape: tuple[int, ...], positions: tuple[int, int], geometry: Geometry) -> Array:
        """The adjoint of `_columns`."""
        if geometry.is_pointwise:
            return feature_map(columns, shape)
        n, c = shape[:2]
        windows = columns.reshape(c, *geometry.kernel_size, n, *positions).transpose(3, 0, 1, 2, 4, 5)
        return self.col2im(windows, shape[2:], *geometry)
