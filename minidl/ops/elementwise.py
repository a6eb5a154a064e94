"""Ops that act on each element: arithmetic, exponentials, comparisons, and the curves that bend a network's signals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import kernels
from minidl.ops.primitive import accelerated, as_tensors, primitive
from minidl.tensor import Tensor


# ----------------------------------------------------------------------------------------------------------- arithmetic
@primitive
def add(x, y, /):
    """Elementwise sum; shapes broadcast."""
    return x.data + y.data, lambda g: g, lambda g: g


@primitive
def subtract(x, y, /):
    """Elementwise difference; shapes broadcast."""
    return x.data - y.data, lambda g: g, negative


@primitive
def multiply(x, y, /):
    """Elementwise product; shapes broadcast."""
    return x.data * y.data, lambda g: g * y, lambda g: g * x


@primitive(of_floats=True)
def divide(x, y, /):
    """Elementwise quotient; shapes broadcast."""
    return x.data / y.data, lambda g: g / y, lambda g: -g * (x / y) / y  # y² might overflow


@primitive
def negative(x, /):
    """The additive inverse."""
    return -x.data, negative


@primitive
def power(x, y, /):
    """Elementwise x to the y. At x = 0 the slope in x is 0 where y is 0; in y it is 0 where y is not negative."""

    def lowered():
        if not np.any(y.data == 0):
            return y - 1
        return where((x.data == 0) & (y.data == 0), 1, y - 1)

    def slope_in_y(g):
        flat = (x.data == 0) & (y.data >= 0)
        return where(flat, 0, g * power(x, y) * log(where(flat, 1, x)))

    return np.power(x.data, y.data), lambda g: g * y * power(x, lowered()), slope_in_y


@primitive
def absolute(x, /):
    """The distance from 0; the slope at 0 is 0."""
    return np.abs(x.data), lambda g: g * np.sign(x.data)


# --------------------------------------------------------------------------------------------------------- exponentials
@primitive(of_floats=True)
def exp(x, /):
    """e to the x."""
    return np.exp(x.data), lambda g: g * exp(x)


@primitive(of_floats=True)
def log(x, /):
    """The natural logarithm."""
    return np.log(x.data), lambda g: g / x


@primitive(of_floats=True)
def sqrt(x, /):
    """The square root."""
    return np.sqrt(x.data), lambda g: g / (2 * sqrt(x))


@primitive(of_floats=True)
def tanh(x, /):
    """The hyperbolic tangent."""
    return np.tanh(x.data), lambda g: g * (1 - tanh(x) ** 2)


@accelerated(by="sigmoid")
def sigmoid(x: Tensor, /) -> Tensor:
    """1 / (1 + e^-x), exact to rounding also where it is tiny."""
    return _sigmoid(x)


@primitive(of_floats=True)
def _sigmoid(x, /):
    with np.errstate(over="ignore"):  # 1/∞ is the 0 that is meant
        return 1 / (1 + np.exp(-x.data)), lambda g: g * sigmoid(x) * sigmoid(-x)


@primitive(of_floats=True)
def softplus(x, /):
    """log(1 + e^x), an integral of the sigmoid."""
    zero = x.data.dtype.type(0)
    return np.logaddexp(x.data, zero), lambda g: g * sigmoid(x)


@primitive(of_floats=True)
def erf(x, /):
    """The error function 2/√π ∫₀ˣ exp(-t²) dt."""
    return kernels.table(x.data).erf(x.data), lambda g: g * (2 / math.sqrt(math.pi)) * exp(-x * x)


# ------------------------------------------------------------------------------------------------------ pieces of lines
@accelerated(by="relu")
def relu(x: Tensor, /) -> Tensor:
    """The positive part; the slope at 0 is 0."""
    return _relu(x)


@primitive
def _relu(x, /):
    on = x.data > 0
    return np.maximum(x.data, 0), lambda g: g * on


@primitive(of_floats=True)
def leaky_relu(x, /, negative_slope=0.01):
    """x where positive, else x · negative_slope."""
    slope = np.where(x.data > 0, x.data.dtype.type(1), x.data.dtype.type(negative_slope))
    return x.data * slope, lambda g: g * slope


@primitive
def relu6(x, /):
    """x held between 0 and 6; the slope at both ends is 0. (Howard et al., arXiv:1704.04861.)"""
    between = (x.data > 0) & (x.data < 6)
    return np.clip(x.data, 0, 6), lambda g: g * between


@primitive
def clip(x, /, min=None, max=None):
    """x held between two numbers, either of which may be None; the slope at both ends is 1."""
    min, max = (bound.item() if isinstance(bound, np.generic) else bound for bound in (min, max))  # widens no float32
    inside = (x.data >= (-np.inf if min is None else min)) & (x.data <= (np.inf if max is None else max))
    return np.clip(x.data, min, max), lambda g: g * inside


@primitive
def maximum(x, y, /):
    """The larger of two; equals share the gradient. Shapes broadcast."""
    return (
        np.maximum(x.data, y.data),
        lambda g: g * _share(x.data < y.data, x, y),
        lambda g: g * _share(x.data > y.data, x, y),
    )


@primitive
def minimum(x, y, /):
    """The smaller of two; equals share the gradient. Shapes broadcast."""
    return (
        np.minimum(x.data, y.data),
        lambda g: g * _share(x.data > y.data, x, y),
        lambda g: g * _share(x.data < y.data, x, y),
    )


def _share(loses: Any, x: Tensor, y: Tensor) -> Any:
    """An operand's share of the gradient: 0 where it loses, 1/2 where both are equal, else 1 (beside NaN as well)."""
    dtype = np.result_type(x.dtype, y.dtype).type
    return dtype(1) - loses - dtype(0.5) * (x.data == y.data)


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """x where the condition (a boolean tensor or array) holds, else y; all three broadcast."""
    holds = condition.data if isinstance(condition, Tensor) else condition
    if getattr(holds, "dtype", None) != np.bool_:
        raise TypeError(f"where: the condition must be boolean, got {getattr(holds, 'dtype', type(holds).__name__)}")
    x, y, holds = as_tensors("where", [x, y, holds])
    result = _where(x, y, holds.data)
    if isinstance(condition, Tensor) and result.requires_grad:
        condition.memory.frozen = True
    return result


@primitive
def _where(x, y, /, condition):
    return np.where(condition, x.data, y.data), lambda g: where(condition, g, 0), lambda g: where(condition, 0, g)


def compare(comparison: Callable[..., Any], x: Any, y: Any) -> Any:
    """A NumPy comparison of two tensors, elementwise, as a boolean tensor; shapes broadcast."""
    if y is None or isinstance(y, (str, bytes)):
        return NotImplemented
    x, y = as_tensors(comparison.__name__, [x, y])
    return Tensor(comparison(x.data, y.data))
