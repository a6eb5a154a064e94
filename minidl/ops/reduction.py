"""Ops that summarise along axes. `axis` is None for all, an integer or a tuple; `keepdims` keeps them with length 1."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minidl.ops import elementwise as e
from minidl.ops.primitive import primitive
from minidl.ops.shape import broadcast_to, reshape, take_along_axis
from minidl.tensor import Tensor


class Extremes(NamedTuple):
    """The largest or smallest elements along an axis, and where they are."""

    values: Tensor
    indices: Tensor


@primitive
def sum(x, /, axis=None, keepdims=False):
    """The sum over the axes."""
    kept, shape = _kept(x, axis), x.shape
    return np.sum(x.data, axis, keepdims=keepdims), lambda g: broadcast_to(reshape(g, kept), shape)


def mean(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The average over the axes."""
    return sum(x, axis, keepdims) / _count(x, axis)


def var(x: Tensor, axis: Any = None, correction: int = 1, keepdims: bool = False) -> Tensor:
    """The variance Σ(x - mean)² / (n - correction) over the axes."""
    deviation = x - mean(x, axis, keepdims=True)
    n = _count(x, axis)
    if n <= correction:
        raise ValueError(
            f"var: needs more than {correction} elements to average over, got {n} (shape {x.shape}, axis {axis})"
        )
    return sum(deviation * deviation, axis, keepdims) / (n - correction)


def std(x: Tensor, axis: Any = None, correction: int = 1, keepdims: bool = False) -> Tensor:
    """The standard deviation, the root of `var`; where that is 0, so is the slope."""
    variance = var(x, axis, correction, keepdims)
    flat = variance.data == 0
    return e.where(flat, 0, e.sqrt(e.where(flat, 1, variance)))


@primitive
def amax(x, /, axis=None, keepdims=False):
    """The largest element over the axes; equals share the gradient."""
    largest = np.max(x.data, axis, keepdims=keepdims)
    return largest, lambda g: _share(g, x, largest, axis)


@primitive
def amin(x, /, axis=None, keepdims=False):
    """The smallest element over the axes; equals share the gradient."""
    smallest = np.min(x.data, axis, keepdims=keepdims)
    return smallest, lambda g: _share(g, x, smallest, axis)


def _share(g: Tensor, x: Tensor, extreme: Any, axis: Any) -> Tensor:
    """g given in equal parts to the elements of x that are the extreme one of their row."""
    kept = _kept(x, axis)
    extreme = extreme.reshape(kept)
    ties = (x.data == extreme) | ((x.data != x.data) & (extreme != extreme))
    return reshape(g, kept) * (ties / np.sum(ties, axis, keepdims=True)).astype(x.dtype)


def max(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    """The largest element of all (equals share the gradient); with an axis, (values, indices) of the first."""
    if axis is None:
        return amax(x)
    indices = argmax(x, axis, keepdims=True)
    return _pick(x, indices, axis, keepdims)


def min(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    """The smallest element of all (equals share the gradient); with an axis, (values, indices) of the first."""
    if axis is None:
        return amin(x)
    indices = argmin(x, axis, keepdims=True)
    return _pick(x, indices, axis, keepdims)


def _pick(x: Tensor, indices: Tensor, axis: int, keepdims: bool) -> Extremes:
    values = take_along_axis(x, indices, axis)
    if keepdims:
        return Extremes(values, indices)
    shape = values.shape[: axis % x.ndim] + values.shape[axis % x.ndim + 1 :]
    return Extremes(reshape(values, shape), reshape(indices, shape))


def all(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether every element over the axes is true, or not 0."""
    return Tensor(np.all(x.data, axis, keepdims=keepdims))


def any(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether some element over the axes is true, or not 0."""
    return Tensor(np.any(x.data, axis, keepdims=keepdims))


def argmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the (first) largest element along the axis, or of all, flattened."""
    return Tensor(np.argmax(x.data, axis, keepdims=keepdims))


def argmin(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the (first) smallest element along the axis, or of all, flattened."""
    return Tensor(np.argmin(x.data, axis, keepdims=keepdims))


def logsumexp(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x) over the axes, from the largest element so that nothing overflows."""
    top = np.max(x.data, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):  # where all are -∞, so is the result
        result = e.log(sum(e.exp(x - top), axis, keepdims=True)) + top
    return result if keepdims else reshape(result, _dropped(x, axis))


def _axes(x: Tensor, axis: Any) -> set[int]:
    """The axes meant, counted from the front."""
    if axis is None:
        return set(range(x.ndim))
    return set(np.lib.array_utils.normalize_axis_tuple(axis, x.ndim))


def _kept(x: Tensor, axis: Any) -> tuple[int, ...]:
    """The shape with the axes reduced to length 1."""
    axes = _axes(x, axis)
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def _dropped(x: Tensor, axis: Any) -> tuple[int, ...]:
    """The shape without the axes."""
    axes = _axes(x, axis)
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)


def _count(x: Tensor, axis: Any) -> int:
    """How many elements are summarised into one."""
    return math.prod(x.shape[i] for i in _axes(x, axis))
