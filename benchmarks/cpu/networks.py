"""The networks that are compared: ours, the same in PyTorch, and how fast ours shall be.

Nothing is imported before it is asked for: a process that runs the one framework never loads the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Network(NamedTuple):
    """A network, its batch, and the most that its step may take, as parts of PyTorch's.

    Ours has nothing that drops at random, as the twin has not: both shall compute the same.
    """

    name: str
    batch: int
    image: int
    ours: Callable[[], Any]
    twin: Callable[[], Any]
    faster_layout: float  # the target against NCHW or channels_last, whichever is faster
    nchw: float  # the target against PyTorch's default
    channels: int = 3
    classes: int = 10


def _zoo(name: str, **settings: Any) -> Callable[[], Any]:
    """One of minidl.models."""

    def build() -> Any:
        from minidl import models

        return models.create_model(name, **settings)

    return build


def _twin(module: str, name: str, **settings: Any) -> Callable[[], Any]:
    """The function of this name in a module of twins."""

    def build() -> Any:
        import importlib

        return getattr(importlib.import_module(f"tests.models.{module}_twin"), name)(**settings)

    return build


def _resnet18() -> Any:
    """With the stem for small images: 3×3 at stride 1, and no maximum."""
    from minidl import models, nn

    model = models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def _resnet18_twin() -> Any:
    from torch import nn

    model = _twin("resnet", "resnet18", num_classes=10)()
    model.conv1, model.large = nn.Conv2d(3, 64, 3, padding=1, bias=False), False
    return model


def _se_resnet20() -> Any:
    """ResNet-20, gated as section 3.3 of SENet's paper does it."""
    from minidl.models.resnet import ResNet, layers_of_depth
    from minidl.models.senet import SEBasicBlock

    layers = layers_of_depth("_se_resnet20", 20)
    return ResNet(SEBasicBlock, layers, num_classes=10, large_images=False, shortcut="A")


def _se_resnet20_twin() -> Any:
    from tests.models import resnet_twin, senet_twin

    class Unit(resnet_twin.Unit):  # type: ignore[misc]
        def __init__(self, rows: Any, option: str):
            super().__init__(rows, option)
            self.se_module = senet_twin.Gate(self.outputs)

        def branch(self, x: Any) -> Any:
            return self.se_module(super().branch(x))

    return resnet_twin.Twin(resnet_twin.basic, [3] * 3, 10, 3, 16, large=False, option="A", unit=Unit)


def _mobilenet() -> Any:
    """With a stem at stride 1: small images are halved often enough without."""
    model = _zoo("mobilenet_v1", num_classes=10)()
    model.features[0][0].stride = (1, 1)
    return model


def _mobilenet_twin() -> Any:
    model = _twin("mobilenet_v1", "mobilenet_v1", num_classes=10)()
    model.features[0][0].stride = (1, 1)
    return model


def _efficientnet_twin() -> Any:
    model = _twin("efficientnet", "efficientnet_b0")()
    model.classifier[0].p = 0.0
    return model


def _densenet(name: str, faster_layout: float, nchw: float, **settings: Any) -> Network:
    build, twin = _zoo("densenet_cifar", **settings), _twin("densenet", "densenet_cifar", **settings)
    return Network(name, 64, 32, build, twin, faster_layout, nchw)


NETWORKS = [
    _densenet("DenseNet-BC-100", 0.9, 0.75, depth=100, growth_rate=12),
    _densenet("DenseNet-40", 1.0, 0.8, depth=40, growth_rate=12, bottleneck=False, compression=1.0),
    Network("DenseNet-121", 8, 224, _zoo("densenet121"), _twin("densenet", "densenet121"), 1.0, 0.8, classes=1000),
    Network("ResNet-20", 128, 32, _zoo("resnet_cifar", depth=20), _twin("resnet", "resnet_cifar", depth=20), 1.5, 1.0),
    Network("ResNet-18", 32, 32, _resnet18, _resnet18_twin, 1.5, 1.0),
    Network(
        "VGG-11-bn",
        32,
        32,
        _zoo("vgg11_bn", num_classes=10, dropout=0.0),
        _twin("vgg", "vgg11_bn", num_classes=10),
        1.5,
        1.0,
    ),
    Network("SE-ResNet-20", 128, 32, _se_resnet20, _se_resnet20_twin, 1.5, 1.0),
    Network("MobileNet v1", 64, 32, _mobilenet, _mobilenet_twin, 2.5, 1.5),
    Network(
        "EfficientNet-B0",
        8,
        128,
        _zoo("efficientnet_b0", dropout=0.0, stochastic_depth_prob=0.0),
        _efficientnet_twin,
        2.5,
        1.5,
        classes=1000,
    ),
    Network("LeNet-5", 64, 32, _zoo("lenet"), _twin("lenet", "lenet"), 1.5, 1.5, channels=1),
]


def _of_depth(name: str, depth: int) -> Network:
    """A network of another depth than that of the comparison, which has no targets."""
    settings = {"depth": depth, "growth_rate": 12} if name == "DenseNet-BC" else {"depth": depth}
    module, function = ("densenet", "densenet_cifar") if name == "DenseNet-BC" else ("resnet", "resnet_cifar")
    build, twin = _zoo(function, **settings), _twin(module, function, **settings)
    return Network(f"{name}-{depth}", 64, 32, build, twin, float("inf"), float("inf"))


DEPTHS = {"DenseNet-BC": (22, 40, 58, 100), "ResNet": (8, 20, 32, 56)}
"""Those whose times are compared with their work."""


def named(name: str) -> Network:
    """The network of this name."""
    known = {network.name: network for network in NETWORKS}
    if name in known:
        return known[name]
    family, _, depth = name.rpartition("-")
    return _of_depth(family, int(depth))
