"""Layers one after the other; a few that often follow each other run as one op, for which there are fast kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.nn.activation import ReLU
from minidl.nn.convolution import Conv2d
from minidl.nn.functional.normalization import norm_relu, norm_relu_conv2d
from minidl.nn.module import Module
from minidl.nn.normalization import BatchNorm2d
from minidl.ops import relu


def chain(x: Any, *steps: Callable[[Any], Any]) -> Any:
    """x through modules or functions, in their order.

    BatchNorm2d, ReLU (or `relu`) and Conv2d in a row are one op, and so are BatchNorm2d and ReLU: the numbers are the
    same, but what is between them is not stored. Modules with hooks, and those of derived classes, run by themselves.
    """
    left: list[Any] = list(steps)
    while left:
        if _are(left, BatchNorm2d, ReLU, Conv2d):
            norm, _, conv, *left = left
            x = norm_relu_conv2d(x, norm.settings(x), conv.settings())
        elif _are(left, BatchNorm2d, ReLU):
            norm, _, *left = left
            x = norm_relu(x, *norm.settings(x))
        else:
            step, *left = left
            x = step(x)
    return x


def _are(steps: list[Any], *kinds: type[Module]) -> bool:
    """Whether the first steps are of exactly these kinds, and nobody watches them."""
    return len(steps) >= len(kinds) and all(
        (step is relu and kind is ReLU) or (type(step) is kind and not step.has_hooks and "forward" not in vars(step))
        for step, kind in zip(steps, kinds, strict=False)
    )
