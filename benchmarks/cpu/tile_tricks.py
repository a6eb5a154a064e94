"""Tricks with single tiles and single calls, on all threads of the pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.cpu.trick import Sides, trick
from minidl.kernels.common.convolution import Convolution, Geometry
from minidl.kernels.common.slices import slices
from minidl.kernels.numpy import columns
from minidl.kernels.numpy.constant import constant
from minidl.kernels.numpy.multiply import multiply, outer
from minidl.kernels.numpy.parallel import get_num_threads, parallel, scratch
from minidl.kernels.numpy.plane import Source, Tile, cut
from minidl.kernels.numpy.product import Shifted, total
from minidl.kernels.numpy.strided import conv2d_with_strides

SIZE = 32, 32
PIXELS = 32 * 32
SAME = Geometry((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
"""3×3 with an image that keeps its size."""


def normal(*shape: int) -> np.ndarray:
    """Numbers by chance, but always the same."""
    return np.random.default_rng(0).standard_normal(shape, np.float32)


@trick(
    "Products in small pieces",
    "numpy/multiply.py",
    "`np.matmul` of the tile",
    "16×144 times 144×2048 (3×3 in ResNet-20), 16 times",
    16,
    why="OpenBLAS copies both factors into an order that its kernels like, and with few rows in the first that "
    "takes as long as the product. For up to a million multiplications it has kernels that read the factors "
    "where they are.",
)
def pieces(n: int) -> Sides:
    """A thin matrix times wide ones."""
    return _product(n, 16, 144, 2048)


@trick(
    "Blocks of wider matrices",
    "numpy/multiply.py",
    "`np.matmul` of the tile",
    "96×288 times 288×1024, 16 times",
    16,
    why="Some rows of the weights at a time, and parts of a long sum, bring larger products below that million too.",
)
def blocks(n: int) -> Sides:
    """A wider matrix times wide ones."""
    return _product(n, 96, 288, 1024)


@trick(
    "Blocks of long sums",
    "numpy/multiply.py",
    "`x @ g.T`",
    "the gradient of 144×16 weights from a tile of 6144 pixels, 6 times",
    6,
    why="The gradient of the weights has few rows and columns, but each of its numbers is a long sum. Cut along the "
    "sums and across the longer side, it is made of products that OpenBLAS does not pack either.",
)
def long_sums(n: int) -> Sides:
    """The gradient of a convolution's weights."""
    x, g = normal(get_num_threads(), 144, 6144), normal(get_num_threads(), 16, 6144)
    return _each_thread(
        n, (144, 16), lambda i, y: np.copyto(y, outer(x[i], g[i])), lambda i, y: np.matmul(x[i], g[i].T, out=y)
    )


@trick(
    "Columns in one copy",
    "numpy/plane.py",
    "nine copies of slices of a padded tile",
    "3×3, 16 to 16 channels, [128, 32²]",
    128,
    why="In a plane flattened row by row, a neighbour is always at the same distance, so that all nine shifts of "
    "all rows are one strided view, with long runs in it. One call copies it; only where a row ends zeros are "
    "written after.",
)
def one_copy(n: int) -> Sides:
    """Columns of a feature map, tile by tile."""
    source, way = Source(normal(16, n, PIXELS)), Shifted(normal(16, 16, 3, 3), SIZE, SAME)
    tiles = [Tile(images, slice(0, PIXELS)) for images in slices(n, 4)]

    def nine_copies(tile: Tile) -> np.ndarray:
        images = tile.of(source.array).reshape(16, -1, *SIZE)
        padded = scratch("padded", (*images.shape[:2], 34, 34), np.float32)
        padded[:, :, (0, -1)] = padded[..., (0, -1)] = 0
        padded[:, :, 1:-1, 1:-1] = images
        columns = scratch("columns", (16, 3, 3, *images.shape[1:]), np.float32)
        for i, j in np.ndindex(3, 3):
            columns[:, i, j] = padded[:, :, i : i + 32, j : j + 32]
        return columns

    def each(unfold: Callable[[Tile], np.ndarray]) -> Callable[[], list[np.ndarray]]:
        return lambda: parallel(lambda tile: unfold(tile).reshape(-1)[::997].copy(), tiles)

    return Sides(each(lambda tile: way.shifts.unfold(source, tile)), each(nine_copies))


@trick(
    "The product first, then the shifts",
    "numpy/product.py",
    "columns of x, then the product",
    "3×3, 48 to 12 channels, [64, 32²], forward",
    64,
    why="The nine shifts may as well be applied to the product's result. Where a layer makes fewer channels than "
    "it reads, far fewer rows are moved (108 and not 432), and the product has nine times as many rows, which "
    "BLAS likes.",
)
def thin(n: int) -> Sides:
    """The forward pass of a convolution on whose thin side its output is."""
    source, weight = Source(normal(48, n, PIXELS)), normal(12, 48, 3, 3)
    way, y = Shifted(weight, SIZE, SAME), np.empty((12, n, PIXELS), np.float32)
    matrix = weight.reshape(12, -1)

    def on() -> np.ndarray:
        parallel(lambda tile: way.forward(source, tile, slice(0, 12), y), way.tiles(n))
        return y

    def off() -> np.ndarray:
        tiles = cut(n, SIZE, 9 * 48 + 48 + 12, weight.size)
        parallel(lambda tile: multiply(matrix, way.shifts.unfold(source, tile), tile.matrix(y)), tiles)
        return y

    return Sides(on, off)


