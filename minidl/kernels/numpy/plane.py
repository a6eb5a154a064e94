"""A feature map as flat planes (C, N, H·W): tiles of it, and a kernel's elements as shifts along a plane.

On a plane flattened row by row, the neighbour (dy, dx) of every pixel is at the same distance, dy·W + dx. So what one
element of a kernel sees is one long slice; only where a row's end meets the next row's begin it sees the wrong
pixels, dx columns of them, and there, as beyond the plane, the padding's zeros belong.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minidl.kernels.common.layout import rows
from minidl.kernels.numpy.parallel import scratch

POSITIONS = 512
"""How many positions a tile has at least: fewer make products that are all overhead."""

TILE = 1 << 18
"""How many numbers a tile should have, its columns included: 1 MB of float32, a core's own cache."""

TILES = 8
"""How many tiles there should be, so that no thread waits long for the last."""


def planes(x: np.ndarray) -> np.ndarray:
    """x (N, C, H, W) as (C, N, H·W): a view if x is channel-major in memory, else a copy."""
    n, c, h, w = x.shape
    return rows(x).reshape(c, n, h * w)


class Tile(NamedTuple):
    """Some whole images, or some rows of one."""

    images: slice
    pixels: slice

    def of(self, array: np.ndarray) -> np.ndarray:
        """Its part of some planes, (C, n, pixels)."""
        return array[:, self.images, self.pixels]

    def matrix(self, array: np.ndarray) -> np.ndarray:
        """The same with one row a channel: a view."""
        return self.of(array).reshape(len(array), -1)


def cut(n: int, size: tuple[int, int], numbers: int) -> list[Tile]:
    """n planes of this size in tiles, if there are so many numbers to a position."""
    height, width = size
    total, plane = n * height * width, height * width
    positions = max(POSITIONS, min(TILE // numbers, -(-total // TILES)))
    if positions >= plane:
        count = max(1, positions // max(plane, 1))
        return [Tile(slice(i, min(i + count, n)), slice(0, plane)) for i in range(0, n, count)]
    lines = -(-height // -(-height // max(1, positions // width)))  # as even as can be
    pieces = [slice(r * width, min(r + lines, height) * width) for r in range(0, height, lines)]
    return [Tile(slice(i, i + 1), piece) for i in range(n) for piece in pieces]


class Shifts:
    """The elements of a kernel as shifts (dy, dx) over planes of one size: pixel p sees pixel p + dy·W + dx."""

    def __init__(self, downs: list[int], acrosses: list[int], size: tuple[int, int]):
        self.downs, self.acrosses, self.size = downs, acrosses, size
        self.plane, self.width = math.prod(size), size[1]
        self.offsets = [down * self.width + across for down in downs for across in acrosses]

    def reversed(self) -> Shifts:
        """The adjoint: p + shift sees p."""
        return Shifts([-down for down in self.downs], [-across for across in self.acrosses], self.size)

    def halo(self, tile: Tile) -> slice:
        """The pixels, in whole rows, that those of a tile see."""
        first = tile.pixels.start + min(self.downs) * self.width
        last = tile.pixels.stop + max(self.downs) * self.width
        return slice(max(0, min(first, self.plane)), max(0, min(last, self.plane)))

    def unfold(self, source: np.ndarray, origin: int, tile: Tile) -> np.ndarray:
        """What a tile's pixels see, (I·J·C, positions); the source (C, n, pixels) begins with the pixel `origin`."""
        c, n, length = source.shape
        start, stop = tile.pixels.start, tile.pixels.stop
        columns = scratch("columns", (len(self.offsets), c, n, stop - start), source.dtype)
        for column, offset in zip(columns, self.offsets, strict=True):
            first = min(max(start, origin - offset), stop)
            last = max(min(stop, origin + length - offset), first)
            column[..., first - start : last - start] = source[..., first + offset - origin : last + offset - origin]
            column[..., : first - start] = 0
            column[..., last - start :] = 0
        lines = columns.reshape(len(self.downs), len(self.acrosses), c, n, -1, self.width)
        for j, across in enumerate(self.acrosses):
            lines[:, j, ..., _wrapped(across, self.width)] = 0
        return columns.reshape(len(self.offsets) * c, -1)

    def gather(self, products: np.ndarray, halo: slice, tile: Tile, out: np.ndarray) -> None:
        """out (O, n, pixels) = the sum over the kernel of products (I·J, O, n, halo), each at what a pixel sees."""
        lines = products.reshape(len(self.downs), len(self.acrosses), *products.shape[1:3], -1, self.width)
        for j, across in enumerate(self.acrosses):
            lines[:, j, ..., _wrapped(-across, self.width)] = 0
        start, stop = tile.pixels.start, tile.pixels.stop
        whole = next((k for k, shift in enumerate(self.offsets) if shift == 0), None)
        out[...] = 0 if whole is None else products[whole, ..., start - halo.start : stop - halo.start]
        for k, offset in enumerate(self.offsets):
            first, last = max(start, halo.start - offset), min(stop, halo.stop - offset)
            if k != whole and first < last:
                part = out[..., first - start : last - start]
                np.add(part, products[k, ..., first + offset - halo.start : last + offset - halo.start], out=part)


def _wrapped(across: int, width: int) -> slice:
    """The columns from which a step across leaves the row."""
    return slice(max(0, width - across), width) if across > 0 else slice(0, min(-across, width))
