"""A feature map as flat planes (C, N, H·W): tiles of it, and a kernel's elements as shifts along a plane.

On a plane flattened row by row, the neighbour (dy, dx) of every pixel is at the same distance, dy·W + dx. So what one
element of a kernel sees is one long slice; only where a row's end meets the next row's begin it sees the wrong
pixels, dx columns of them, and there, as beyond the plane, the padding's zeros belong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from minidl.kernels.common.layout import rows
from minidl.kernels.common.slices import evenly, slices
from minidl.kernels.numpy.parallel import scratch

POSITIONS = 256
"""How many positions a tile has at least: fewer make products that are all overhead."""

TILE = 1 << 20
"""How many numbers a tile may have, its columns included: 4 MB of float32, a core's share of the last cache."""

WORK = 1 << 24
"""How many multiplications a tile should have, a few tenths of a millisecond: then threads rarely wait for Python."""

LEAST = 1 << 22
"""How many it should have at least: to pass a tile to another thread takes longer than fewer do."""

TILES = 8
"""How many tiles there should be, so that no thread waits long for the last."""


def planes(x: np.ndarray) -> np.ndarray:
    """x (N, C, H, W) as (C, N, H·W): a view if x is channel-major in memory, its pixels side by side, else a copy."""
    n, c, h, w = x.shape
    found = rows(x).reshape(c, n, h * w)
    return found if found.strides[-1] == found.itemsize else found.copy()


class Tile(NamedTuple):
    """Some whole images, or some rows of one."""

    images: slice
    pixels: slice

    @property
    def shape(self) -> tuple[int, int]:
        """How many images, and pixels of each."""
        return self.images.stop - self.images.start, self.pixels.stop - self.pixels.start

    @property
    def positions(self) -> int:
        """How many pixels in all."""
        return math.prod(self.shape)

    def of(self, array: np.ndarray) -> np.ndarray:
        """Its part of some planes, (C, n, pixels)."""
        return array[:, self.images, self.pixels]

    def matrix(self, array: np.ndarray) -> np.ndarray:
        """The same with one row a channel: a view."""
        return self.of(array).reshape(len(array), -1)


