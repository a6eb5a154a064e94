"""Batch normalisation, and what may follow it in the same pass, on rows: a row of memory is one channel.

Every step is a sum or a scaling of contiguous numbers; a few rows at a time pass through all the steps, so that what
one step writes the next one finds in the cache. Sums are products with a vector of ones: BLAS adds up three times as
fast as NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from minidl.kernels.common.layout import feature_map, rows
from minidl.kernels.numpy.constant import constant
from minidl.kernels.numpy.parallel import parallel, scratch, shares

Moments = tuple[np.ndarray, np.ndarray]
"""The mean and the (biased) variance of each channel."""

LONG, PIECE = 1 << 14, 1 << 9
"""From how many numbers on a row is added up in pieces, and how many a piece has."""


def channel_moments(x: np.ndarray) -> Moments:
    """The mean and the (biased) variance of each channel of x (N, C, ...), the variance by the second of two passes."""
    matrix = rows(x)
    channels, count = matrix.shape
    mean, variance = np.empty(channels, x.dtype), np.empty(channels, x.dtype)

    def measure(part: slice) -> None:
        block = matrix[part]
        mean[part] = row_sums(block) / count
        deviation = scratch("deviation", block.shape, x.dtype)
        np.subtract(block, mean[part, None], out=deviation)
        rest = row_sums(deviation) / count  # what rounding left of the mean
        mean[part] += rest
        variance[part] = np.maximum(row_sums(deviation, deviation) / count - rest * rest, 0)

    parallel(measure, shares(channels, count))
    return mean, variance


def row_sums(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    """Σ x, or Σ x·y, for each row; of long rows first for pieces, and then of what these add up to.

    A long sum loses digits, and NumPy keeps Python's lock, and all threads waiting, during products with few results.
    """
    if x.shape[1] < LONG:
        return x @ constant(1, x.shape[1:], x.dtype) if y is None else np.vecdot(x, y)
    whole = x.shape[1] - x.shape[1] % PIECE
    pieces, rest = x[:, :whole].reshape(len(x), -1, PIECE), x[:, whole:]
    if y is None:
        sums, more = (part @ constant(1, part.shape[-1:], x.dtype) for part in (pieces, rest))
    else:
        sums, more = np.vecdot(pieces, y[:, :whole].reshape(pieces.shape)), np.vecdot(rest, y[:, whole:])
    return sums.sum(axis=1) + more


def affine(moments: Moments, weight: np.ndarray | None, bias: np.ndarray | None, eps: float) -> tuple[np.ndarray, ...]:
    """r = 1/√(σ² + ε), s = γ r and t = β - s μ: the normalisation of x is s·x + t."""
    mean, variance = moments
    root = 1 / np.sqrt(variance + eps)
    scale = root if weight is None else weight * root
    return root, scale, -mean * scale if bias is None else bias - mean * scale


def batch_norm(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    moments: Moments,
    of_batch: bool,
    rectify: bool = False,
) -> tuple[np.ndarray, Callable[[np.ndarray, Sequence[bool]], tuple[np.ndarray | None, ...]]]:
    """y = s·x + t, or its positive part if `rectify`, channel-major, and the pullback.

    With M elements in a row, d the gradient where y passed it: dβ = Σd, dγ = r Σd·(x - μ), and dx = s·d, less
    s (dβ/M + r (x - μ) dγ/M) if the moments are those of the batch.
    """
    mean = moments[0]
    root, scale, shift = affine(moments, weight, bias, eps)
    matrix = rows(x)
    y = np.empty_like(matrix)
    channels, count = matrix.shape
    zeros = constant(0, (count,), x.dtype)

    def forward(part: slice) -> None:
        np.multiply(matrix[part], scale[part, None], out=y[part])
        np.add(y[part], shift[part, None], out=y[part])
        if rectify:
            np.maximum(y[part], zeros, out=y[part])

    parallel(forward, shares(channels, count))

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray | None, ...]:
        upstream = rows(g)
        dx = np.empty_like(matrix)
        dweight, dbias = np.empty(channels, g.dtype), np.empty(channels, g.dtype)

        def backward(part: slice) -> None:
            d = upstream[part]
            if rectify:
                on = scratch("on", d.shape, np.bool_)
                d = np.multiply(d, np.greater(y[part], zeros, out=on), out=scratch("passed", d.shape, g.dtype))
            deviation = scratch("deviation", d.shape, g.dtype)
            np.subtract(matrix[part], mean[part, None], out=deviation)
            dbias[part] = row_sums(d)
            dweight[part] = root[part] * row_sums(d, deviation)
            np.multiply(d, scale[part, None], out=dx[part])
            if of_batch:
                np.multiply(deviation, (scale * root)[part, None] * dweight[part, None] / count, out=deviation)
                np.add(deviation, (scale[part] * dbias[part] / count)[:, None], out=deviation)
                np.subtract(dx[part], deviation, out=dx[part])

        parallel(backward, shares(channels, count))
        return feature_map(dx, x.shape), dweight, dbias

    return feature_map(y, x.shape), pull


norm_relu = partial(batch_norm, rectify=True)
