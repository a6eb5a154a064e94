"""Layers one after the other; a few that often follow each other run as one op, for which there are fast kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.mode import mode
from minidl.nn.activation import ReLU
from minidl.nn.convolution import Conv2d
from minidl.nn.functional.convolution import conv2d
from minidl.nn.functional.normalization import convolution_and_norm, norm_relu, norm_relu_conv2d
from minidl.nn.module import Module
from minidl.nn.normalization import BatchNorm2d
from minidl.ops import relu
from minidl.tensor import Tensor


def chain(x: Any, *steps: Callable[[Any], Any]) -> Any:
    """x through modules or functions, in their order.

    BatchNorm2d, ReLU (or `relu`) and Conv2d in a row are one op, and so are BatchNorm2d and ReLU: the numbers are the
    same, but what is between them is not stored. In evaluation, where nothing is recorded, a BatchNorm2d after a Conv2d
    goes into the weights. Modules with hooks, and those of derived classes, run by themselves.
    """
    left: list[Any] = list(steps)
    while left:
        if _are(left, BatchNorm2d, ReLU, Conv2d):
            norm, _, conv, *left = left
            settings, left = _convolution(conv, left, x)
            x = norm_relu_conv2d(x, norm.settings(x), settings)
        elif _are(left, BatchNorm2d, ReLU):
            norm, _, *left = left
            x = norm_relu(x, *norm.settings(x))
        elif _are(left, Conv2d, BatchNorm2d):
            settings, left = _convolution(left[0], left[1:], x)
            x = conv2d(x, *settings)
        else:
            step, *left = left
            x = step(x)
    return x


def _convolution(conv: Conv2d, left: list[Any], x: Any) -> tuple[tuple[Any, ...], list[Any]]:
    """The settings of a convolution, the norm that follows taken into them where that is right; and what is left."""
    if mode.recording or mode.definitions or not _are(left, BatchNorm2d) or _are(left, BatchNorm2d, ReLU):
        return conv.settings(), left  # a ReLU takes the norm into its own pass
    norm, *rest = left
    given = (x, conv.weight, norm.running_mean, norm.weight)
    alike = isinstance(x, Tensor) and len({tensor.dtype for tensor in given if tensor is not None}) == 1
    fixed = not norm.training and norm.running_mean is not None and norm.num_features == conv.out_channels
    if not (alike and fixed and conv.weight.numel() <= x.numel()):
        return conv.settings(), left
    return convolution_and_norm(conv.settings(), norm.settings(x)), rest


def _are(steps: list[Any], *kinds: type[Module]) -> bool:
    """Whether the first steps are of exactly these kinds, and nobody watches them."""
    return len(steps) >= len(kinds) and all(
        (step is relu and kind is ReLU) or (type(step) is kind and not step.has_hooks and "forward" not in vars(step))
        for step, kind in zip(steps, kinds, strict=False)
    )
