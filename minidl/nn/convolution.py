"""Layers that slide a kernel over an image, and their windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.nn import functional as F
from minidl.nn.functional.geometry import pair
from minidl.nn.linear import empty_parameter, reset
from minidl.nn.module import Module
from minidl.tensor import Tensor

Ints = int | Sequence[int]


class Conv2d(Module):
    """A learned cross-correlation of images (N, C, H, W): see `functional.conv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints | str = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        check_groups("Conv2d", in_channels, out_channels, groups)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride, self.dilation = pair("Conv2d", "stride", stride), pair("Conv2d", "dilation", dilation)
        self.padding = padding if isinstance(padding, str) else pair("Conv2d", "padding", padding, least=0)
        self.weight = empty_parameter(out_channels, in_channels // groups, *self.kernel_size)
        self.bias = empty_parameter(out_channels) if bias else None
        reset(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, *self.settings())

    def settings(self) -> tuple[Any, ...]:
        """What `functional.conv2d` takes beside x."""
        return self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups

    def extra_repr(self) -> str:
        settings = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        return describe(self, settings)


class ConvTranspose2d(Module):
    """The adjoint of a convolution, with learned weights: see `functional.conv_transpose2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
    ):
        super().__init__()
        check_groups("ConvTranspose2d", in_channels, out_channels, groups)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair("ConvTranspose2d", "kernel_size", kernel_size)
        self.stride = pair("ConvTranspose2d", "stride", stride)
        self.padding = pair("ConvTranspose2d", "padding", padding, least=0)
        self.output_padding = pair("ConvTranspose2d", "output_padding", output_padding, least=0)
        self.dilation = pair("ConvTranspose2d", "dilation", dilation)
        self.weight = empty_parameter(in_channels, out_channels // groups, *self.kernel_size)
        self.bias = empty_parameter(out_channels) if bias else None
        reset(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        settings = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return F.conv_transpose2d(x, self.weight, self.bias, *settings)

    def extra_repr(self) -> str:
        settings = {"stride": (1, 1), "padding": (0, 0), "output_padding": (0, 0), "dilation": (1, 1), "groups": 1}
        return describe(self, settings)


class Unfold(Module):
    """The windows of an image as columns: see `functional.unfold`."""

    def __init__(self, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1):
        super().__init__()
        self.settings = kernel_size, dilation, padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.unfold(x, *self.settings)

    def extra_repr(self) -> str:
        return "kernel_size={}, dilation={}, padding={}, stride={}".format(*self.settings)


class Fold(Module):
    """Columns added up to an image: see `functional.fold`."""

    def __init__(self, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1):
        super().__init__()
        self.settings = output_size, kernel_size, dilation, padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.fold(x, *self.settings)

    def extra_repr(self) -> str:
        return "output_size={}, kernel_size={}, dilation={}, padding={}, stride={}".format(*self.settings)


def check_groups(layer: str, in_channels: int, out_channels: int, groups: int) -> None:
    """Refuse channels that do not fall into equal groups."""
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{layer}: {groups} groups cannot share {in_channels} input and {out_channels} output channels evenly"
        )


def describe(layer: Conv2d | ConvTranspose2d, defaults: dict[str, object]) -> str:
    """The channels, the kernel, and what is not as usual."""
    parts = [f"{layer.in_channels}, {layer.out_channels}, kernel_size={layer.kernel_size}"]
    parts += [f"{name}={getattr(layer, name)}" for name, usual in defaults.items() if getattr(layer, name) != usual]
    return ", ".join(parts if layer.bias is not None else [*parts, "bias=False"])
