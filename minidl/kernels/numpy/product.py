"""Ways to convolve a tile by one product, at stride 1 when the image keeps its size.

With W_k (O, C) the weights of the kernel's element k, and S_k the shift of the pixels that this element sees:

    pointwise    y = W x                       dx = Wᵀ g                        dW = g xᵀ
    wide         y = W · [S_k x]_k             dx = [W_kᵀ]_k · [S_kᵀ g]_k       dW_k = S_kᵀ g · xᵀ
    thin         y = Σ_k S_k (W_k x)           the same

[·]_k are columns, I·J times as many numbers as the map they are made of: made of x in the wide way, in the thin way
(for fewer output channels than input channels) the product comes first and I·J·O rows move instead of I·J·C. In the
backward pass the columns of g serve both gradients; where few channels come in, dx is had in the thin way and dW from
the columns of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from minidl.kernels.common.convolution import Geometry
from minidl.kernels.numpy.multiply import multiply, outer
from minidl.kernels.numpy.plane import TILES, WORK, Shifts, Source, Tile, cut


class Product:
    """A kernel (O, C, I, J) for images of one size."""

    def __init__(self, kernel: np.ndarray, size: tuple[int, int]):
        self.kernel, self.size = kernel, size

    def tiles(self, n: int) -> list[Tile]:
        """The planes of n images in tiles."""
        raise NotImplementedError

    def parts(self, n: int, channels: int) -> list[tuple[Tile, slice]]:
        """Tiles and the channels to compute for them: all, or some of them where there is but one tile."""
        tiles = self.tiles(n)
        turns = min(TILES, tiles[0].positions * self.kernel.size // WORK) if len(tiles) == 1 else 1
        step = -(-channels // max(1, turns))
        return [(tile, slice(i, min(i + step, channels))) for tile in tiles for i in range(0, channels, step)]


class Pointwise(Product):
    """A 1×1 kernel."""

    inputs_axis = 0  # of dW'

    def __init__(self, kernel: np.ndarray, size: tuple[int, int]):
        super().__init__(kernel, size)
        self.weight = kernel.reshape(kernel.shape[:2])

    @cached_property
    def turned(self) -> np.ndarray:
        """Wᵀ."""
        return np.ascontiguousarray(self.weight.T)

    def tiles(self, n: int) -> list[Tile]:
        work = -(-self.weight.size // 2)  # half of it, as its rows are read from far apart: longer runs are quicker
        return cut(n, self.size, sum(self.weight.shape), work)

    def forward(self, x: Source, tile: Tile, outputs: slice, y: np.ndarray) -> None:
        """Write a tile of some outputs, planes (outputs, N, H·W)."""
        multiply(self.weight[outputs], x.matrix(tile), tile.matrix(y))

    def backward(
        self, x: np.ndarray | None, g: Source, tile: Tile, inputs: slice, dx: np.ndarray | None
    ) -> np.ndarray | None:
        """Write a tile of some inputs' dx (inputs, positions); return what it adds to dW', given the tile of x."""
        upstream = g.matrix(tile)
        if dx is not None:
            multiply(self.turned[inputs], upstream, dx)
        return None if x is None else outer(x, upstream)

    def gradient(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """dW (O, C, 1, 1) from what `backward` returned for all tiles."""
        return np.ascontiguousarray(total(parts).T)[:, :, None, None]


class Shifted(Product):
    """A kernel of any size whose padding lets the image keep its size."""

    inputs_axis = 1  # of dW'

    def __init__(self, kernel: np.ndarray, size: tuple[int, int], geometry: Geometry):
        super().__init__(kernel, size)
        o, c, i, j = self.shape = kernel.shape
        starts, steps = [-before for before, _ in geometry.padding], geometry.dilation
        ranges = [range(at, at + k * step, step) for at, k, step in zip(starts, (i, j), steps, strict=True)]
        self.shifts = Shifts(ranges[0], ranges[1], size)
        self.thin, self.few = o < c, 2 * c < o
        self.weight = self.transform()

    def transform(self) -> np.ndarray:
        """The weights as `forward` wants them: all W_k one below the other, or one beside the other."""
        return self.turned.T if self.thin else self.kernel.reshape(len(self.kernel), -1)

    @cached_property
    def adjoint(self) -> Shifts:
        """For gradients."""
        return self.shifts.reversed()

    @cached_property
    def turned(self) -> np.ndarray:
        """[W_kᵀ]_k (C, O·I·J): the transpose of all W_k one below the other."""
        o, c, i, j = self.shape
        return np.ascontiguousarray(self.kernel.transpose(0, 2, 3, 1)).reshape(o * i * j, c).T

    def tiles(self, n: int) -> list[Tile]:
        o, c, i, j = self.shape
        return cut(n, self.size, i * j * min(o, c) + o + c, self.weight.size)

    def forward(self, x: Source, tile: Tile, outputs: slice, y: np.ndarray) -> None:
        """Write a tile of some outputs, planes (outputs, N, H·W)."""
        if not self.thin:
            multiply(self.weight[outputs], self.shifts.unfold(x, tile), tile.matrix(y))
            return
        laid = self.shifts.lay_out(x, tile)
        products, matrix = self.shifts.rows("products", len(y), laid.shape[1:], laid.dtype)
        elements = len(self.weight) // len(self.kernel)
        multiply(self.weight[outputs.start * elements : outputs.stop * elements], laid, matrix)
        self.shifts.gather(products, tile, tile.of(y))

    def backward(
        self, x: np.ndarray | None, g: Source, tile: Tile, inputs: slice, dx: np.ndarray | None
    ) -> np.ndarray | None:
        """Write a tile of some inputs' dx (inputs, positions); return what it adds to dW', given the tile of x."""
        columns = self.adjoint.unfold(g, tile)
        if dx is not None:
            multiply(self.turned[inputs], columns, dx)
        return None if x is None else outer(columns, x)

    def backward_to_few(self, x: Source | None, g: Source, tile: Tile, dx: np.ndarray | None) -> np.ndarray | None:
        """The same by the columns of x, and for dx by the product before the shifts: for few input channels."""
        o, c, i, j = self.shape
        if dx is not None:
            laid = self.adjoint.lay_out(g, tile)
            products, matrix = self.adjoint.rows("products", c, laid.shape[1:], laid.dtype)
            multiply(self.kernel.transpose(1, 2, 3, 0).reshape(-1, o), laid, matrix)
            self.adjoint.gather(products, tile, dx.reshape(c, *tile.shape))
        if x is None:
            return None
        part = outer(self.shifts.unfold(x, tile), g.matrix(tile))
        return part.reshape(c, i * j, o).transpose(2, 1, 0).reshape(o * i * j, c)

    def gradient(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """dW (O, C, I, J) from what `backward` returned for all tiles."""
        o, c, i, j = self.shape
        return np.ascontiguousarray(total(parts).reshape(o, i, j, c).transpose(0, 3, 1, 2))


def total(parts: Sequence[Any]) -> np.ndarray:
    """The sum of what the tiles contributed, in their order and in the memory of the first."""
    first: np.ndarray
    first, *rest = parts
    for part in rest:
        np.add(first, part, out=first)
    return first
