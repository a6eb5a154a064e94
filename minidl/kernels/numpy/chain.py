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
from minidl.kernels.numpy.convolution import channel_sums, product_for, total
from minidl.kernels.numpy.debt import Debt
from minidl.kernels.numpy.normalization import Moments, affine
from minidl.kernels.numpy.parallel import parallel, scratch
from minidl.kernels.numpy.plane import Tile, planes

Pull = Callable[
    [np.ndarray, Sequence[bool], "np.ndarray | None"], tuple[tuple["np.ndarray | None", ...], "Debt | None"]
]

SMALLEST = 1e-12
"""The smallest |s| that the weights can take over without a loss."""


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
    if not fold.min(initial=1) > SMALLEST:
        return None
    way = product_for(x, weight * fold[:, None, None], Geometry(weight.shape[2:], stride, padding, dilation), groups)
    if way is None:
        return None
    n, c, h, w = x.shape
    source = planes(x)
    sign = None if (scale > 0).all() else np.sign(scale)
    offset = shift / fold
    y = np.empty((len(weight), n, h * w), x.dtype)
    tiles = way.tiles(n)

    def rectified(tile: Tile, pixels: slice) -> np.ndarray:
        """a' (C, n, pixels) for the images of a tile."""
        part = source[:, tile.images, pixels]
        a = scratch("rectified", part.shape, x.dtype)
        if sign is not None:
            part = np.multiply(part, sign[:, None, None], out=a)
        np.add(part, offset[:, None, None], out=a)
        return np.maximum(a, constant(0, a.shape, x.dtype), out=a)

    def forward(tile: Tile) -> None:
        halo = way.halo(tile)
        way.forward(rectified(tile, halo), halo, tile, y)
        if bias is not None:
            np.add(tile.of(y), bias[:, None, None], out=tile.of(y))

    parallel(forward, tiles)

    def pull(
        g: np.ndarray, wanted: Sequence[bool], into: np.ndarray | None
    ) -> tuple[tuple[np.ndarray | None, ...], Debt | None]:
        upstream = planes(g)
        dx = np.empty_like(source, order="C") if into is None else planes(into)

        def backward(tile: Tile) -> tuple[Any, ...]:
            a = rectified(tile, tile.pixels)
            matrix = a.reshape(c, -1)
            d = scratch("passed", matrix.shape, x.dtype)
            dweight = way.backward(a, upstream, tile, d)
            on = scratch("on", matrix.shape, np.bool_)
            np.multiply(d, np.greater(matrix, constant(0, matrix.shape, x.dtype), out=on), out=d)
            sums = d @ constant(1, d.shape[1:], x.dtype), np.vecdot(d, matrix)
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
        dweight = way.gradient(total(dweights)) * fold[:, None, None]
        return (feature_map(dx, x.shape), dgamma, dbeta, dweight, dbias), debt

    return feature_map(y, (n, len(weight), h, w)), pull
