"""Ops that rearrange elements without computing any. They are linear; each is written beside, or is, its adjoint."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from minidl.backend import array_module
from minidl.ops.primitive import as_tensors, primitive
from minidl.tensor import Tensor


@primitive(hands_out="parts")
def reshape(x, /, *shape):
    """The elements in C order, in another shape; one length may be -1."""
    shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
    before = x.shape
    return x.data.reshape(shape), lambda g: reshape(g, before)


@primitive(hands_out="parts")
def permute(x, /, *axes):
    """The axes in another order: axis i of the result is axis axes[i] of x."""
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)) else axes
    if sorted(axis % x.ndim for axis in axes) != list(range(x.ndim)):
        raise ValueError(f"permute: {tuple(axes)} is no order of the {x.ndim} axes of x")
    return np.transpose(x.data, axes), lambda g: permute(g, *np.argsort([axis % x.ndim for axis in axes]).tolist())


def transpose(x: Tensor, axis0: int, axis1: int) -> Tensor:
    """Two axes exchanged."""
    order = list(range(x.ndim))
    axis0, axis1 = normalize_axis_index(axis0, x.ndim, "transpose"), normalize_axis_index(axis1, x.ndim, "transpose")
    order[axis0], order[axis1] = order[axis1], order[axis0]
    return permute(x, *order)


@primitive
def broadcast_to(x, /, shape):
    """x repeated along new axes and along those of length 1. (The adjoint, a sum, is what the engine does anyway.)"""
    return np.broadcast_to(x.data, shape), lambda g: g


def flatten(x: Tensor, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """The axes from start to end (included) as one."""
    if x.ndim == 0:
        return reshape(x, 1)
    start, end = normalize_axis_index(start_axis, x.ndim, "flatten"), normalize_axis_index(end_axis, x.ndim, "flatten")
    if start > end:
        raise ValueError(f"flatten: start_axis {start_axis} comes after end_axis {end_axis}")
    return reshape(x, *x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])


def squeeze(x: Tensor, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """x without its axes of length 1: all of them, or those given (any that is longer stays)."""
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim, "squeeze")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in axes))


def unsqueeze(x: Tensor, axis: int) -> Tensor:
    """x with a new axis of length 1 at this place."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise IndexError(
            f"unsqueeze: axis must be in [{-x.ndim - 1}, {x.ndim}] for a tensor of {x.ndim} axes, got {axis}"
        )
    at = axis % (x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


@primitive
def flip(x, /, axis=None):
    """The elements in reverse order along the axes."""
    return np.flip(x.data, axis), lambda g: flip(g, axis)


def pad(x: Tensor, pad_width: Any, value: float = 0) -> Tensor:
    """x with a border of constants: one width, one (before, after) for all axes, or one for each."""
    widths = np.broadcast_to(pad_width, (x.ndim, 2))
    if widths.dtype.kind not in "iu" or np.any(widths < 0):
        raise ValueError(f"pad: widths must be integers and not negative, got {pad_width}: crop with a slice")
    return _pad(x, widths.tolist(), value) if np.any(widths) else x


@primitive
def _pad(x, /, pad_width, value):
    shape = tuple(before + n + after for n, (before, after) in zip(x.shape, pad_width, strict=True))
    inner = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, pad_width, strict=True))
    padded = np.full_like(x.data, value, shape=shape)
    padded[inner] = x.data
    return padded, lambda g: getitem(g, inner)


# -------------------------------------------------------------------------------------------------- picking and placing
def getitem(x: Tensor, index: Any) -> Tensor:
    """The elements at an index: integers, slices, None, ..., and arrays or tensors of integers or booleans.

    CuPy does not check arrays of integers, for that would wait for the GPU: what is out of range wraps around.
    """
    return _relying(_getitem(x, _plain(x, index)), index)


@primitive
def _getitem(x, /, index):
    shape = x.shape
    return x.data[index], lambda g: _put(g, index, shape)


