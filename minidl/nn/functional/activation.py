"""Curves and gates made of elementary ops, and the softmax."""

from __future__ import annotations

import math

import numpy as np

from minidl.ops import accelerated, as_tensors, erf, exp, log, relu, relu6, sigmoid, tanh
from minidl.ops import sum as total
from minidl.tensor import Tensor


@accelerated(by="add_relu", hands_out="any")
def add_relu(x: Tensor, y: Tensor, /) -> Tensor:
    """relu(x + y): where the paths of a residual block meet. Shapes broadcast."""
    return relu(x + y)


@accelerated(by="silu")
def silu(x: Tensor, /) -> Tensor:
    """x · σ(x), also called swish. (Elfwing et al., arXiv:1702.03118; Ramachandran et al., arXiv:1710.05941.)"""
    return x * sigmoid(x)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), Φ the normal distribution or its "tanh" approximation. (Hendrycks & Gimpel, arXiv:1606.08415.)"""
    if approximate == "none":
        return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


def hardsigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6: the sigmoid in three straight pieces. (Howard et al., arXiv:1905.02244, section 5.2.)"""
    return relu6(x + 3) / 6


@accelerated(by="hardswish")
def hardswish(x: Tensor, /) -> Tensor:
    """x · relu6(x + 3) / 6: the swish with a straight gate. (Howard et al., arXiv:1905.02244, section 5.2.)"""
    return x * hardsigmoid(x)


def softmax(x: Tensor, dim: int) -> Tensor:
    """exp(x) / Σ exp(x) along an axis."""
    weights = exp(_below_the_largest("softmax", x, dim))
    return weights / total(weights, dim, keepdims=True)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """x - log Σ exp(x) along an axis."""
    below = _below_the_largest("log_softmax", x, dim)
    return below - log(total(exp(below), dim, keepdims=True))


def _below_the_largest(op: str, x: Tensor, dim: int) -> Tensor:
    """x less its largest element, which changes no softmax: no exponential overflows, no difference drowns in size."""
    (x,) = as_tensors(op, [x])
    return x - np.max(x.data, dim, keepdims=True)
