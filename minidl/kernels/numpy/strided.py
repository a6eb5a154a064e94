"""Convolution with strides, by columns: what the kernel sees at each position.

    y = W · columns(x)        dW = g · columns(x)ᵀ        dx = the sum of what Wᵀ · g puts where the columns came from

A tile of x is copied with zeros around it, and with a stride s its columns are sorted by their rest when divided by s:
then what one element of a kernel sees of a row is one run of numbers, which is how NumPy copies and adds fast. Each
pixel is picked out once so, and not once for each element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minidl.kernels.common.convolution import Geometry, Gradients
from minidl.kernels.common.layout import feature_map
from minidl.kernels.numpy.multiply import multiply, outer
from minidl.kernels.numpy.parallel import parallel, scratch
from minidl.kernels.numpy.plane import Tile, cut, planes
from minidl.kernels.numpy.product import total


class Windows:
    """What a kernel sees of images (N, C, H, W) at each position."""

    def __init__(self, shape: tuple[int, ...], geometry: Geometry, dtype: Any):
        _, self.channels, *self.size = shape
        self.geometry, self.dtype = geometry, dtype
        self.positions = geometry.positions(self.size)

    def columns(self, x: np.ndarray, tile: Tile) -> np.ndarray:
        """The windows of x at a tile's positions, side by side: (C·I·J, positions)."""
        image = self._empty(tile)
        i, j = self.geometry.kernel_size
        seen = {k * self.geometry.dilation[1] % self.geometry.stride[1] for k in range(j)}
        for inside, outside in self._places(tile, seen, slice(0, self.size[0])):
            np.copyto(image[inside], x.swapaxes(0, 1)[outside])
        columns = scratch("columns", (self.channels, i, j, *self._shape(tile)), self.dtype)
        for k in range(j):
            np.copyto(columns[:, :, k], self._seen(image, tile, k))
        return columns.reshape(-1, tile.positions)

    def band(self, tile: Tile) -> tuple[slice, Tile]:
        """Rows of x that no other tile makes up, and all positions that see them."""
        (down, _), ((top, _), _), (reach, _) = self.geometry.stride, self.geometry.padding, self.geometry.reach
        (count, width), height = self.positions, self.size[0]
        start, stop = tile.pixels.start // width, tile.pixels.stop // width
        begin, end = (min(max(p * down - top, 0), height) for p in (start, stop))
        rows = slice(begin, end if stop < count else height)
        return rows, tile._replace(pixels=slice(max(0, start - reach // down) * width, tile.pixels.stop))

    def spread(self, columns: np.ndarray, tile: Tile, rows: slice, dx: np.ndarray) -> None:
        """The adjoint: columns, added up where they come from, to rows of dx (C, N, H, W)."""
        image = self._empty(tile)
        i, j = self.geometry.kernel_size
        parts = columns.reshape(self.channels, i, j, *self._shape(tile))
        for k in range(j):
            seen = self._seen(image, tile, k)
            for l in range(i):  # noqa: E741
                np.add(seen[:, l], parts[:, l, k], out=seen[:, l])
        for inside, outside in self._places(tile, range(self.geometry.stride[1]), rows):
            np.copyto(dx[outside], image[inside])
        end = self._first_row(tile) + image.shape[2]
        dx[:, tile.images, max(rows.start, end) : rows.stop] = 0  # that nothing sees

    def _shape(self, tile: Tile) -> tuple[int, int, int]:
        """Images, rows and columns of a tile's results."""
        n, pixels = tile.shape
        return n, pixels // self.positions[1], self.positions[1]

    def _empty(self, tile: Tile) -> np.ndarray:
        """Zeros for what a tile sees: (C, n, rows, rests, columns of each rest)."""
        (down, across), (reach, _) = self.geometry.stride, self.geometry.reach
        n, rows, _ = self._shape(tile)
        width = self.size[1] + sum(self.geometry.padding[1])
        shape = (self.channels, n, (rows - 1) * down + reach + 1, across, -(-width // across))
        image = scratch("padded", shape, self.dtype)
        image[...] = 0
        return image

    def _first_row(self, tile: Tile) -> int:
        """The first row of x that a tile sees: it may be in the padding."""
        return tile.pixels.start // self.positions[1] * self.geometry.stride[0] - self.geometry.padding[0][0]

    def _places(self, tile: Tile, rests: Iterable[int], rows: slice) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """For each rest: where its pixels in some rows are in what a tile sees, and where in images (C, N, H, W)."""
        (down, across), (left, _) = self.geometry.stride, self.geometry.padding[1]
        start, count = self._first_row(tile), (self._shape(tile)[1] - 1) * down + self.geometry.reach[0] + 1
        first, last = max(rows.start, start), min(rows.stop, start + count)
        found = []
        for rest in rests:
            behind = -((rest - left) // across)  # the first column of this rest that is in the image
            begin = rest + behind * across - left
            number = -(-(self.size[1] - begin) // across)
            inside = (..., slice(first - start, last - start), rest, slice(behind, behind + number))
            found.append((inside, (slice(None), tile.images, slice(first, last), slice(begin, None, across))))
        return found if last > first else []

    def _seen(self, image: np.ndarray, tile: Tile, k: int) -> np.ndarray:
        """What the kernel's column k sees in an image made by `_empty`: a view (C, I, n, rows, columns)."""
        (down, across), (step, side) = self.geometry.stride, self.geometry.dilation
        channel, one, row, rest, item = image.strides
        shape = (self.channels, self.geometry.kernel_size[0], *self._shape(tile))
        offset = k * side % across * rest + k * side // across * item
        return np.ndarray(shape, image.dtype, image, offset, (channel, step * row, one, down * row, item))


def conv2d_with_strides(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry, groups: int
) -> tuple[np.ndarray, Callable[[np.ndarray, Sequence[bool]], Gradients]]:
    """y (N, O, P, Q), channel-major, and its pullback (without the bias's gradient)."""
    windows, o = Windows(x.shape, geometry, x.dtype), len(weight)
    matrices = weight.reshape(groups, o // groups, -1)
    y = np.empty((o, len(x), windows.positions[0] * windows.positions[1]), x.dtype)
    numbers = x.shape[1] * weight[0, 0].size
    tiles = cut(len(x), windows.positions, numbers, weight.size)

    def forward(tile: Tile) -> None:
        out = tile.matrix(y)
        _each(matrices, windows.columns(x, tile), out)
        if bias is not None:
            np.add(out, bias[:, None], out=out)

    parallel(forward, tiles)

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> Gradients:
        upstream = planes(g)
        dx, dweight = np.empty((x.shape[1], len(x), *x.shape[2:]), x.dtype), None
        turned = np.ascontiguousarray(matrices.swapaxes(1, 2))

        def for_x(tile: Tile) -> None:
            rows, seeing = windows.band(tile)
            columns = scratch("columns", (numbers, seeing.positions), g.dtype)
            _each(turned, seeing.matrix(upstream), columns)
            windows.spread(columns, seeing, rows, dx)

        def for_weight(tile: Tile) -> list[np.ndarray]:
            given = tile.matrix(upstream).reshape(groups, -1, tile.positions)
            columns = windows.columns(x, tile).reshape(groups, -1, tile.positions)
            return [outer(*pair) for pair in zip(given, columns, strict=True)]

        if wanted[0]:
            parallel(for_x, tiles)
        if wanted[1]:
            parts = parallel(for_weight, tiles)
            dweight = np.stack([total(group) for group in zip(*parts, strict=True)]).reshape(weight.shape)
        return dx.swapaxes(0, 1) if wanted[0] else None, dweight, None

    return feature_map(y.reshape(o, -1), (len(x), o, *windows.positions)), pull


def _each(matrices: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
    """out = matrix · columns for each group."""
    for k, matrix in enumerate(matrices):
        rows, results = (slice(k * size, (k + 1) * size) for size in (matrix.shape[1], len(matrix)))
        multiply(matrix, columns[rows], out[results])
