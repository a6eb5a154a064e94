"""Ops that change where or how numbers are kept, not what they are: identity, clone, cast, move, and room to grow."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from minidl import kernels
from minidl.backend import Array, name_of, to_backend
from minidl.ops.primitive import primitive
from minidl.tensor import Tensor


@primitive
def identity(x, /):
    """The same array under a new node."""
    return x.data, lambda g: g


@primitive
def clone(x, /):
    """The same numbers in new memory, of the same layout."""
    return x.data.copy(order="K"), lambda g: g


def astype(x: Tensor, dtype: Any) -> Tensor:
    """The numbers in another type; the tensor itself if they are of that type already."""
    return x if x.dtype == dtype else _astype(x, np.dtype(dtype))


@primitive
def _astype(x, /, dtype):
    before = x.dtype
    value = x.data.real if before.kind == "c" and dtype.kind == "f" else x.data
    return value.astype(dtype), lambda g: astype(g, before)


def to(x: Tensor, place: Any) -> Tensor:
    """The tensor on a backend ("numpy", "cupy") or in a dtype; the gradient goes the way back."""
    if isinstance(place, str) and place in ("numpy", "cupy"):
        return x if x.backend == place else _move(x, place)
    try:
        dtype = np.dtype(place)
    except TypeError:
        raise TypeError(f"to: expected 'numpy', 'cupy' or a dtype, got {place!r}") from None
    return astype(x, dtype)


@primitive
def _move(x, /, place):
    before = name_of(x.data)
    return to_backend(x.data, place), lambda g: to(g, before)


class Room:
    """A channel-major buffer of which the first `filled` rows are in use, by any number of tensors that share them."""

    def __init__(self, buffer: Array, filled: int):
        self.buffer, self.filled = buffer, filled
        self.measured: tuple[Array, Array] | None = None
        self.lock = threading.Lock()

    def claim(self, start: int, count: int) -> bool:
        """Take the rows from `start` on, if they are free and the buffer is long enough."""
        with self.lock:
            if self.filled != start or start + count > len(self.buffer):
                return False
            self.filled += count
            return True

    def moments(self, channels: int) -> tuple[Array, Array]:
        """The mean and the variance of the first channels, each measured once for all who normalise it."""
        with self.lock:
            known = 0 if self.measured is None else len(self.measured[0])
            if known < channels:
                new = kernels.table(self.buffer).channel_moments(np.moveaxis(self.buffer[known:channels], 0, 1))
                pairs = [new] if self.measured is None else [self.measured, new]
                mean, variance = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
                self.measured = mean, variance
            mean, variance = self.measured  # type: ignore[misc]  # known ≥ channels ≥ 1
        return mean[:channels], variance[:channels]

    def prefix(self, rows: int) -> Array:
        """The first rows, as a feature map (N, C, ...)."""
        return np.moveaxis(self.buffer[:rows], 0, 1)


def reserve(x: Tensor, channels: int) -> Tensor:
    """x (N, C, ...) itself, moved to where there is room for `channels` channels.

    As long as there is room, `concatenate([x, new], axis=1)` writes `new` behind x, copies nothing of x, and returns
    a longer view of the same memory; whoever holds the shorter one still sees it unchanged, and none of them can be
    assigned to. So the features of a dense block take memory linear in its depth.
    """
    if x.ndim < 2 or channels < x.shape[1]:
        raise ValueError(f"reserve: room for {channels} channels is too little for x of shape {x.shape}")
    n, c, *image = x.shape
    room = Room(np.empty_like(x.data, shape=(channels, n, *image), order="C"), filled=c)
    room.prefix(c)[...] = x.data
    result = _in_room(x, room)
    result.room = room
    return result


@primitive
def _in_room(x, /, room):
    return room.prefix(x.shape[1]), lambda g: g
