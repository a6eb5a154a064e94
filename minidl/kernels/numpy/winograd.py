"""Winograd's way with kernels of three rows: for two rows of results, 4 products with rows of the kernel in place of 6.

Neighbouring rows of results, y₀ and y₁, see the rows d₀ … d₃ of the image, two of them in common. So with the rows of
the kernel w₀, w₁, w₂, and * for what they do along a row of the image,

    a = -w₀ * (d₂ - d₀)    b = -w₂ * (d₁ - d₃)    p = (w₀ + w₁ + w₂)/2 * (d₁ + d₂)    m = (w₀ - w₁ + w₂)/2 * (d₂ - d₁)

    y₀ = a + p + m        y₁ = b + p - m

(Lavin & Gray, arXiv:1509.09308, equation 5: F(2, 3)), or y = Aᵀ[G w * Bᵀ d] for the matrices of these sums. What * sees
are columns; they are made of the sums, so that there are 12 numbers for every two pixels and not 18. With many channels
it pays to treat the columns of the kernel in the same way: y = Aᵀ[G w Gᵀ · Bᵀ d B] A has 16 products of single numbers
in place of 36, for four pixels, and no columns at all.

The rows of an image are sorted first, all odd ones before all even ones, and so are its columns, so that there are long
runs to add up. Rounding errors are of the size of those of plain products, measured by the largest of the neighbouring
numbers. (An infinity makes NaNs around it, and half of the largest number is too large.)

The gradient at x is the same with the kernel w' turned by 180°, for which a and b just change places, so that G w
serves as it is; and the columns are those that the gradient of the weights needs, a product with x:

    dx = Aᵀ[G w' * Bᵀ g]        dw' = Gᵀ[Bᵀ g · (A x)ᵀ]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from minidl.kernels.common.convolution import Geometry
from minidl.kernels.common.slices import tiles
from minidl.kernels.numpy.multiply import multiply, outer
from minidl.kernels.numpy.parallel import parallel, scratch
from minidl.kernels.numpy.plane import Shifts, Source, Tile, cut
from minidl.kernels.numpy.product import total

CHANNELS, POSITIONS = 16, 512
"""How many channels there must be on either side, and how many pixels, for this to pay."""

MANY, LARGE = 64, 2048
"""The same for both axes."""

WORK = 1 << 23
"""How many multiplications there must be, or adding up the kernel's rows costs too much."""

PART = 1 << 16
"""How many weights to add up at a time."""


