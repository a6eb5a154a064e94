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
from minidl.kernels.numpy.parallel import scratch
from minidl.kernels.numpy.plane import Shifts, Source, Tile, cut


class Pointwise:
    """A 1×1 kernel."""

    def __init__(self, kernel: np.ndarray, size: tuple[int, int]):
        self.kernel, self.size = kernel, size
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
        return None if x is None else outer(upstream, x)

    def gradient(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """dW (O, C, 1, 1) from what `backward` returned for all tiles."""
        return np.ascontiguousarray(total(parts))[:, :, None, None]


class Shifted:
    """A kernel of any size whose padding lets the image keep its size."""

    def __init__(self, kernel: np.ndarray, size: tuple[int, int], geometry: Geometry):
        self.kernel, self.size = kernel, size
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
        elements = self.shape[2] * self.shape[3]
        weight = self.weight[outputs.start * elements : outputs.stop * elements]
        product_first(weight, self.shifts, x, tile, tile.of(y))

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
            product_first(self.kernel.reshape(o, -1).T, self.adjoint, g, tile, dx.reshape(c, *tile.shape))
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


def product_first(weight: np.ndarray, shifts: Shifts, source: Source, tile: Tile, out: np.ndarray) -> None:
    """out (O, n, pixels) = Σ_k S_k (W_k x), with the weights (O·I·J, C)."""
    laid = shifts.lay_out(source, tile)
    products = scratch("products", (len(out), *shifts.elements, laid.shape[1]), laid.dtype)
    multiply(weight, laid, products.reshape(-1, laid.shape[1]))
    shifts.gather(products, tile, out)