def cut(n: int, size: tuple[int, int], numbers: int, work: int) -> list[Tile]:
    """n planes of this size in tiles, if there are so many numbers, and multiplications, to a position."""
    height, width = size
    total, plane = n * height * width, height * width
    positions = max(POSITIONS, LEAST // work, min(TILE // numbers, WORK // work, -(-total // TILES)))
    if positions >= plane:
        count = max(1, positions // max(plane, 1))
        return [Tile(images, slice(0, plane)) for images in slices(n, count)]
    bands = evenly(height, max(1, positions // width))
    return [Tile(slice(i, i + 1), slice(band.start * width, band.stop * width)) for i in range(n) for band in bands]


def share(tiles: list[Tile], channels: int, work: int) -> list[tuple[Tile, slice]]:
    """Tiles and the channels to compute for them: all, or some of them where there is but one tile with much work."""
    turns = min(TILES, tiles[0].positions * work // WORK) if len(tiles) == 1 else 1
    step = -(-channels // max(1, turns))
    return [(tile, part) for tile in tiles for part in slices(channels, step)]


class Source:
    """Planes (C, N, H·W) to read from. (Those of a chain are computed as they are read.)"""

    def __init__(self, array: np.ndarray):
        self.array, self.channels, self.dtype = array, len(array), array.dtype

    def write(self, images: slice, pixels: slice, out: np.ndarray) -> None:
        """A part of the planes, into `out` (C, n, pixels)."""
        np.copyto(out, self.array[:, images, pixels])

    def matrix(self, tile: Tile) -> np.ndarray:
        """A tile with one row a channel."""
        return tile.matrix(self.array)


class Shifts:
    """The elements of a kernel as shifts (dy, dx) over planes of one size: pixel p sees pixel p + dy·W + dx."""

    def __init__(self, downs: range, acrosses: range, size: tuple[int, int]):
        self.downs, self.acrosses, self.size = downs, acrosses, size
        self.elements, self.plane, self.width = (len(downs), len(acrosses)), math.prod(size), size[1]
        self.margin = max(abs(down * self.width + across) for down in downs for across in acrosses)

    def reversed(self) -> Shifts:
        """The adjoint: p + shift sees p."""
        downs, acrosses = (range(-r.start, -r.stop, -r.step) for r in (self.downs, self.acrosses))
        return Shifts(downs, acrosses, self.size)

    def lay_out(self, source: Source, tile: Tile) -> np.ndarray:
        """The tile's images in rows (C, margin + n·(pixels + margin)): what is around a tile stands in the margins."""
        c, n, margin = source.channels, tile.images.stop - tile.images.start, self.margin
        start, count = tile.pixels.start, tile.pixels.stop - tile.pixels.start
        seen = slice(max(0, start - margin), min(self.plane, tile.pixels.stop + margin)) if n == 1 else tile.pixels
        laid = scratch("laid out", (c, margin + n * (count + margin)), source.dtype)
        images = laid[:, margin:].reshape(c, n, count + margin) if n > 1 else laid[:, None]
        first = 0 if n > 1 else margin + seen.start - start
        last = first + seen.stop - seen.start
        if n > 1:
            laid[:, :margin] = 0
        elif first:
            images[..., :first] = 0
        if last < images.shape[2]:
            images[..., last:] = 0
        source.write(tile.images, seen, images[..., first:last])
        return laid

    def unfold(self, source: Source, tile: Tile) -> np.ndarray:
        """What a tile's pixels see, (C·I·J, positions): one copy, and zeros where a step across left the row."""
        laid = self.lay_out(source, tile)
        columns = scratch("columns", (len(laid), *self.elements, *tile.shape), laid.dtype)
        np.copyto(columns, self._seen(laid, columns.shape))
        self.clear(columns.swapaxes(0, 2), self.acrosses, 0)
        return columns.reshape(-1, tile.positions)

    def gather(self, products: np.ndarray, tile: Tile, out: np.ndarray) -> None:
        """out (O, n, pixels) = Σ over i, j of products (O, I, J, as laid out), each at what a pixel sees."""
        n, count = tile.shape
        images, first = products, self.margin
        if n > 1:
            images, first = products[..., first:].reshape(*products.shape[:3], n, count + first), 0
        self.clear(images.swapaxes(0, 2), [-across for across in self.acrosses], first)
        near = scratch("near", (len(products), n, count), products.dtype)  # where adding nine times is quicker
        np.add.reduce(self._seen(products, (*products.shape[:3], n, count)), axis=(1, 2), out=near)
        np.copyto(out, near)

    def _seen(self, laid: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """What each pixel sees, a view (C, I, J, n, pixels) of rows (C, as laid out), or of (C, I, J, as laid out)."""
        rows, columns = laid.strides[1:3] if laid.ndim == 4 else (0, 0)
        strides = (
            laid.strides[0],
            rows + self.downs.step * self.width * laid.itemsize,
            columns + self.acrosses.step * laid.itemsize,
            (shape[-1] + self.margin) * laid.itemsize,
            laid.itemsize,
        )
        first = self.margin + self.downs.start * self.width + self.acrosses.start
        return np.ndarray(shape, laid.dtype, laid, first * laid.itemsize, strides)

    def clear(self, columns: np.ndarray, acrosses: Iterable[int], first: int) -> None:
        """Zeros in columns (J, ..., pixels) where a step across leaves the row; a row begins with pixel `first`."""
        for j, across in enumerate(acrosses):
            for k in range(max(0, self.width - across), self.width) if across > 0 else range(min(-across, self.width)):
                columns[j, ..., (first + k) % self.width :: self.width] = 0