def winograd_for(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> type[Rows] | None:
    """Which of the two ways is the best for a convolution that keeps the size of the image, if one of them is."""
    (n, c, h, w), (o, *_) = x.shape, weight.shape
    channels, pixels = min(o, c), n * h * w
    axes = zip(geometry.kernel_size, geometry.dilation, geometry.padding, (h, w), strict=True)
    down, across = ((k, dilation, padding, size % 2) == (3, 1, (1, 1), 0) for k, dilation, padding, size in axes)
    if not down or channels < CHANNELS or pixels < max(POSITIONS, WORK // weight.size):
        return None
    return Both if across and channels >= MANY and pixels >= LARGE else Rows


class Rows:
    """Along the rows: for a kernel of three rows, and images of an even height that keep their size."""

    products, parities = 4, 1
    """How many products there are, and how many parts the columns of an image are sorted into."""

    def __init__(self, kernel: np.ndarray, size: tuple[int, int], geometry: Geometry):
        self.kernel, self.size, self.shape = kernel, size, kernel.shape
        step, start = geometry.dilation[1], -geometry.padding[1][0]
        self.shifts = Shifts(range(1), range(start, start + kernel.shape[3] * step, step), size)
        self.seen = kernel.shape[3] if self.products == 4 else 1  # of the numbers of a row, by one product
        self.row = np.dtype(f"V{size[1] * kernel.itemsize}")
        self.part = np.dtype(f"V{size[1] // self.parities * kernel.itemsize}")
        self.weight = self._transform()

    @cached_property
    def turned(self) -> np.ndarray:
        """The matrices of all products with the turned kernel, (products, C, O·seen)."""
        return self.weight.reshape(self.products, -1, self.shape[1]).swapaxes(1, 2)

    def tiles(self, n: int) -> list[Tile]:
        """Pairs of rows. There are J columns of each sum, the sum itself, and of x and y four more numbers."""
        (o, c, _, j), (height, width) = self.shape, self.size
        return cut(n, (height // 2, 2 * width), (2 * j + 1) * max(o, c) + 4 * c, j * o * c)

    def forward(self, x: Source, tile: Tile, outputs: slice, y: np.ndarray) -> None:
        """Write a tile of some outputs, planes (outputs, N, H·W)."""
        columns = self._columns(x, tile, False)
        weight = self.weight[:, outputs].reshape(self.products, len(y), -1)
        products = scratch("products", (*weight.shape[:2], columns.shape[2]), x.dtype)
        multiply(weight, columns, products)
        self._gather(products, tile, False, tile.matrix(y))

    def backward(
        self, x: np.ndarray | None, g: Source, tile: Tile, inputs: slice, dx: np.ndarray | None
    ) -> np.ndarray | None:
        """Write a tile of some inputs' dx (inputs, positions); return what it adds to dW', given the tile of x."""
        columns = self._columns(g, tile, True)
        if dx is not None:
            products = scratch("products", (self.products, len(dx), columns.shape[2]), g.dtype)
            multiply(self.turned[:, inputs], columns, products)
            self._gather(products, tile, True, dx)
        return None if x is None else outer(columns, self._sums(x, tile))

    def gradient(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """dW (O, C, 3, J) from what `backward` returned for all tiles."""
        o, c, _, j = self.shape
        found = [part.reshape(self.products, o, self.seen, c) for part in parts]
        rows = np.empty((3, o, j, c), parts[0].dtype)

        def add_up(part: slice) -> None:
            self._contract(total([weights[:, part] for weights in found]), rows[:, part])

        parallel(add_up, tiles(o, 3 * j * c, PART))
        return np.ascontiguousarray(rows.transpose(1, 3, 0, 2))

    def _transform(self) -> np.ndarray:
        """The matrices of all products, (products, O, seen, C)."""
        o, c, _, j = self.shape
        found = np.empty((self.products, o, self.seen, c), self.kernel.dtype)

        def add_up(part: slice) -> None:
            self._expand(np.ascontiguousarray(self.kernel[part].transpose(2, 0, 3, 1)), found[:, part])

        parallel(add_up, tiles(o, 3 * j * c, PART))
        return found

    def _expand(self, rows: np.ndarray, out: np.ndarray) -> None:
        """G w for rows of kernels (3, O, J, C)."""
        expand(rows, out)

    def _contract(self, found: np.ndarray, rows: np.ndarray) -> None:
        """Gᵀ · `found`, the inverse way."""
        contract(found, rows)

    def _columns(self, source: Source, tile: Tile, turned: bool) -> np.ndarray:
        """What products see of Bᵀ d, (4, J·C, positions / 2), or (4, C·J, positions / 2) if the kernel is `turned`."""
        sums = self._down(source, tile, turned)[:, 0]
        (_, c, _), count, j = sums.shape, tile.positions // 2, self.seen
        columns = scratch("columns", (4, c, j, count) if turned else (4, j, c, count), sums.dtype)
        seen = columns.transpose(2, 0, 1, 3) if turned else columns.swapaxes(0, 1)
        shifts = self.shifts.reversed() if turned else self.shifts
        for k, across in enumerate(shifts.acrosses):
            to, start, run = max(0, -across), max(0, across), max(0, count - abs(across))
            np.copyto(seen[k, ..., to : to + run], sums[..., start : start + run])
        shifts.clear(seen, shifts.acrosses, 0)
        return columns.reshape(4, -1, count)

    def _down(self, source: Source, tile: Tile, turned: bool) -> np.ndarray:
        """Bᵀ d, (4, parities, C, pixels), and after the pixels of each channel a row of no meaning."""
        rows = self._sorted(source, tile)
        sums, row = scratch("sums of rows", (4, *rows.shape[1:3], math.prod(rows.shape[3:])), rows.dtype), rows.shape[4]
        rows, flat = rows.reshape(2, -1), sums.reshape(4, -1)
        (d0, d1), (d2, d3) = rows[:, :-row], rows[:, row:]
        a, b, p, m = in_order(flat[:, :-row], turned)
        np.subtract(d2, d0, out=a)
        np.subtract(d1, d3, out=b)
        np.add(d1, d2, out=p)
        np.subtract(d2, d1, out=m)
        flat[:, -row:] = 0
        return sums

    def _sorted(self, source: Source, tile: Tile) -> np.ndarray:
        """All odd rows and the one before the tile, all even ones and the one after it, (2, parities, C, rows, …)."""
        n, width = tile.shape[0], self.size[1]
        start, stop = tile.pixels.start // width, tile.pixels.stop // width
        above, below = start > 0, stop < self.size[0]
        near = Tile(tile.images, slice((start - above) * width, (stop + below) * width))
        rows = self._rows(source.matrix(near), n).swapaxes(2, 3)
        count, first_odd = (stop - start) // 2, 1 - above
        shape = (2, *rows.shape[:2], count + 1, n * width // self.parities)
        found = scratch("sorted rows", shape, source.dtype)
        odd, even = found.view(self.part)
        odd[:, :, first_odd:] = rows[:, :, first_odd::2]
        even[:, :, : count + below] = rows[:, :, 1 - first_odd :: 2]
        if not above:
            found[0, :, :, 0] = 0
        if not below:
            found[1, :, :, -1] = 0
        return found

    def _rows(self, pixels: np.ndarray, n: int) -> np.ndarray:
        """Rows of n images as items, for NumPy to copy at once: (parities, C, n, H) of (C, n·H·W)."""
        return pixels.view(self.row).reshape(1, len(pixels), n, -1)

    def _sums(self, x: np.ndarray, tile: Tile) -> np.ndarray:
        """A x, (4, C, positions / 2), for the kernel upside down and x (C, positions)."""
        found = self._pairs(x, tile, (4, 1))
        extend(found)
        return found[:, 0]

    def _pairs(self, x: np.ndarray, tile: Tile, sums: tuple[int, int]) -> np.ndarray:
        """Room for sums of rows and of columns of x, (…, …, C, pixels), with the odd ones and the even ones in it."""
        rows = self._rows(x, tile.shape[0])
        parities, c, n, height = rows.shape
        found = scratch("sums", (*sums, c, x.shape[1] // 2 // parities), x.dtype)
        items = found.view(self.part).reshape(*sums, c, height // 2, n)
        items[:2, :parities] = rows.reshape(parities, c, n, -1, 2).transpose(4, 0, 1, 3, 2)[::-1]
        return found

    def _gather(self, products: np.ndarray, tile: Tile, turned: bool, out: np.ndarray) -> None:
        """y = Aᵀ · products (4, O, positions / 2), (O, positions); it takes their memory."""
        self._write(combine(products, turned), tile, out)

    def _write(self, rows: np.ndarray, tile: Tile, out: np.ndarray) -> None:
        """Even rows and odd ones, (2, O, pixels), to their places."""
        n = tile.shape[0]
        sorted_ = rows.view(self.row).reshape(2, len(out), -1, n)
        out.view(self.row).reshape(len(out), n, -1, 2)[...] = sorted_.transpose(1, 3, 2, 0)


class Both(Rows):
    """Along the columns as well: for 3×3, and images of an even width."""

    products, parities = 16, 2

    def tiles(self, n: int) -> list[Tile]:
        """Pairs of rows, with 8 numbers for each of x and y, cut as if there were MANY channels.

        With more, smaller tiles would do; but to add up what they contribute to dW, 16·O·C numbers each, takes time.
        """
        (o, c, *_), (height, width) = self.shape, self.size
        return cut(n, (height // 2, 2 * width), 8 * (o + c), 4 * MANY**2)

    def _expand(self, rows: np.ndarray, out: np.ndarray) -> None:
        """G w Gᵀ."""
        half = np.empty((4, *rows.shape[1:]), rows.dtype)
        expand(rows, half)
        expand(half.transpose(2, 0, 1, 3), out.reshape(4, 4, *out.shape[1::2]).swapaxes(0, 1))

    def _contract(self, found: np.ndarray, rows: np.ndarray) -> None:
        """Gᵀ · `found` · G."""
        half = np.empty((3, 4, *found.shape[1::2]), found.dtype)
        contract(found.reshape(4, 4, *found.shape[1::2]), half)
        contract(half.swapaxes(0, 1), rows.transpose(2, 0, 1, 3))

    def _columns(self, source: Source, tile: Tile, turned: bool) -> np.ndarray:
        """Bᵀ d B, (16, C, positions / 4)."""
        sums, width = self._down(source, tile, turned), self.size[1] // 2
        odd, even = sums.reshape(4, 2, -1).swapaxes(0, 1)
        columns = scratch("columns", (4, 4, odd.shape[1]), sums.dtype)
        a, b, p, m = in_order(columns.swapaxes(0, 1), turned)
        np.subtract(odd[:, 1:], odd[:, :-1], out=a[:, 1:])
        a[:, ::width] = odd[:, ::width]
        np.subtract(even[:, :-1], even[:, 1:], out=b[:, :-1])
        b[:, width - 1 :: width] = even[:, width - 1 :: width]
        np.add(even, odd, out=p)
        np.subtract(odd, even, out=m)
        return columns.reshape(16, *sums.shape[2:])[..., : tile.positions // 4]

    def _rows(self, pixels: np.ndarray, n: int) -> np.ndarray:
        """Rows of n images as items, those of odd columns and those of even ones: (2, C, n, H) of (C, n·H·W)."""
        halves = scratch("halves", (2, len(pixels), pixels.shape[1] // 2), pixels.dtype)
        np.copyto(halves[0], pixels[:, 1::2])
        np.copyto(halves[1], pixels[:, ::2])
        return halves.view(self.part).reshape(2, len(pixels), n, -1)

    def _sums(self, x: np.ndarray, tile: Tile) -> np.ndarray:
        """A x Aᵀ, (16, C, positions / 4)."""
        found = self._pairs(x, tile, (4, 4))
        extend(found[:2].swapaxes(0, 1))
        extend(found)
        return found.reshape(16, *found.shape[2:])

    def _gather(self, products: np.ndarray, tile: Tile, turned: bool, out: np.ndarray) -> None:
        """y = Aᵀ · products (16, O, positions / 4) · A, (O, positions)."""
        o, count = products.shape[1:]
        columns = combine(products.reshape(4, 4, o, count).swapaxes(0, 1), turned)
        results = combine(columns.swapaxes(0, 1), turned)
        joined = scratch("joined", (2, o, 2 * count), out.dtype)
        np.copyto(joined[..., ::2], results[:, 0])
        np.copyto(joined[..., 1::2], results[:, 1])
        self._write(joined, tile, out)


def in_order(four: np.ndarray, turned: bool) -> Sequence[np.ndarray]:
    """The four parts; for a kernel that is `turned`, a and b have changed places."""
    a, b, p, m = four
    return (b, a, p, m) if turned else (a, b, p, m)


def expand(w: np.ndarray, out: np.ndarray) -> None:
    """G w (4, ...) for w (3, ...)."""
    a, b, p, m = out
    np.negative(w[0], out=a)
    np.negative(w[2], out=b)
    half = (w[0] + w[2]) / 2
    np.add(half, w[1] / 2, out=p)
    np.subtract(half, w[1] / 2, out=m)


def contract(four: np.ndarray, out: np.ndarray) -> None:
    """Gᵀ · four (3, ...)."""
    a, b, p, m = four
    half = (p + m) / 2
    np.subtract(half, a, out=out[0])
    np.divide(p - m, 2, out=out[1])
    np.subtract(half, b, out=out[2])


def extend(four: np.ndarray) -> None:
    """A x for x₁ and x₀, the first two of the four."""
    odd, even, p, m = four
    np.add(even, odd, out=p)
    np.subtract(even, odd, out=m)


def combine(four: np.ndarray, turned: bool) -> np.ndarray:
    """Aᵀ · four, (2, ...), in the memory of the first two."""
    results, p, m = four[:2], four[2], four[3]
    np.add(results, p, out=results)
    y0, y1 = results = results[::-1] if turned else results
    np.add(y0, m, out=y0)
    np.subtract(y1, m, out=y1)
    return results
