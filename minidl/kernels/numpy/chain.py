"""Batch normalisation, ReLU and convolution in one: what is between them never reaches memory.

    a = relu(s·x + t)         with s = γ r, t = β - s μ, r = 1/√(σ² + ε), for each channel
    y = W * a

Each tile of x is normalised and rectified in the cache, and convolved at once. The backward pass does it again: to
compute a anew is cheaper than to store it and read it. The factor |s| is taken into the weights, so that what remains
is a' = max(± x + t/|s|, 0), and d = |s|·(gradient at s·x + t) comes out of the product itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.kernels.common.convolution import Geometry, Pair
from minidl.kernels.common.layout import feature_map
from minidl.kernels.numpy.constant import constant
from minidl.kernels.numpy.convolution import channel_sums, product_for
from minidl.kernels.numpy.debt import Debt
from minidl.kernels.numpy.normalization import Moments, affine
from minidl.kernels.numpy.parallel import parallel, scratch
from minidl.kernels.numpy.plane import Source, Tile, planes
from minidl.kernels.numpy.product import total

Pull = Callable[
    [np.ndarray, Sequence[bool], "np.ndarray | None"], tuple[tuple["np.ndarray | None", ...], "Debt | None"]
]

SMALLEST = 1e-12
"""The smallest |s| that the weights can take over without a loss."""


class Rectified(Source):
    """a' = max(± x + t/|s|, 0), with t/|s| and the signs, unless all are +, for each channel."""

    def __init__(self, x: np.ndarray, sign: np.ndarray | None, offset: np.ndarray):
        super().__init__(x)
        self.sign, self.offset = sign, offset

    def write(self, images: slice, pixels: slice, out: np.ndarray) -> None:
        part = self.array[:, images, pixels]
        if self.sign is not None:
            part = np.multiply(part, self.sign[:, None, None], out=out)
        np.add(part, self.offset[:, None, None], out=out)
        np.maximum(out, constant(0, out.shape, out.dtype), out=out)

    def matrix(self, tile: Tile) -> np.ndarray:
        rectified = scratch("rectified", (self.channels, *tile.shape), self.dtype)
        self.write(tile.images, tile.pixels, rectified)
        return rectified.reshape(self.channels, -1)


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
    """y (N, O, H, W) and its pullback; None for a convolution that is no single product, and for vanishing scales.

    pull(g, wanted, into) adds the gradient of x to `into`, if that is given, and returns what is still to be
    subtracted from it: with M elements in a channel, D = Σ d·(x - μ) and S = Σ d, it is r² D/M (x - μ) + S/M.
    """
    mean, _ = moments
    root, scale, shift = affine(moments, gamma, beta, eps)
    fold = np.abs(scale)
    if groups > 1 or not fold.min(initial=1) > SMALLEST:
        return None
    way = product_for(x, weight * fold[:, None, None], Geometry(weight.shape[2:], stride, padding, dilation), groups)
    if way is None:
        return None
    n, c, h, w = x.shape
    sign = None if (scale > 0).all() else np.sign(scale)
    source = Rectified(planes(x), sign, shift / fold)
    y = np.empty((len(weight), n, h * w), x.dtype)
    tiles = way.tiles(n)

    def forward(tile: Tile) -> None:
        way.forward(source, tile, y)
        if bias is not None:
            np.add(tile.of(y), bias[:, None, None], out=tile.of(y))

    parallel(forward, tiles)

    def pull(
        g: np.ndarray, wanted: Sequence[bool], into: np.ndarray | None
    ) -> tuple[tuple[np.ndarray | None, ...], Debt | None]:
        upstream = Source(planes(g))
        _ = way.turned  # made now, not by every thread for itself
        dx = np.empty((c, n, h * w), x.dtype) if into is None else planes(into)

        def backward(tile: Tile) -> tuple[Any, ...]:
            a = source.matrix(tile)
            d = scratch("passed", a.shape, x.dtype)
            dweight = way.backward(a, upstream, tile, d)
            on = np.greater(a, constant(0, a.shape, x.dtype), out=scratch("on", a.shape, np.bool_))
            np.multiply(d, on, out=d)
            sums = d @ constant(1, d.shape[1:], x.dtype), np.vecdot(d, a)
            if sign is not None:
                np.multiply(d, sign[:, None], out=d)
            part = tile.of(dx)
            if into is None:
                part[...] = d.reshape(part.shape)
            else:
                np.add(part, d.reshape(part.shape), out=part)
            return dweight, *sums

        dweights, sums, products = zip(*parallel(backward, tiles), strict=True)
        sum_d, count = total(sums), n * h * w
        deviation = total(products) - (0 if beta is None else beta / fold) * sum_d  # ± Σ d·(x - μ)
        debt = None
        if of_batch:
            slope = root * root * deviation / count
            debt = Debt(x, (sum_d if sign is None else sum_d * sign) / count - slope * mean, slope)
        dbias = channel_sums(g) if bias is not None and wanted[4] else None
        if into is not None and not np.may_share_memory(dx, into):
            into[...] = feature_map(dx, x.shape)
        dgamma, dbeta = root * deviation / scale, sum_d / fold
        dweight = way.gradient(dweights) * fold[:, None, None]
        return (feature_map(dx, x.shape), dgamma, dbeta, dweight, dbias), debt

    return feature_map(y, (n, len(weight), h, w)), pull
