"""Our networks in PyTorch as one writes them there, so that it is not slowed down by how the tests' twins are written.

As torchvision does: activations and the sum of a residual block in place, nothing done where a shortcut is the
identity, gates as 1×1 convolutions and a product that broadcasts. The names of the parts stay: the weights are ours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from tests.models import densenet_twin, efficientnet_twin, lenet_twin, mobilenet_v1_twin, resnet_twin, vgg_twin

F = nn.functional


class Unit(resnet_twin.Unit):  # type: ignore[misc]
    """relu(F(x) + shortcut)."""

    def shortcut(self, x: Any) -> Any:
        if hasattr(self, "downsample"):
            return self.downsample(x)
        if self.inputs == self.outputs:
            return x
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.outputs - self.inputs))

    def branch(self, x: Any) -> Any:
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu_()))

    def forward(self, x: Any) -> Any:
        y = self.branch(x)
        y += self.shortcut(x)
        return y.relu_()


class Gate(nn.Module):  # type: ignore[misc]
    """Squeeze and excitation with r = 16."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, channels // 16, 1), nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: Any) -> Any:
        return self.fc2(self.fc1(F.adaptive_avg_pool2d(x, 1)).relu_()).sigmoid_() * x


class GatedUnit(Unit):
    """relu(gate(F(x)) + shortcut)."""

    def __init__(self, rows: Any, option: str):
        super().__init__(rows, option)
        self.se_module = Gate(self.outputs)

    def branch(self, x: Any) -> Any:
        return self.se_module(super().branch(x))


def in_place(build: Callable[..., Any]) -> Callable[..., Any]:
    """The network that is built, with activations that overwrite their input."""

    @functools.wraps(build)
    def wrapped(*args: Any, **settings: Any) -> Any:
        model = build(*args, **settings)
        for module in model.modules():
            if isinstance(module, nn.ReLU | nn.SiLU):
                module.inplace = True
        return model

    return wrapped


lenet = lenet_twin.lenet
densenet_cifar, densenet121 = in_place(densenet_twin.densenet_cifar), in_place(densenet_twin.densenet121)
vgg11_bn = in_place(vgg_twin.vgg11_bn)


def resnet_cifar(depth: int, unit: type[Unit] = Unit) -> Any:
    """With shortcuts A."""
    depths = [(depth - 2) // 6] * 3
    return resnet_twin.Twin(resnet_twin.basic, depths, 10, 3, 16, large=False, option="A", unit=unit)


def resnet18() -> Any:
    """With the stem for small images."""
    return resnet_twin.Twin(resnet_twin.basic, (2, 2, 2, 2), 10, 3, large=False, unit=Unit)


def se_resnet20() -> Any:
    """ResNet-20, gated."""
    return resnet_cifar(20, GatedUnit)


@in_place
def mobilenet_v1() -> Any:
    """With a stem at stride 1."""
    model = mobilenet_v1_twin.mobilenet_v1(num_classes=10)
    model.features[0][0].stride = (1, 1)
    return model


@in_place
def efficientnet_b0() -> Any:
    """Without dropout."""
    model = efficientnet_twin.efficientnet_b0()
    model.classifier[0].p = 0.0
    return model
