"""Convolution, tile by tile on all threads, in the way that suits its kernel; see `product` for the ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minidl.kernels.common.convolution import Convolution, Geometry, Gradients, Pair
from minidl.kernels.common.layout import feature_map, rows
from minidl.kernels.numpy import columns
from minidl.kernels.numpy.depthwise import depthwise
from minidl.kernels.numpy.multiply import outer
from minidl.kernels.numpy.normalization import row_sums
from minidl.kernels.numpy.parallel import parallel
from minidl.kernels.numpy.plane import Source, Tile, planes, share
from minidl.kernels.numpy.product import Pointwise, Shifted
from minidl.kernels.numpy.strided import conv2d_with_strides
from minidl.kernels.numpy.winograd import Winograd, suits

Way = Pointwise | Shifted | Winograd


Pull = Callable[[np.ndarray, Sequence[bool]], Gradients]


def _outers(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x yᵀ for each group."""
    return outer(x[0], y[0])[None] if len(x) == 1 else x @ y.transpose(0, 2, 1)


_general = Convolution(columns, budget=1 << 18, each=parallel, outer=_outers)  # 1 MB: a core's own cache


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, Pull] | None:
    """y (N, O, P, Q), channel-major, and its pullback; None without weights. Arguments are those of `F.conv2d`."""
    if weight.size == 0:
        return None
    geometry = Geometry(weight.shape[2:], stride, padding, dilation)
    way = product_for(x, weight, geometry, groups)
    if way is not None:
        source = Source(planes(x))
        y = feature_map(forward(way, source, bias), (len(x), len(weight), *x.shape[2:]))
        return with_bias(y, partial(backward, way, source, x.shape), bias)
    if x.size and groups == x.shape[1] == len(weight):
        y, pull = depthwise(x, weight, stride, padding, dilation)
        return with_bias(y if bias is None else np.add(y, bias[:, None, None], out=y), pull, bias)
    if x.size and max(stride) > 1:
        return with_bias(*conv2d_with_strides(x, weight, bias, geometry, groups), bias)
    return _general(x, weight, bias, stride, padding, dilation, groups)


def backward(way: Way, source: Source, shape: tuple[int, ...], g: np.ndarray, wanted: Sequence[bool]) -> Gradients:
    """The gradients of x, of this shape, and of the weights, from g."""
    upstream = Source(planes(g))
    dx = np.empty_like(source.array, order="C") if wanted[0] else None

    def to_few(tile: Tile) -> Any:
        return way.backward_to_few(  # type: ignore[union-attr]  # called for kernels that have it
            source if wanted[1] else None, upstream, tile, None if dx is None else tile.matrix(dx)
        )

    def step(part: tuple[Tile, slice]) -> Any:
        tile, inputs = part
        x = source.matrix(tile)[inputs] if wanted[1] else None
        return way.backward(x, upstream, tile, inputs, None if dx is None else tile.matrix(dx[inputs]))

    found: list[Any] = []
    if isinstance(way, Shifted) and (way.few or (dx is None and not way.thin)):
        found = parallel(to_few, way.tiles(shape[0]))
    else:
        if dx is not None:
            _ = way.turned  # made now, not by every thread for itself
        tasks = share(way.tiles(shape[0]), shape[1], way.kernel.size)
        found = parallel(step, tasks)
        if wanted[1] and len(tasks) > 1 and tasks[0][0] == tasks[1][0]:  # one tile, shared out
            found = [np.concatenate(found, axis=-1)]
    return None if dx is None else feature_map(dx, shape), way.gradient(found) if wanted[1] else None, None


def forward(way: Way, source: Source, bias: np.ndarray | None) -> np.ndarray:
    """The convolution of planes, as planes (O, N, H·W)."""
    channels, n, plane = len(way.kernel), *source.array.shape[1:]
    y = np.empty((channels, n, plane), source.dtype)

    def step(part: tuple[Tile, slice]) -> None:
        tile, outputs = part
        way.forward(source, tile, outputs, y[outputs])
        if bias is not None:
            np.add(tile.of(y[outputs]), bias[outputs, None, None], out=tile.of(y[outputs]))

    parallel(step, share(way.tiles(n), channels, way.kernel.size))
    return y


def with_bias(y: np.ndarray, pull: Callable[..., Any], bias: np.ndarray | None) -> tuple[np.ndarray, Pull]:
    """The result of a convolution, and its pullback with the bias's gradient, if there is a bias."""

    def pull_all(g: np.ndarray, wanted: Sequence[bool]) -> Gradients:
        dx, dweight, *_ = pull(g, wanted) if wanted[0] or wanted[1] else (None, None)
        return dx, dweight, channel_sums(g) if bias is not None and wanted[2] else None

    return y, pull_all


def channel_sums(g: np.ndarray) -> np.ndarray:
    """The sum of each channel of g (N, C, ...)."""
    return row_sums(rows(g))


def product_for(x: np.ndarray, weight: np.ndarray, geometry: Geometry, groups: int) -> Way | None:
    """The way to convolve by products, if there is one: at stride 1, when the image keeps its size."""
    size = (x.shape[2], x.shape[3])
    if groups > 1 or x.size == 0 or weight.size == 0 or geometry.stride != (1, 1) or geometry.positions(size) != size:
        return None
    if geometry.is_pointwise:
        return Pointwise(weight, size)
    return (Winograd if suits(x, weight, geometry) else Shifted)(weight, size, geometry)
