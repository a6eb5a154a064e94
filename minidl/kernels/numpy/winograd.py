"""Winograd's way with kernels of three rows: for two rows of results, 4 products with rows of the kernel in place of 6.

Neighbouring rows of results, y₀ and y₁, see the rows d₀ … d₃ of the image, two of them in common. So with the rows of
the kernel w₀, w₁, w₂, and * for what they do along a row of the image,

    a = w₀ * (d₀ - d₂)    b = -w₂ * (d₁ - d₃)    p = (w₀ + w₁ + w₂)/2 * (d₁ + d₂)    m = (w₀ - w₁ + w₂)/2 * (d₂ - d₁)

    y₀ = a + p + m        y₁ = b + p - m

(Lavin & Gray, arXiv:1509.09308, equation 5: F(2, 3)), or y = Aᵀ[G w * Bᵀ d] for the matrices of these sums. What * sees
are columns; they are made of the sums, so that there are 12 numbers for every two pixels and not 18. The rows of an
image are sorted first, all odd ones before all even ones, so that there are long runs to add up. Rounding errors are of
the size of those of plain products, measured by the largest of three neighbouring rows. (An infinity makes NaNs of the
rows around it, and half of the largest number is too large.)

The gradient at x is the same with the kernel w' turned by 180°, for which a and b just change their places and signs,
so that G w serves as it is; and the columns are those that the gradient of the weights needs, a product with x:

    dx = Aᵀ[G w' * Bᵀ g]        dw' = Gᵀ[Bᵀ g · (A x)ᵀ]
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from minidl.kernels.common.convolution import Geometry
from minidl.kernels.common.slices import tiles
from minidl.kernels.numpy.multiply import multiply, outer
from minidl.kernels.numpy.parallel import parallel, scratch
from minidl.kernels.numpy.plane import Shifts, Source, Tile, cut
from minidl.kernels.numpy.product import total

CHANNELS = 16
"""How many channels there must be on either side for this to pay."""

POSITIONS, WORK = 512, 1 << 23
"""How many pixels, and multiplications, there must be, or adding up the kernel's rows costs too much."""

PART = 1 << 16
"""How many weights to add up at a time."""


