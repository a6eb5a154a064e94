"""How many multiply-adds a layer takes: a product and its addition to a sum count once, as in the papers' tables."""

from __future__ import annotations

import functools
import math
from typing import Any

from minidl.nn import Conv2d, ConvTranspose2d, Linear, Module
from minidl.tensor import Tensor


@functools.singledispatch
def mult_adds(layer: Module, x: Any, y: Any) -> int:
    """From x to y: none, but where another rule is registered (`@mult_adds.register` adds one for your layer).

    Pooling and activations multiply nothing, a batch norm does in training only (else it is part of the convolution
    before it), and biases are no products: papers count none of them.
    """
    return 0


@mult_adds.register
def _(layer: Conv2d, x: Tensor, y: Tensor) -> int:
    """Every output element is a sum over the kernel and the channels of its group."""
    return y.numel() * math.prod(layer.weight.shape[1:])


@mult_adds.register
def _(layer: ConvTranspose2d, x: Tensor, y: Tensor) -> int:
    """Every input element paints a kernel in the channels of its group."""
    return x.numel() * math.prod(layer.weight.shape[1:])


@mult_adds.register
def _(layer: Linear, x: Tensor, y: Tensor) -> int:
    """Every output is a sum over all inputs."""
    return y.numel() * layer.in_features
