"""The layers that are timed, in the shapes that they have in the networks of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Layer(NamedTuple):
    """A layer, and the shape of its input. `build` makes it from minidl or from torch: names are the same in both."""

    where: str
    what: str
    shape: tuple[int, ...]
    build: Callable[[Any], Any]
    has_backward: bool = True

    @property
    def name(self) -> str:
        return f"{self.where}: {self.what}"


def conv(*settings: Any, **more: Any) -> Callable[[Any], Any]:
    """A convolution, as before a batch norm."""
    return lambda dl: dl.nn.Conv2d(*settings, **{"bias": False, **more})


def chain(*settings: Any, **more: Any) -> Callable[[Any], Any]:
    """Batch norm, ReLU and convolution, as DenseNet has them."""
    return lambda dl: dl.nn.Sequential(dl.nn.BatchNorm2d(settings[0]), dl.nn.ReLU(), conv(*settings, **more)(dl))


def layer(name: str, *settings: Any, **more: Any) -> Callable[[Any], Any]:
    """Of this name in nn."""
    return lambda dl: getattr(dl.nn, name)(*settings, **more)


def norm_relu(channels: int) -> Callable[[Any], Any]:
    """Batch norm and ReLU."""
    return lambda dl: dl.nn.Sequential(dl.nn.BatchNorm2d(channels), dl.nn.ReLU())


def cross_entropy(classes: int, batch: int) -> Callable[[Any], Any]:
    """With labels that are in turn all classes."""

    def build(dl: Any) -> Any:
        labels = dl.tensor([i % classes for i in range(batch)])
        return lambda x: dl.nn.functional.cross_entropy(x, labels)

    return build


class Descent:
    """Steps of SGD with momentum, on the weights of 3×3 convolutions and batch norms of these widths."""

    def __init__(self, dl: Any, widths: Sequence[int]):
        layers = [part for c in widths for part in (conv(c, c, 3)(dl), dl.nn.BatchNorm2d(c))]
        self.weights = [p for part in layers for p in part.parameters()]
        for p in self.weights:
            p.grad = dl.ones_like(p)
        self.optimizer = dl.optim.SGD(self.weights, lr=1e-3, momentum=0.9)

    def __call__(self, x: Any) -> None:
        self.optimizer.step()


WIDTHS = [width for width in (64, 128, 256, 512) for _ in range(4)]
TABLE = [
    Layer("DenseNet-BC-100", "norm, relu, 1×1, 150 to 48", (64, 150, 32, 32), chain(150, 48, 1)),
    Layer("DenseNet-BC-100", "norm, relu, 3×3, 48 to 12", (64, 48, 32, 32), chain(48, 12, 3, padding=1)),
    Layer("DenseNet-BC-100", "norm, relu, 1×1, 300 to 48, 8²", (64, 300, 8, 8), chain(300, 48, 1)),
    Layer("DenseNet-BC-100", "3×3, 48 to 12", (64, 48, 32, 32), conv(48, 12, 3, padding=1)),
    Layer("DenseNet-BC-100", "average of 2×2", (64, 108, 32, 32), layer("AvgPool2d", 2)),
    Layer("DenseNet-40", "norm, relu, 3×3, 160 to 12", (64, 160, 32, 32), chain(160, 12, 3, padding=1)),
    Layer("DenseNet-121", "7×7 by 2, 3 to 64", (8, 3, 224, 224), conv(3, 64, 7, 2, padding=3)),
    Layer("DenseNet-121", "maximum of 3×3 by 2", (8, 64, 112, 112), layer("MaxPool2d", 3, 2, 1)),
    Layer("DenseNet-121", "norm, relu, 1×1, 256 to 128", (8, 256, 56, 56), chain(256, 128, 1)),
    Layer("DenseNet-121", "norm, relu, 3×3, 128 to 32", (8, 128, 56, 56), chain(128, 32, 3, padding=1)),
    Layer("ResNet-20", "3×3, 3 to 16", (128, 3, 32, 32), conv(3, 16, 3, padding=1)),
    Layer("ResNet-20", "3×3, 16 to 16", (128, 16, 32, 32), conv(16, 16, 3, padding=1)),
    Layer("ResNet-20", "3×3 by 2, 16 to 32", (128, 16, 32, 32), conv(16, 32, 3, 2, padding=1)),
    Layer("ResNet-20", "3×3, 64 to 64", (128, 64, 8, 8), conv(64, 64, 3, padding=1)),
    Layer("ResNet-20", "batch norm", (128, 16, 32, 32), layer("BatchNorm2d", 16)),
    Layer("ResNet-20", "norm, relu", (128, 16, 32, 32), norm_relu(16)),
    Layer("ResNet-20", "average of all", (128, 64, 8, 8), layer("AdaptiveAvgPool2d", 1)),
    Layer("ResNet-20", "cross entropy", (128, 10), cross_entropy(10, 128)),
    Layer("ResNet-18", "3×3, 64 to 64", (32, 64, 32, 32), conv(64, 64, 3, padding=1)),
    Layer("ResNet-18", "3×3, 256 to 256", (32, 256, 8, 8), conv(256, 256, 3, padding=1)),
    Layer("ResNet-18", "3×3, 512 to 512", (32, 512, 4, 4), conv(512, 512, 3, padding=1)),
    Layer("ResNet-18", "1×1 by 2, 64 to 128", (32, 64, 32, 32), conv(64, 128, 1, 2)),
    Layer("ResNet-18", "SGD with momentum", (1,), lambda dl: Descent(dl, WIDTHS), False),
    Layer("ResNeXt-50", "3×3 in 32 groups, 128 to 128", (8, 128, 56, 56), conv(128, 128, 3, padding=1, groups=32)),
    Layer("VGG-11-bn", "3×3, 512 to 512, 2²", (32, 512, 2, 2), conv(512, 512, 3, padding=1, bias=True)),
    Layer("VGG-11-bn", "maximum of 2×2", (32, 64, 32, 32), layer("MaxPool2d", 2)),
    Layer("VGG-11-bn", "linear, 4096 to 4096", (32, 4096), layer("Linear", 4096, 4096)),
    Layer("MobileNet v1", "3×3 of each of 64", (64, 64, 32, 32), conv(64, 64, 3, padding=1, groups=64)),
    Layer("MobileNet v1", "3×3 by 2 of each of 128", (64, 128, 16, 16), conv(128, 128, 3, 2, padding=1, groups=128)),
    Layer("MobileNet v1", "3×3 of each of 512, 4²", (64, 512, 4, 4), conv(512, 512, 3, padding=1, groups=512)),
    Layer("MobileNet v1", "1×1, 512 to 512, 4²", (64, 512, 4, 4), conv(512, 512, 1)),
    Layer("EfficientNet-B0", "5×5 of each of 240", (8, 240, 16, 16), conv(240, 240, 5, padding=2, groups=240)),
    Layer("EfficientNet-B0", "SiLU", (8, 96, 64, 64), layer("SiLU")),
    Layer("EfficientNet-B0", "cross entropy", (8, 1000), cross_entropy(1000, 8)),
    Layer("LeNet-5", "5×5, 6 to 16", (64, 6, 14, 14), conv(6, 16, 5, bias=True)),
]
LAYERS = {row.name: row for row in TABLE}