def suits(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> bool:
    """Whether a convolution is better computed in this way."""
    (n, c, h, w), o = x.shape, len(weight)
    fits = weight.shape[2] == 3 and geometry.padding[0] == (1, 1) and h % 2 == 0
    return fits and min(o, c) >= CHANNELS and n * h * w >= max(POSITIONS, WORK // weight.size)


class Winograd:
    """A kernel of three rows, for images of an even height that keep their size."""

    def __init__(self, kernel: np.ndarray, size: tuple[int, int], geometry: Geometry):
        self.kernel, self.size, self.shape = kernel, size, kernel.shape
        step, start = geometry.dilation[1], -geometry.padding[1][0]
        self.shifts = Shifts(range(1), range(start, start + kernel.shape[3] * step, step), (size[0] // 2, size[1]))
        self.row = np.dtype(f"V{size[1] * kernel.itemsize}")
        self.weight = self._transform()

    @cached_property
    def turned(self) -> np.ndarray:
        """The matrices of all products with the turned kernel, (4, C, O·J)."""
        return self.weight.reshape(4, -1, self.shape[1]).swapaxes(1, 2)

    def tiles(self, n: int) -> list[Tile]:
        """Pairs of rows. There are J columns of each sum, the sum itself, and of x and y four more numbers."""
        (o, c, _, j), (height, width) = self.shape, self.size
        return cut(n, (height // 2, 2 * width), (2 * j + 1) * max(o, c) + 4 * c, j * o * c)

    def forward(self, x: Source, tile: Tile, outputs: slice, y: np.ndarray) -> None:
        """Write a tile of some outputs, planes (outputs, N, H·W)."""
        (n, pixels), (_, c, _, j) = tile.shape, self.shape
        columns = scratch("columns", (4, j * c, tile.positions // 2), x.dtype)
        self._unfold(x, tile, self.shifts, False, columns.reshape(4, j, c, n, pixels // 2))
        products = scratch("products", (4, len(y), tile.positions // 2), x.dtype)
        multiply(self.weight[:, outputs].reshape(4, len(y), -1), columns, products)
        self._gather(products, False, tile.matrix(y))

    def backward(
        self, x: np.ndarray | None, g: Source, tile: Tile, inputs: slice, dx: np.ndarray | None
    ) -> np.ndarray | None:
        """Write a tile of some inputs' dx (inputs, positions); return what it adds to dW', given the tile of x."""
        (n, pixels), (o, _, _, j) = tile.shape, self.shape
        columns = scratch("columns", (4, o * j, tile.positions // 2), g.dtype)
        self._unfold(g, tile, self.shifts.reversed(), True, columns.reshape(4, o, j, n, pixels // 2).swapaxes(1, 2))
        if dx is not None:
            products = scratch("products", (4, len(dx), tile.positions // 2), g.dtype)
            multiply(self.turned[:, inputs], columns, products)
            self._gather(products, True, dx)
        return None if x is None else outer(columns, self._sums(x))

    def gradient(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """dW (O, C, 3, J) from what `backward` returned for all tiles."""
        o, c, _, j = self.shape
        found = [part.reshape(4, o, j, c) for part in parts]
        rows = np.empty((o, c, 3, j), parts[0].dtype).transpose(2, 0, 3, 1)

        def add_up(part: slice) -> None:
            top, bottom, plus, minus = total([weights[:, part] for weights in found])
            w0, w1, w2 = rows[:, part]
            half = (plus + minus) / 2
            np.add(half, top, out=w0)
            np.divide(plus - minus, 2, out=w1)
            np.subtract(half, bottom, out=w2)

        parallel(add_up, tiles(o, 3 * j * c, PART))
        return rows.transpose(1, 3, 0, 2)

    def _transform(self) -> np.ndarray:
        """G w, (4, O, J, C)."""
        o, c, _, j = self.shape
        found = np.empty((4, o, j, c), self.kernel.dtype)

        def add_up(part: slice) -> None:
            w0, w1, w2 = np.ascontiguousarray(self.kernel[part].transpose(2, 0, 3, 1))
            top, bottom, plus, minus = found[:, part]
            np.copyto(top, w0)
            np.negative(w2, out=bottom)
            half = (w0 + w2) / 2
            np.add(half, w1 / 2, out=plus)
            np.subtract(half, w1 / 2, out=minus)

        parallel(add_up, tiles(o, 3 * j * c, PART))
        return found

    def _unfold(self, source: Source, tile: Tile, shifts: Shifts, turned: bool, out: np.ndarray) -> None:
        """Columns of Bᵀ d, (4, J, C, n, pixels / 2); for a kernel that is `turned`, those of -b and -a come first."""
        (n, half), width, margin = out.shape[3:], self.size[1], shifts.margin
        rows = self._sorted(source, tile)
        sums = scratch("sums of rows", (4, rows.shape[1] + 2 * margin), out.dtype)
        inside = sums[:, margin : margin + rows.shape[1] - width]
        (d0, d1), (d2, d3) = rows[:, :-width], rows[:, width:]
        if turned:
            np.subtract(d3, d1, out=inside[0])
            np.subtract(d2, d0, out=inside[1])
        else:
            np.subtract(d0, d2, out=inside[0])
            np.subtract(d1, d3, out=inside[1])
        np.add(d1, d2, out=inside[2])
        np.subtract(d2, d1, out=inside[3])
        item, image = out.itemsize, half + width  # of each image there is a row more
        strides = (sums.strides[0], shifts.acrosses.step * item, n * image * item, image * item, item)
        np.copyto(out, np.ndarray(out.shape, out.dtype, sums, (margin + shifts.acrosses.start) * item, strides))
        shifts.clear(out.swapaxes(0, 1), shifts.acrosses, 0)

    def _sorted(self, source: Source, tile: Tile) -> np.ndarray:
        """All odd rows of a tile and the one before it, all even ones and the one after, (2, C·n·(pixels / 2 + W))."""
        n, width = tile.shape[0], self.size[1]
        start, stop = tile.pixels.start // width, tile.pixels.stop // width
        above, below = start > 0, stop < self.size[0]
        seen = Tile(tile.images, slice((start - above) * width, (stop + below) * width))
        rows = self._rows(source.matrix(seen)).reshape(source.channels, n, -1)
        count, first_odd = (stop - start) // 2, 1 - above
        found = scratch("sorted rows", (2, source.channels, n, (count + 1) * width), source.dtype)
        odd, even = self._rows(found)
        odd[..., first_odd:] = rows[..., first_odd::2]
        even[..., : count + below] = rows[..., 1 - first_odd :: 2]
        if not above:
            found[0, ..., :width] = 0
        if not below:
            found[1, ..., -width:] = 0
        return found.reshape(2, -1)

    def _sums(self, x: np.ndarray) -> np.ndarray:
        """A x, (4, C, positions / 2), for the kernel upside down and x (C, positions)."""
        sums = scratch("sums", (4, len(x), x.shape[1] // 2), x.dtype)
        self._rows(sums)[:2] = self._rows(x).reshape(len(x), -1, 2).transpose(2, 0, 1)[::-1]
        odd, even, plus, minus = sums
        np.add(even, odd, out=plus)
        np.subtract(even, odd, out=minus)
        return sums

    def _gather(self, products: np.ndarray, turned: bool, out: np.ndarray) -> None:
        """y = Aᵀ · products (4, O, positions / 2), (O, positions); it takes their memory."""
        results, (plus, minus) = products[:2], products[2:]
        np.add(results, plus, out=results)
        results = results[::-1] if turned else results
        y0, y1 = results
        np.add(y0, minus, out=y0)
        np.subtract(y1, minus, out=y1)
        self._rows(out).reshape(len(out), -1, 2)[...] = self._rows(results).transpose(1, 2, 0)

    def _rows(self, pixels: np.ndarray) -> np.ndarray:
        """Rows of an image as single items, for NumPy to copy at once: a view (..., H) of (..., H·W)."""
        return pixels.view(self.row)
