"""Initial weights, written in place, and drawn on the host, so that every backend gets the same.

Weights get the variance with which activations (fan in) or gradients (fan out) keep theirs through layers;
`gain` makes up for what the nonlinearity takes away.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from minidl import random
from minidl.autograd import note_write
from minidl.backend import to_backend
from minidl.tensor import Tensor

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on the standard deviation, by nonlinearity; `param` is the slope of "leaky_relu"."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"unknown nonlinearity {nonlinearity!r}: use one of {', '.join([*_GAINS, 'leaky_relu'])}")
    return _GAINS[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with draws from the uniform distribution on [a, b)."""
    return _fill(tensor, random.generator().uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with draws from the normal distribution of this mean and standard deviation."""
    return _fill(tensor, random.generator().normal(mean, std, tensor.shape))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Fill with draws from the normal distribution, drawing again what falls outside [a, b]."""
    law = NormalDist(mean, std)
    if not law.cdf(b) - law.cdf(a) > 0.01:
        raise ValueError(f"trunc_normal_: [{a}, {b}] holds less than 1 % of the draws with mean {mean} and std {std}")
    draws = random.generator().normal(mean, std, tensor.shape)
    while (outside := (draws < a) | (draws > b)).any():
        draws[outside] = random.generator().normal(mean, std, int(outside.sum()))
    return _fill(tensor, draws)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number."""
    tensor.data[...] = val
    note_write(tensor)
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """U(-b, b) with b = gain √(6 / (fan in + fan out)).

    Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010, eq. 16.
    """
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """N(0, σ²) with σ = gain √(2 / (fan in + fan out)).

    Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010, eq. 12.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor))))


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """U(-b, b) with b = gain √(3 / fan): the variance is that of `kaiming_normal_`."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """N(0, σ²) with σ = gain / √fan, the fan in or out by `mode`; `a` is the slope of a leaky ReLU.

    He et al., Delving deep into rectifiers, 2015, arXiv:1502.01852, eq. 10 (fan in) and eq. 14 (fan out).
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=True))
    if mode not in fans:
        raise ValueError(f"unknown mode {mode!r}: use 'fan_in' or 'fan_out'")
    return calculate_gain(nonlinearity, a) / math.sqrt(fans[mode])


def _fans(tensor: Tensor) -> tuple[int, int]:
    """The inputs of one output and the outputs of one input, for a weight (out, in / groups, *kernel).

    As in PyTorch, fan out counts the outputs of all groups.
    """
    if tensor.ndim < 2 or not tensor.numel():
        raise ValueError(
            f"fan in and fan out need a weight of shape (out, in, *kernel) with elements, got {tensor.shape}"
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


def _fill(tensor: Tensor, draws: np.ndarray[Any, Any]) -> Tensor:
    tensor.data[...] = to_backend(draws.astype(tensor.dtype), tensor.backend)
    note_write(tensor)
    return tensor
