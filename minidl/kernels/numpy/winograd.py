"""Winograd's way with 3×3 kernels: 4 results from 16 products in place of 36.

Two neighbouring results see two pixels in common, so that four products suffice for both where there seem to be six.
In two dimensions, for a tile d of 4×4 pixels and the 2×2 results y that are in it,

    y = Aᵀ [ (G W Gᵀ) ⊙ (Bᵀ d B) ] A           (Lavin & Gray, arXiv:1509.09308, equation 8, F(2×2, 3×3))

For many channels ⊙ becomes 16 products of matrices, (tiles × C) · (C × O), with 2.25 times fewer multiplications than
columns need; for few, the transforms cost more than that gains. Each is eight additions of large arrays, with channels
last, so that these add up long runs of numbers. Rounding errors are a few times those of plain products. The gradients
are had from columns: these serve both of them, and are not slower.

(An infinity in the image makes NaNs of its neighbourhood: the transforms subtract it from itself.)
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.common.convolution import Geometry
from minidl.kernels.common.layout import tiles
from minidl.kernels.numpy.multiply import PIECES, SMALL
from minidl.kernels.numpy.parallel import parallel, scratch
from minidl.kernels.numpy.plane import Source, Tile, cut
from minidl.kernels.numpy.product import Shifted

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])

SAME = Geometry((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
"""The only geometry it is for."""

POSITIONS = 512
"""How many pixels there must be, or the transform of the weights costs too much."""

PLANE = 1024
"""The largest plane: tiles are whole images."""

CHANNELS = 32
"""The least C·O / (C + O), half the harmonic mean of the channels, for which this pays."""

PART = 1 << 18
"""How many numbers of transformed weights to make at a time."""


def suits(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> bool:
    """Whether a convolution is better computed in this way."""
    (n, c, h, w), o = x.shape, len(weight)
    fits = geometry == SAME and h % 2 == w % 2 == 0 and h * w <= PLANE
    return fits and n * h * w >= POSITIONS and c * o >= CHANNELS * (c + o)


class Winograd(Shifted):
    """A 3×3 kernel padded by 1, on images of even height and width."""

    def tiles(self, n: int) -> list[Tile]:
        """Whole images."""
        (o, c, *_), pixels = self.shape, self.size[0] * self.size[1]
        return cut(n, (1, pixels), 6 * (c + o), 4 * c * o)

    def transform(self) -> np.ndarray:
        """G W Gᵀ, (16, C, O)."""
        o, c, *_ = self.shape
        result = np.empty((c, 16, o), self.kernel.dtype)
        elements, both = self.kernel.reshape(o, c, 9).transpose(1, 2, 0), np.kron(G, G).astype(result.dtype)

        def multiply(part: slice) -> None:
            np.matmul(both, elements[part], out=result[part])

        parallel(multiply, tiles(c, 16 * o, PART))
        return result.swapaxes(0, 1)

    def forward(self, x: Source, tile: Tile, outputs: slice, y: np.ndarray) -> None:
        """Write a tile of some outputs, planes (outputs, N, H·W)."""
        n, (h, w), o, c = tile.shape[0], self.size, len(y), x.channels
        count = n * h * w // 4
        spread = scratch("spread", (4, 4, n, h // 2, w // 2, c), x.dtype)
        self._spread(self._bordered(x.matrix(tile)), spread)
        products = scratch("products", (4, 4, n, h // 2, w // 2, o), x.dtype)
        _multiply(spread.reshape(16, count, c), self.weight[..., outputs], products.reshape(16, count, o))
        halves = scratch("halves", (2, 4, n, h // 2, w // 2, o), x.dtype)
        _two_of_four(products, halves)
        results = scratch("results", (n, h // 2, 2, w // 2, 2, o), x.dtype)
        _two_of_four(halves.swapaxes(0, 1), results.transpose(4, 2, 0, 1, 3, 5))
        np.copyto(tile.of(y), results.reshape(n, h * w, o).transpose(2, 0, 1))

    def _bordered(self, matrix: np.ndarray) -> np.ndarray:
        """A tile (C, positions) as (n, H + 2, W + 2, C), with zeros around each image."""
        c, positions = matrix.shape
        h, w = self.size
        near = scratch("near", (c, positions + 16), matrix.dtype)[:, :positions]  # rows not a power of 2 apart
        np.copyto(near, matrix)
        images = scratch("bordered", (positions // (h * w), h + 2, w + 2, c), matrix.dtype)
        images[:, :: h + 1] = 0
        images[:, :, :: w + 1] = 0
        np.copyto(images[:, 1:-1, 1:-1], near.reshape(c, -1, h, w).transpose(1, 2, 3, 0))
        return images

    def _spread(self, images: np.ndarray, out: np.ndarray) -> None:
        """out (4, 4, n, H/2, W/2, C) = Bᵀ d B for all tiles d of bordered images."""
        n, h, w, c = images.shape
        halves = scratch("halves", (4, n, h // 2 - 1, w, c), images.dtype)
        _four_of_four(images.swapaxes(0, 1), halves.swapaxes(1, 2))
        _four_of_four(halves.transpose(3, 0, 1, 2, 4), out.transpose(1, 4, 0, 2, 3, 5))


def _four_of_four(d: np.ndarray, out: np.ndarray) -> None:
    """out[:, t] = Bᵀ d[2t : 2t + 4] along the first axis."""
    d0, d1, d2, d3 = d[:-2:2], d[1:-1:2], d[2::2], d[3::2]
    np.subtract(d0, d2, out=out[0])
    np.add(d1, d2, out=out[1])
    np.subtract(d2, d1, out=out[2])
    np.subtract(d1, d3, out=out[3])


def _two_of_four(m: np.ndarray, out: np.ndarray) -> None:
    """out = Aᵀ m along the first axis."""
    np.add(m[0], m[1], out=out[0])
    np.add(out[0], m[2], out=out[0])
    np.subtract(m[1], m[2], out=out[1])
    np.subtract(out[1], m[3], out=out[1])


def _multiply(x: np.ndarray, weight: np.ndarray, out: np.ndarray) -> None:
    """16 products (tiles, C) · (C, O), in pieces that OpenBLAS takes for small where it can: see `multiply`."""
    count = x.shape[1]
    piece = next((p for p in PIECES if p * weight[0].size <= SMALL and count % p == 0), count)
    np.matmul(x.reshape(16, -1, piece, x.shape[2]), weight[:, None], out=out.reshape(16, -1, piece, out.shape[2]))