@trick(
    "Columns of the gradient, for both gradients",
    "numpy/product.py",
    "columns of g for dx, columns of x for dW",
    "3×3, 48 to 12 channels, [64, 32²], backward",
    64,
    why="With a shift moved from one factor to the other, the gradient of the weights is a product with columns "
    "of g. Those are needed for dx anyway, and on the thin side they are few.",
)
def columns_of_gradient(n: int) -> Sides:
    """The backward pass of the same convolution."""
    source, upstream = Source(normal(48, n, PIXELS)), Source(normal(12, n, PIXELS))
    way, dx = Shifted(normal(12, 48, 3, 3), SIZE, SAME), np.empty((48, n, PIXELS), np.float32)

    def on() -> list[np.ndarray]:
        def backward(tile: Tile) -> Any:
            return way.backward(source.matrix(tile), upstream, tile, slice(0, 48), tile.matrix(dx))

        return [dx, way.gradient(parallel(backward, way.tiles(n)))]

    def off() -> list[np.ndarray]:
        def backward(tile: Tile) -> np.ndarray:
            way.backward(None, upstream, tile, slice(0, 48), tile.matrix(dx))
            return outer(way.shifts.unfold(source, tile), upstream.matrix(tile))

        parts = parallel(backward, cut(n, SIZE, 9 * 48 + 48 + 12, 9 * 12 * 48))
        return [dx, total(parts).reshape(48, 3, 3, 12).transpose(3, 0, 1, 2)]

    return Sides(on, off)


@trick(
    "The maximum with an array of zeros",
    "numpy/constant.py",
    "`np.maximum(x, 0)`",
    "a tile of 48×2048 in the cache, 16 times",
    16,
    why="Two arrays of the same shape take NumPy's loop over vector registers; a number beside an array does not.",
)
def zeros(n: int) -> Sides:
    """What ReLU does."""
    x, nothing = normal(get_num_threads(), 48, 2048), constant(0, (48, 2048), np.float32)
    return _each_thread(
        n, (48, 2048), lambda i, y: np.maximum(x[i], nothing, out=y), lambda i, y: np.maximum(x[i], 0, out=y)
    )


@trick(
    "Sums as products with ones",
    "numpy/normalization.py",
    "`x.sum(axis=1)`",
    "rows of a tile of 48×2048 in the cache, 16 times",
    16,
    why="BLAS adds up many numbers at a time; NumPy adds up in pairs, with more care and more steps. What the "
    "care is good for, a small error of long sums, tiles have too: each adds up few numbers.",
)
def sums(n: int) -> Sides:
    """One number for each row."""
    x, ones = normal(get_num_threads(), 48, 2048), constant(1, (2048,), np.float32)
    return _each_thread(n, (48,), lambda i, y: np.matmul(x[i], ones, out=y), lambda i, y: np.sum(x[i], axis=1, out=y))


@trick(
    "Pixels sorted before columns are made",
    "numpy/strided.py",
    "columns of every other pixel",
    "3×3 with stride 2, 16 to 32 channels, [64, 32²], forward and backward",
    64,
    why="With a stride, neighbours in a column are not neighbours in the image, and copying single numbers is slow. "
    "Sorted by the rest of their place when divided by the stride, they are; this is done once for each pixel, "
    "and not for each of a kernel's elements.",
)
def sorted_pixels(n: int) -> Sides:
    """A convolution that halves images."""
    x, weight, g = normal(n, 16, *SIZE), normal(32, 16, 3, 3), normal(n, 32, 16, 16)
    halving = Geometry((3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
    definition = Convolution(columns, budget=1 << 18, each=parallel)

    def all_of(convolution: Callable[..., Any], *settings: Any) -> list[np.ndarray]:
        y, pull = convolution(x, weight, None, *settings)
        return [y, *pull(g, (True, True, False))[:2]]

    return Sides(
        lambda: all_of(conv2d_with_strides, halving, 1),
        lambda: all_of(definition, halving.stride, halving.padding, halving.dilation, 1),
    )


def _product(times: int, o: int, k: int, p: int) -> Sides:
    """A matrix (O, K) times others (K, P)."""
    x, weight = normal(get_num_threads(), k, p), normal(o, k)
    return _each_thread(
        times, (o, p), lambda i, y: multiply(weight, x[i], y), lambda i, y: np.matmul(weight, x[i], out=y)
    )


def _each_thread(
    times: int, shape: Sequence[int], on: Callable[[int, np.ndarray], object], off: Callable[[int, np.ndarray], object]
) -> Sides:
    """Sides in which each thread does the same so many times, with its number and where to write."""
    y = np.empty((get_num_threads(), *shape), np.float32)

    def each(function: Callable[[int, np.ndarray], object]) -> Callable[[], np.ndarray]:
        def repeat(i: int) -> None:
            for _ in range(times):
                function(i, y[i])

        def side() -> np.ndarray:
            parallel(repeat, range(len(y)))
            return y

        return side

    return Sides(each(on), each(off))