def put(x: Tensor, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Zeros of a shape, with x added at an index: the adjoint of `getitem`."""
    return _relying(_put(x, _plain(x, index), shape), index)


@primitive
def _put(x, /, index, shape):
    xp = array_module(x.data)
    result = np.zeros_like(x.data, shape=shape) if shape else xp.zeros((), x.dtype)  # CuPy takes shape=() for None
    if any(getattr(part, "dtype", None) is not None and part.dtype.kind in "iu" for part in _parts(index)):
        xp.add.at(result, index, x.data)  # an element may be meant more than once
    else:
        result[index] = x.data
    return result, lambda g: _getitem(g, index)


def take_along_axis(x: Tensor, indices: Any, axis: int) -> Tensor:
    """result[..., i, ...] = x[..., indices[..., i, ...], ...]: from each row along the axis, some elements."""
    if indices.ndim != x.ndim:
        raise ValueError(f"take_along_axis: x has {x.ndim} axes, so must the indices: their shape is {indices.shape}")
    grid = [np.arange(n).reshape([-1 if i == j else 1 for j in range(x.ndim)]) for i, n in enumerate(x.shape)]
    grid[axis] = indices
    return _relying(_take_along_axis(x, _plain(x, tuple(grid))), indices)


@primitive
def _take_along_axis(x, /, grid):
    shape = x.shape
    return x.data[grid], lambda g: _put(g, grid, shape)


def _relying(result: Tensor, index: Any) -> Tensor:
    """The result of an op whose pullback will look at the index again: no tensor in it may change meanwhile."""
    for part in _parts(index):
        if isinstance(part, Tensor) and result.requires_grad:
            part.memory.frozen = True
    return result


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _plain(x: Tensor, index: Any) -> Any:
    """An index with arrays of x's backend in the place of tensors, other arrays, and lists."""
    if isinstance(index, tuple):
        return tuple(_plain_part(x, part) for part in index)
    return _plain_part(x, index)


def _plain_part(x: Tensor, part: Any) -> Any:
    if isinstance(part, Tensor):
        return part.data
    if isinstance(part, (list, tuple, range)):
        part = np.asarray(part, dtype=None if len(part) else int)
    return array_module(x.data).asarray(part) if isinstance(part, np.ndarray) else part


# -------------------------------------------------------------------------------------------------------------- joining
def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The tensors one after the other along an axis. The first is not copied if it has room: see `reserve`."""
    tensors = as_tensors("concatenate", list(tensors))
    if not tensors:
        raise ValueError("concatenate: expected at least one tensor, got an empty list")
    first, *rest = tensors
    if not -first.ndim <= axis < first.ndim:
        raise IndexError(f"concatenate: axis {axis} is out of range for tensors of {first.ndim} axes")
    axis %= first.ndim
    for x in rest:
        if (
            x.ndim != first.ndim
            or x.shape[:axis] != first.shape[:axis]
            or x.shape[axis + 1 :] != first.shape[axis + 1 :]
        ):
            shapes = ", ".join(str(x.shape) for x in tensors)
            raise ValueError(f"concatenate: shapes may differ in axis {axis} only, got {shapes}")
    room = first.room if axis == 1 and all(x.dtype == first.dtype for x in rest) else None
    if room is not None and not room.claim(first.shape[1], sum(x.shape[1] for x in rest)):
        room = None
    result = _concatenate(*tensors, axis=axis, room=room)
    result.room = room
    return result


@primitive(hands_out="parts")
def _concatenate(*tensors, axis, room):
    ends = list(itertools.accumulate(x.shape[axis] for x in tensors))
    slices = [(slice(None),) * axis + (slice(end - x.shape[axis], end),) for x, end in zip(tensors, ends, strict=True)]
    if room is None:
        value = np.concatenate([x.data for x in tensors], axis)
    else:
        value = room.prefix(ends[-1])
        for x, part in zip(tensors[1:], slices[1:], strict=True):
            value[part] = x.data
    return value, *[lambda g, part=part: getitem(g, part) for part in slices]


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis."""
    tensors = as_tensors("stack", list(tensors))
    if len({x.shape for x in tensors}) > 1:
        raise ValueError(f"stack: all shapes must be equal, got {', '.join(str(x.shape) for x in tensors)}")
    return concatenate([unsqueeze(x, axis) for x in tensors], axis)


def split(x: Tensor, split_size_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """x in pieces along an axis: of one size (the last may be smaller), or of the sizes given."""
    total, sizes = x.shape[axis], split_size_or_sections
    if isinstance(sizes, int):
        if sizes < 1:
            raise ValueError(f"split: the size of a piece must be positive, got {sizes}")
        sizes = [min(sizes, total - start) for start in range(0, total, sizes)] or [0]
    if sum(sizes) != total or min(sizes) < 0:
        raise ValueError(f"split: the sizes {list(sizes)} do not divide axis {axis} of length {total}")
    before = (slice(None),) * (axis % x.ndim)
    ends = itertools.accumulate(sizes)
    return tuple(getitem(x, (*before, slice(end - size, end))) for end, size in zip(ends, sizes, strict=True))
