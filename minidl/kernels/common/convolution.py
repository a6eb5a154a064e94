"""Convolution as one matrix product for each group of channels, in channel-major memory.

Two linear maps are all there is. `_correlate` multiplies the weights W by the columns of an image, what the kernel
sees at each position; `_spread` is its adjoint, col2im(Wᵀ · g). With them a convolution and its gradients can be had
in two ways:

    wide    y = W · im2col(x)       dx = col2im(Wᵀ · g)    dW = g · im2col(x)ᵀ
    thin    y = col2im(W̃ᵀ · x)      dx = W̃ · im2col(g)     dW̃ = x · im2col(g)ᵀ

A convolution with stride 1 is the adjoint of another, whose weights W̃ are W turned round with the channels
exchanged; that is the thin way. Columns are I·J times as large as their image, so it pays to make those of the side
with fewer channels, and in the thin way both gradients share them.

Columns are made for a few images at a time, and again in the backward pass: they stay in the cache, and are never all
in memory. A 1×1 kernel at stride 1 needs none: its columns are x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minidl.backend import Array
from minidl.kernels.common.layout import feature_map, rows
from minidl.kernels.common.slices import tiles

Pair = tuple[int, int]
Gradients = tuple[Array | None, Array | None, Array | None]


class Geometry(NamedTuple):
    """How the kernel moves over the image."""

    kernel_size: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair

    @property
    def is_pointwise(self) -> bool:
        """Whether every position sees one pixel, and every pixel is seen: 1×1 at stride 1."""
        return self.kernel_size == (1, 1) == self.stride and self.padding == ((0, 0), (0, 0))

    @property
    def reach(self) -> Pair:
        """How far the kernel's last element is from its first."""
        return tuple(d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True))  # type: ignore[return-value]

    def positions(self, size: Sequence[int]) -> Pair:
        """How many places there are for the kernel, down and across."""
        shape = zip(size, self.padding, self.reach, self.stride, strict=True)
        return tuple((n + sum(pads) - reach - 1) // s + 1 for n, pads, reach, s in shape)  # type: ignore[return-value]

    def adjoint(self) -> Geometry | None:
        """The geometry with which the turned kernel undoes the shifts of this one; there is none for larger strides."""
        (top, bottom), (left, right) = self.padding
        down, across = self.reach
        padding = (down - top, down - bottom), (across - left, across - right)
        return self._replace(padding=padding) if self.stride == (1, 1) and min(map(min, padding)) >= 0 else None


class Convolution:
    """The convolution of arrays of one library.

    `budget` is how many elements the columns in work may have; `each` applies a function to a list, tile by tile;
    `outer` is x yᵀ for each group.
    """

    def __init__(
        self,
        columns: ModuleType,
        budget: int,
        each: Callable[..., Iterable[Any]] = map,
        outer: Callable[[Array, Array], Array] | None = None,
    ):
        self.im2col, self.col2im, self.budget, self.each = columns.im2col, columns.col2im, budget, each
        self.outer = outer or (lambda x, y: _product(x, y.transpose(0, 2, 1)))

    def __call__(
        self,
        x: Array,
        weight: Array,
        bias: Array | None,
        stride: Pair,
        padding: tuple[Pair, Pair],
        dilation: Pair,
        groups: int,
    ) -> tuple[Array, Callable[[Array, Sequence[bool]], Gradients]]:
        """y (N, O, P, Q), channel-major, and its pullback; the arguments are those of `minidl.nn.functional.conv2d`."""
        geometry = Geometry(weight.shape[2:], stride, padding, dilation)
        turned = geometry.adjoint() if weight.shape[0] < x.shape[1] and not geometry.is_pointwise else None
        if turned is None:
            y, _ = self._correlate(x, weight, None, groups, geometry)
        else:
            y = self._spread(x, _turn(weight, groups), groups, turned, geometry.positions(x.shape[2:]))
        if bias is not None:
            y += bias.reshape(-1, 1, 1)

        def pull(g: Array, wanted: Sequence[bool]) -> Gradients:
            dx = dweight = None
            if turned is None:
                dx = self._spread(g, weight, groups, geometry, x.shape[2:]) if wanted[0] else None
                _, dweight = self._correlate(x, None, g, groups, geometry) if wanted[1] else (None, None)
            elif wanted[0] or wanted[1]:
                weights, upstream = _turn(weight, groups) if wanted[0] else None, x if wanted[1] else None
                dx, dturned = self._correlate(g, weights, upstream, groups, turned)
                dweight = None if dturned is None else _turn(dturned, groups)
            return dx, dweight, rows(g).sum(axis=1) if bias is not None and wanted[2] else None

        return y, pull

    def _correlate(
        self, x: Array, weight: Array | None, upstream: Array | None, groups: int, geometry: Geometry
    ) -> tuple[Array | None, Array | None]:
        """What can be made of the columns of x: W · columns, and upstream · columnsᵀ; None for what is not given."""
        (n, c), (p, q) = x.shape[:2], geometry.positions(x.shape[2:])
        depth = c // groups * geometry.kernel_size[0] * geometry.kernel_size[1]
        matrix = None if weight is None else weight.reshape(groups, -1, depth)
        y = None if matrix is None else np.empty_like(x, shape=(*matrix.shape[:2], n * p * q), order="C")
        g = None if upstream is None else rows(upstream).reshape(groups, upstream.shape[1] // groups, n * p * q)
        dweight = None if g is None else np.zeros_like(g, shape=(*g.shape[:2], depth))

        def multiply(tile: tuple[slice, slice]) -> Array | None:
            images, pixels = tile
            columns = self._columns(x[images], groups, geometry)
            if y is not None:
                y[..., pixels] = _product(matrix, columns)
            return None if g is None else self.outer(g[..., pixels], columns)

        for part in self.each(multiply, self._tiles(n, groups * depth, p * q, geometry)):
            if dweight is not None:
                dweight += part
        return (
            None if y is None else feature_map(y, (n, y.shape[0] * y.shape[1], p, q)),
            None if dweight is None else dweight.reshape(-1, c // groups, *geometry.kernel_size),
        )

    def _spread(self, g: Array, weight: Array, groups: int, geometry: Geometry, size: Sequence[int]) -> Array:
        """col2im(Wᵀ · g), an image of this size: the adjoint of x ↦ W · im2col(x)."""
        n, o, p, q = g.shape
        matrix = weight.reshape(groups, o // groups, -1).transpose(0, 2, 1)
        c = weight.shape[1] * groups
        upstream = rows(g).reshape(groups, o // groups, n * p * q)
        if geometry.is_pointwise:
            return feature_map(_product(matrix, upstream), (n, c, p, q))
        image = feature_map(np.empty_like(upstream, shape=(c, n * size[0] * size[1])), (n, c, *size))

        def add_up(tile: tuple[slice, slice]) -> None:
            images, pixels = tile
            columns = _product(matrix, upstream[..., pixels]).reshape(c, *geometry.kernel_size, -1, p, q)
            image[images] = self.col2im(columns.transpose(3, 0, 1, 2, 4, 5), size, *geometry)

        for _ in self.each(add_up, self._tiles(n, groups * matrix.shape[1], p * q, geometry)):
            pass
        return image

    def _columns(self, x: Array, groups: int, geometry: Geometry) -> Array:
        """What the kernel sees, (groups, C/groups·I·J, N·P·Q)."""
        if geometry.is_pointwise:
            return rows(x).reshape(groups, x.shape[1] // groups, -1)
        columns = self.im2col(x, *geometry).transpose(1, 2, 3, 0, 4, 5)
        return columns.reshape(groups, columns.shape[0] // groups * columns.shape[1] * columns.shape[2], -1)

    def _tiles(self, n: int, rows: int, positions: int, geometry: Geometry) -> list[tuple[slice, slice]]:
        """The images to take at a time, and the pixels that are theirs; all where there are no columns to make."""
        budget = n * rows * positions if geometry.is_pointwise else self.budget
        return [
            (part, slice(part.start * positions, part.stop * positions)) for part in tiles(n, rows * positions, budget)
        ]


def _product(x: Array, y: Array) -> Array:
    """x @ y for each group; for one group as a product of two matrices: of batches CuPy copies what is transposed."""
    return (x[0] @ y[0])[None] if len(x) == 1 else x @ y


def _turn(weight: Array, groups: int) -> Array:
    """W (O, C/groups, I, J) turned by 180°, input and output channels exchanged: (C, O/groups, I, J)."""
    o, c, i, j = weight.shape
    grouped = weight[:, :, ::-1, ::-1].reshape(groups, o // groups, c, i, j)
    return grouped.transpose(0, 2, 1, 3, 4).reshape(groups * c, o // groups, i, j)
