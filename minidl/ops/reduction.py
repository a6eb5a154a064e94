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
    kept = _kept(x, axis)
    return np.sum(x.data, axis, keepdims=keepdims), lambda g: broadcast_to(reshape(g, kept), x.shape)


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
    """The standard deviation, the root of `var`."""
    return e.sqrt(var(x, axis, correction, keepdims))


@primitive
def amax(x, /, axis=None, keepdims=False):
    """The largest element over the axes; equals share the gradient."""
    share, value = _extreme(np.max, x, axis, keepdims)
    return value, lambda g: reshape(g, _kept(x, axis)) * share


@primitive
def amin(x, /, axis=None, keepdims=False):
    """The smallest element over the axes; equals share the gradient."""
    share, value = _extreme(np.min, x, axis, keepdims)
    return value, lambda g: reshape(g, _kept(x, axis)) * share


def _extreme(reduce: Any, x: Tensor, axis: Any, keepdims: bool) -> tuple[Any, Any]:
    value = reduce(x.data, axis, keepdims=True)
    ties = (x.data == value) | ((x.data != x.data) & (value != value))
    share = ties / np.sum(ties, axis, keepdims=True)
    return share.astype(x.dtype), value if keepdims else np.squeeze(value, axis)


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
    values = take_along_axis(x, indices.data, axis)
    if keepdims:
        return Extremes(values, indices)
    shape = values.shape[: axis % x.ndim] + values.shape[axis % x.ndim + 1 :]
    return Extremes(reshape(values, shape), Tensor(indices.data.reshape(shape)))


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
