"""Modules one after the other; a few that often follow each other run as one op, for which there are fast kernels."""

from __future__ import annotations

from typing import Any

from minidl.nn.activation import ReLU
from minidl.nn.convolution import Conv2d
from minidl.nn.functional.normalization import norm_relu, norm_relu_conv2d
from minidl.nn.module import Module
from minidl.nn.normalization import BatchNorm2d


def chain(x: Any, *modules: Module) -> Any:
    """x through the modules, in their order.

    BatchNorm2d, ReLU and Conv2d in a row are one op, and so are BatchNorm2d and ReLU: the numbers are the same, but
    what is between them is not stored. Modules with hooks, and those of derived classes, run by themselves.
    """
    left: list[Any] = list(modules)
    while left:
        if _are(left, BatchNorm2d, ReLU, Conv2d):
            norm, _, conv, *left = left
            x = norm_relu_conv2d(x, norm.settings(x), conv.settings())
        elif _are(left, BatchNorm2d, ReLU):
            norm, _, *left = left
            x = norm_relu(x, *norm.settings(x))
        else:
            module, *left = left
            x = module(x)
    return x


def _are(modules: list[Any], *kinds: type[Module]) -> bool:
    """Whether the first modules are of exactly these kinds, and nobody watches them."""
    return len(modules) >= len(kinds) and all(
        type(module) is kind and not module.has_hooks for module, kind in zip(modules, kinds, strict=False)
    )
