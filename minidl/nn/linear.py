"""Layers that move or mix features without looking at their neighbours."""

from __future__ import annotations

import math

import numpy as np

from minidl.nn import functional as F
from minidl.nn import init
from minidl.nn.module import Module, Parameter
from minidl.ops import flatten
from minidl.tensor import Tensor


class Linear(Module):
    """x Wᵀ + b: every output is a weighted sum of all inputs."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = empty_parameter(out_features, in_features)
        self.bias = empty_parameter(out_features) if bias else None
        reset(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """Its input, as it is."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    """The axes from start to end as one: by default all but the batch's."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


def empty_parameter(*shape: int) -> Parameter:
    """A parameter whose values are still to be set."""
    return Parameter(np.empty(shape, np.float32))


def reset(weight: Parameter, bias: Parameter | None) -> None:
    """PyTorch's start for linear and convolution layers: uniform on ±1/√fan_in, for both."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None and weight.data.size:
        bound = 1 / math.sqrt(math.prod(weight.shape[1:]))
        init.uniform_(bias, -bound, bound)
