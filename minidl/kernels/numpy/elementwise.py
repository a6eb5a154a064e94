"""Curves applied to each element. Tiles stay in the cache from the first step of a formula to the last.

NumPy makes `x · σ(x)` in five calls, each of which reads and writes the whole of memory, and its slope in twelve. Here
nothing but the result is written, exponentials are computed again in the backward pass, all threads work, and
operands are such as NumPy is fast with (see `constant`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.kernels.common.slices import tiles
from minidl.kernels.numpy.constant import constant
from minidl.kernels.numpy.parallel import parallel, scratch, shares

Pull = Callable[[np.ndarray, Sequence[bool]], tuple[np.ndarray]]

TILE = 1 << 18
"""Elements to work on at a time: 1 MB of float32, so that threads rarely wait for Python."""

PIECE = 1 << 18
"""How many elements to work on in place without other threads."""


def relu(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """max(x, 0), and the pullback, which is 0 at 0. One byte an element is kept for it."""
    on = np.empty_like(x, bool)

    def value(x: np.ndarray, on: np.ndarray, y: np.ndarray) -> None:
        np.maximum(x, constant(0, x.shape, x.dtype), out=y)
        np.greater(x, 0, out=on)

    def slope(g: np.ndarray, on: np.ndarray, dx: np.ndarray) -> None:
        np.copyto(dx, on)
        np.multiply(dx, g, out=dx)

    y = _each_tile(value, x, on)
    return y, lambda g, wanted: (_each_tile(slope, g, on),)


def add_relu(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, Callable[..., tuple[np.ndarray, np.ndarray]]] | None:
    """max(x + y, 0), and the pullback, the same array to both; None if shapes broadcast."""
    if x.shape != y.shape:
        return None

    def value(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
        np.add(x, y, out=z)
        np.maximum(z, constant(0, z.shape, z.dtype), out=z)

    def slope(g: np.ndarray, z: np.ndarray, d: np.ndarray) -> None:
        np.copyto(d, np.greater(z, constant(0, z.shape, z.dtype), out=scratch("on", z.shape, np.bool_)))
        np.multiply(d, g, out=d)

    z = _each_tile(value, x, y)
    return z, lambda g, wanted: (_each_tile(slope, g, z),) * 2


def accumulate(total: np.ndarray, part: np.ndarray) -> None:
    """total += part."""
    if total.flags.c_contiguous or total.swapaxes(0, min(1, total.ndim - 1)).flags.c_contiguous:
        order: Any = sorted(range(total.ndim), key=lambda axis: -total.strides[axis])
        in_tiles(lambda x, y: np.add(x, y, out=x), *(array.transpose(order) for array in (total, part)))
    else:
        np.add(total, part, out=total)


def silu(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """x · σ(x), and the pullback g · σ · (1 + x · (1 - σ))."""

    def value(x: np.ndarray, y: np.ndarray) -> None:
        np.divide(x, _one_and_exp(x), out=y)

    def slope(x: np.ndarray, g: np.ndarray, dx: np.ndarray) -> None:
        sigma = np.divide(1, _one_and_exp(x), out=scratch("sigma", x.shape, x.dtype))
        np.subtract(1, sigma, out=dx)
        np.multiply(dx, x, out=dx)
        np.add(dx, 1, out=dx)
        np.multiply(dx, sigma, out=dx)
        np.multiply(dx, g, out=dx)

    return _each_tile(value, x), lambda g, wanted: (_each_tile(slope, x, g),)


def sigmoid(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """1 / (1 + e⁻ˣ), and the pullback g · e / (1 + e)² with e = e^-|x|, which is exact to rounding on both sides."""

    def value(x: np.ndarray, y: np.ndarray) -> None:
        np.divide(1, _one_and_exp(x), out=y)

    def slope(x: np.ndarray, g: np.ndarray, dx: np.ndarray) -> None:
        e = np.absolute(x, out=scratch("sigma", x.shape, x.dtype))
        np.exp(np.negative(e, out=e), out=e)
        np.add(e, 1, out=dx)
        np.multiply(dx, dx, out=dx)
        np.divide(np.multiply(e, g, out=e), dx, out=dx)

    return _each_tile(value, x), lambda g, wanted: (_each_tile(slope, x, g),)


def hardswish(x: np.ndarray) -> tuple[np.ndarray, Pull]:
    """x · r/6 with r = x + 3 held between 0 and 6, and the pullback g · (r/6 + x/6 where 0 < r < 6)."""

    def ramp(x: np.ndarray) -> np.ndarray:
        r = np.add(x, 3, out=scratch("ramp", x.shape, x.dtype))
        np.maximum(r, constant(0, x.shape, x.dtype), out=r)
        return np.minimum(r, constant(6, x.shape, x.dtype), out=r)

    def value(x: np.ndarray, y: np.ndarray) -> None:
        np.divide(ramp(x), 6, out=y)
        np.multiply(y, x, out=y)

    def slope(x: np.ndarray, g: np.ndarray, dx: np.ndarray) -> None:
        r = ramp(x)
        np.copyto(dx, (r > 0) & (r < 6))
        np.multiply(dx, x, out=dx)
        np.add(dx, r, out=dx)
        np.divide(dx, 6, out=dx)
        np.multiply(dx, g, out=dx)

    return _each_tile(value, x), lambda g, wanted: (_each_tile(slope, x, g),)


def _one_and_exp(x: np.ndarray) -> np.ndarray:
    """1 + e⁻ˣ; ∞ where that overflows, of which 1/∞ is the 0 that is meant."""
    e = np.negative(x, out=scratch("exp", x.shape, x.dtype))
    with np.errstate(over="ignore"):
        np.exp(e, out=e)
    return np.add(e, 1, out=e)


def _each_tile(step: Callable[..., None], x: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """An array like x that `step(x, *others, out)` fills piece by piece, in the order of memory."""
    y = np.empty_like(x)
    order: Any = sorted(range(x.ndim), key=lambda axis: -y.strides[axis])
    flat = [array.transpose(order).reshape(-1) for array in (x, *others, y)]
    if x.size <= TILE:
        step(*flat)
    else:
        parallel(lambda part: step(*(array[part] for array in flat)), tiles(x.size, 1, TILE))
    return y


def in_tiles(step: Callable[..., None], *arrays: np.ndarray) -> None:
    """Let step(*arrays) work in place on arrays of one shape, piece by piece if they are so large that it pays."""
    size, length = arrays[0].size, len(arrays[0]) if arrays[0].ndim else 1
    if size <= PIECE:
        step(*arrays)
    else:
        parallel(lambda part: step(*(array[part] for array in arrays)), shares(length, size // length))
