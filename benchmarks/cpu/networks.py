"""The networks that are compared: ours, the same in PyTorch, and how fast ours shall be.

Nothing is imported before it is asked for: a process that runs the one framework never loads the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict


class Network(NamedTuple):
    """A network, its batch, and the most that its step may take, as parts of PyTorch's.

    Ours has nothing that drops at random, as the twin has not: both shall compute the same.
    """

    name: str
    batch: int
    image: int
    faster_layout: float  # the target against NCHW or channels_last, whichever is faster
    nchw: float  # the target against PyTorch's default
    ours: Callable[[], Any]
    twin: Callable[[], Any]
    channels: int = 3
    classes: int = 10


def _zoo(name: str, **settings: Any) -> Callable[[], Any]:
    """One of minidl.models."""

    def build() -> Any:
        from minidl import models

        return models.create_model(name, **settings)

    return build


def _twin(name: str, **settings: Any) -> Callable[[], Any]:
    """One of our twins."""

    def build() -> Any:
        from benchmarks.cpu import twins

        return getattr(twins, name)(**settings)

    return build


def _resnet18() -> Any:
    """With the stem for small images: 3×3 at stride 1, and no maximum."""
    from minidl import models, nn

    model = models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def _se_resnet20() -> Any:
    """ResNet-20, gated as section 3.3 of SENet's paper does it."""
    from minidl.models.resnet import ResNet
    from minidl.models.senet import SEBasicBlock

    return ResNet(SEBasicBlock, [3] * 3, num_classes=10, large_images=False, shortcut="A")


def _mobilenet() -> Any:
    """With a stem at stride 1: small images are halved often enough without."""
    model = _zoo("mobilenet_v1", num_classes=10)()
    model.features[0][0].stride = (1, 1)
    return model


class Sides(TypedDict):
    """How a network is built in minidl and in PyTorch."""

    ours: Callable[[], Any]
    twin: Callable[[], Any]


def _same(function: str, **settings: Any) -> Sides:
    """A network that is made by functions of the same name, with the same settings, on both sides."""
    return {"ours": _zoo(function, **settings), "twin": _twin(function, **settings)}


DENSENET_40 = _same("densenet_cifar", depth=40, growth_rate=12, bottleneck=False, compression=1.0)
VGG: Sides = {"ours": _zoo("vgg11_bn", num_classes=10, dropout=0.0), "twin": _twin("vgg11_bn", num_classes=10)}
EFFICIENTNET: Sides = {
    "ours": _zoo("efficientnet_b0", dropout=0.0, stochastic_depth_prob=0.0),
    "twin": _twin("efficientnet_b0"),
}
NETWORKS = [
    Network("DenseNet-BC-100", 64, 32, 0.9, 0.75, **_same("densenet_cifar", depth=100, growth_rate=12)),
    Network("DenseNet-40", 64, 32, 1.0, 0.8, **DENSENET_40),
    Network("DenseNet-121", 8, 224, 1.0, 0.8, **_same("densenet121"), classes=1000),
    Network("ResNet-20", 128, 32, 1.5, 1.0, **_same("resnet_cifar", depth=20)),
    Network("ResNet-18", 32, 32, 1.5, 1.0, ours=_resnet18, twin=_twin("resnet18")),
    Network("VGG-11-bn", 32, 32, 1.5, 1.0, **VGG),
    Network("SE-ResNet-20", 128, 32, 1.5, 1.0, ours=_se_resnet20, twin=_twin("se_resnet20")),
    Network("MobileNet v1", 64, 32, 2.5, 1.5, ours=_mobilenet, twin=_twin("mobilenet_v1")),
    Network("EfficientNet-B0", 8, 128, 2.5, 1.5, **EFFICIENTNET, classes=1000),
    Network("LeNet-5", 64, 32, 1.5, 1.5, **_same("lenet"), channels=1),
]


def _of_depth(family: str, depth: int) -> Network:
    """A network of any depth, which has no targets."""
    kinds: dict[str, tuple[str, dict[str, int]]]
    kinds = {"DenseNet-BC": ("densenet_cifar", {"growth_rate": 12}), "ResNet": ("resnet_cifar", {})}
    function, settings = kinds[family]
    return Network(f"{family}-{depth}", 64, 32, math.inf, math.inf, **_same(function, depth=depth, **settings))


DEPTHS = {"DenseNet-BC": (22, 40, 58, 100), "ResNet": (8, 20, 32, 56)}
"""Those whose times are compared with their work."""


def named(name: str) -> Network:
    """The network of this name."""
    known = {network.name: network for network in NETWORKS}
    if name in known:
        return known[name]
    family, _, depth = name.rpartition("-")
    return _of_depth(family, int(depth))
