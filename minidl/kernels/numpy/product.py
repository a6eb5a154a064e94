"""Two ways to convolve a tile at stride 1 when the image keeps its size: as one product, or as one with shifts.

With W_k (O, C) the weights of the kernel's element k, and S_k the shift of the pixels that this element sees:

    pointwise    y = W x                       dx = Wᵀ g                        dW = g xᵀ
    wide         y = W · [S_k x]_k             dx = [W_kᵀ]_k · [S_kᵀ g]_k       dW_k = S_kᵀ g · xᵀ
    thin         y = Σ_k S_k (W_k x)           the same

[·]_k are columns, I·J times as many numbers as the map they are made of: made of x in the wide way, in the thin way
(for fewer output channels than input channels) the product comes first and I·J·O rows move instead of I·J·C. In the
backward pass the columns of g serve both gradients.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.common.convolution import Geometry
from minidl.kernels.numpy.parallel import scratch
from minidl.kernels.numpy.plane import Shifts, Tile, cut


class Pointwise:
    """A 1×1 kernel."""

    def __init__(self, weight: np.ndarray, size: tuple[int, int]):
        self.weight, self.size = weight.reshape(weight.shape[:2]), size

    def tiles(self, n: int) -> list[Tile]:
        return cut(n, self.size, sum(self.weight.shape))

    def halo(self, tile: Tile) -> slice:
        """The pixels that those of a tile see."""
        return tile.pixels

    def forward(self, x: np.ndarray, halo: slice, tile: Tile, y: np.ndarray) -> None:
        """Write this tile of y, planes (O, N, H·W), given x (C, n, halo)."""
        np.matmul(self.weight, x.reshape(len(x), -1), out=tile.matrix(y))

    def backward(self, x: np.ndarray | None, g: np.ndarray, tile: Tile, dx: np.ndarray | None) -> np.ndarray | None:
        """Write dx (C, positions), and return what this tile adds to dW', given x (C, n, pixels) and g's planes."""
        upstream = tile.matrix(g)
        if dx is not None:
            np.matmul(self.weight.T, upstream, out=dx)
        return None if x is None else x.reshape(len(x), -1) @ upstream.T

    def gradient(self, dweight: np.ndarray) -> np.ndarray:
        """dW (O, C, I, J) from the sum of what `backward` returned."""
        return np.ascontiguousarray(dweight.T)[:, :, None, None]


class Shifted:
    """A kernel of any size whose padding lets the image keep its size."""

    def __init__(self, weight: np.ndarray, size: tuple[int, int], geometry: Geometry):
        o, c, i, j = self.shape = weight.shape
        (top, _), (left, _) = geometry.padding
        downs = [k * geometry.dilation[0] - top for k in range(i)]
        acrosses = [k * geometry.dilation[1] - left for k in range(j)]
        self.size, self.shifts = size, Shifts(downs, acrosses, size)
        self.adjoint = self.shifts.reversed()
        self.thin = o < c
        self.narrow = 2 * c < o  # the columns of x are so much smaller that dW is had from these
        order = (2, 3, 0, 1) if self.thin else (0, 2, 3, 1)
        self.weight = np.ascontiguousarray(weight.transpose(order)).reshape(
            -1 if self.thin else o, -1 if not self.thin else c
        )
        self.turned = np.ascontiguousarray(weight.transpose(1, 2, 3, 0)).reshape(c, i * j * o)

    def tiles(self, n: int) -> list[Tile]:
        o, c, i, j = self.shape
        return cut(n, self.size, i * j * min(o, c) + o + c)

    def halo(self, tile: Tile) -> slice:
        """The pixels that those of a tile see."""
        return self.shifts.halo(tile)

    def forward(self, x: np.ndarray, halo: slice, tile: Tile, y: np.ndarray) -> None:
        """Write this tile of y, planes (O, N, H·W), given x (C, n, halo)."""
        if not self.thin:
            np.matmul(self.weight, self.shifts.unfold(x, halo.start, tile), out=tile.matrix(y))
            return
        o, c, i, j = self.shape
        products = scratch("products", (i * j * o, x[0].size), x.dtype)
        np.matmul(self.weight, x.reshape(c, -1), out=products)
        self.shifts.gather(products.reshape(i * j, o, *x.shape[1:]), halo, tile, tile.of(y))

    def backward(self, x: np.ndarray | None, g: np.ndarray, tile: Tile, dx: np.ndarray | None) -> np.ndarray | None:
        """Write dx (C, positions), and return what this tile adds to dW', given x (C, n, pixels) and g's planes."""
        columns = self.adjoint.unfold(g[:, tile.images], 0, tile)
        if dx is not None:
            np.matmul(self.turned, columns, out=dx)
        return None if x is None else columns @ x.reshape(len(x), -1).T

    def gradient(self, dweight: np.ndarray) -> np.ndarray:
        """dW (O, C, I, J) from the sum of what `backward` returned."""
        o, c, i, j = self.shape
        return np.ascontiguousarray(dweight.reshape(i, j, o, c).transpose(2, 3, 0, 1))
