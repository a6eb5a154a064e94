"""Batch normalisation, ReLU and convolution in one: what is between them never reaches memory.

    a = relu(s·x + t)         with s = γ r, t = β - s μ, r = 1/√(σ² + ε), for each channel
    y = W * a

Each tile of x is normalised and rectified in the cache, and convolved at once. The backward pass does it again: to
compute a anew is cheaper than to store it and read it. The factor |s| is taken into the weights, so that what remains
is a' = max(± x + t/|s|, 0), and d = |s|·(gradient at s·x + t) comes out of the product itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from minidl.kernels.common.convolution import Geometry, Pair
from minidl.kernels.common.layout import feature_map
from minidl.kernels.numpy.constant import constant
from minidl.kernels.numpy.convolution import Way, channel_sums, forward, product_for
from minidl.kernels.numpy.normalization import Moments, affine, row_sums
from minidl.kernels.numpy.parallel import parallel, scratch, shares
from minidl.kernels.numpy.plane import Source, Tile, planes
from minidl.kernels.numpy.product import total

Pull = Callable[[np.ndarray, Sequence[bool]], tuple[np.ndarray | None, ...]]

SMALLEST = 1e-12
"""The smallest |s| that the weights can take over without a loss."""

FAR = 4.0
"""The largest |β/γ| for which a' is near enough to ± (x - μ) for a sum."""


class Rectified(Source):
    """a' = max(± x + t/|s|, 0) for x as planes: where that is positive, ± (x - μ) + β/|s|."""

    def __init__(self, x: np.ndarray, affine: Sequence[np.ndarray], beta: np.ndarray | None, mean: np.ndarray):
        super().__init__(x)
        self.root, scale, shift = affine
        self.mean, self.beta, self.fold = mean, beta, np.abs(scale)
        self.sign = None if (scale > 0).all() else np.sign(scale)
        self.offset = shift / self.fold

    @cached_property
    def lift(self) -> np.ndarray:
        """β/|s|."""
        return np.zeros_like(self.fold) if self.beta is None else self.beta / self.fold

    @cached_property
    def far(self) -> np.ndarray:
        """The channels with a large |β/γ|."""
        return np.flatnonzero(np.abs(self.lift) * self.root > FAR)

    def write(self, images: slice, pixels: slice, out: np.ndarray) -> None:
        """A part of a', into `out` (C, n, pixels)."""
        self._rectify(self.array[:, images, pixels], out)

    def matrix(self, tile: Tile) -> np.ndarray:
        """A tile of a' with one row a channel."""
        part = tile.matrix(self.array)
        rectified = scratch("rectified", part.shape, self.dtype)
        self._rectify(part, rectified)
        return rectified

    def signed(self, channels: np.ndarray) -> np.ndarray:
        """Numbers for each channel times the signs."""
        return channels if self.sign is None else channels * self.sign

    def deviations(self, d: np.ndarray, a: np.ndarray, sums: np.ndarray, tile: Tile) -> np.ndarray:
        """± Σ d·(x - μ) for each channel of a tile of d, given a' and Σ d: (x - μ) is a' less β/|s|."""
        found = row_sums(d, a) - self.lift * sums
        if len(self.far):  # where β/|s| is so much larger than the rest that this would drown
            signs = 1 if self.sign is None else self.sign[self.far]
            x = tile.matrix(self.array)[self.far] - self.mean[self.far, None]
            found[self.far] = signs * np.vecdot(d[self.far], x)
        return found

    def _rectify(self, x: np.ndarray, out: np.ndarray) -> None:
        wide = (-1,) + (1,) * (x.ndim - 1)
        if self.sign is not None:
            x = np.multiply(x, self.sign.reshape(wide), out=out)
        np.add(x, self.offset.reshape(wide), out=out)
        np.maximum(out, constant(0, out.shape, out.dtype), out=out)


def norm_relu_conv2d(
    x: np.ndarray,
    gamma: np.ndarray | None,
    beta: np.ndarray | None,
    weight: np.ndarray,
    bias: np.ndarray | None,
    eps: float,
    moments: Moments,
    of_batch: bool,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, Pull] | None:
    """y (N, O, H, W) and its pullback; None for vanishing scales, no single product, more weights than numbers.

    With M elements in a channel, D = Σ d·(x - μ) and S = Σ d, the gradient of x is ± (d - r² D/M (x - μ) - S/M), or ± d
    if the moments are not those of the batch.
    """
    root, scale, shift = affine(moments, gamma, beta, eps)
    if groups > 1 or weight.size > x.size or not np.abs(scale).min(initial=1) > SMALLEST:
        return None
    source = Rectified(planes(x), (root, scale, shift), beta, moments[0])
    fold = source.fold[:, None, None]
    way = product_for(x, weight * fold, Geometry(weight.shape[2:], stride, padding, dilation), groups)
    if way is None:
        return None

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray | None, ...]:
        dx, dweights, sums, deviations = _backward(way, source, Source(planes(g)), wanted[3])
        if of_batch and wanted[0]:
            count = x.size // x.shape[1]
            _subtract(dx, source, root * root * deviations / count, source.signed(sums) / count)
        dgamma, dbeta = root * source.signed(deviations) / source.fold, sums / source.fold
        dweight = way.gradient(dweights) * fold if wanted[3] else None
        dbias = channel_sums(g) if bias is not None and wanted[4] else None
        return feature_map(dx, x.shape) if wanted[0] else None, dgamma, dbeta, dweight, dbias

    return feature_map(forward(way, source, bias), (len(x), len(weight), *x.shape[2:])), pull


def _backward(
    way: Way, source: Rectified, g: Source, weighs: bool
) -> tuple[np.ndarray, Sequence[Any], np.ndarray, np.ndarray]:
    """± d as planes, what makes dW (if it `weighs`), Σ d and ± Σ d·(x - μ) for each channel."""
    _ = way.turned  # made now, not by every thread for itself
    dx = np.empty_like(source.array, order="C")

    def step(tile: Tile) -> tuple[Any, ...]:
        a, d = source.matrix(tile), tile.matrix(dx)
        dweight = way.backward(a if weighs else None, g, tile, slice(0, len(a)), d)
        on = np.greater(a, constant(0, a.shape, a.dtype), out=scratch("on", a.shape, np.bool_))
        np.multiply(d, on, out=d)
        sums = row_sums(d)
        deviations = source.deviations(d, a, sums, tile)
        if source.sign is not None:
            np.multiply(d, source.sign[:, None], out=d)
        return dweight, sums, deviations

    dweights, sums, deviations = zip(*parallel(step, way.tiles(source.array.shape[1])), strict=True)
    return dx, dweights, total(sums), total(deviations)


def _subtract(dx: np.ndarray, source: Rectified, slope: np.ndarray, offset: np.ndarray) -> None:
    """dx -= slope·(x - μ) + offset: planes, and numbers for each channel."""
    matrix, gradient = source.array.reshape(len(dx), -1), dx.reshape(len(dx), -1)

    def step(part: slice) -> None:
        line = scratch("line", matrix[part].shape, dx.dtype)
        np.subtract(matrix[part], source.mean[part, None], out=line)
        np.multiply(line, slope[part, None], out=line)
        np.add(line, offset[part, None], out=line)
        np.subtract(gradient[part], line, out=gradient[part])

    parallel(step, shares(*matrix.shape))
