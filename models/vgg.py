"""VGG: stacks of 3×3 convolutions, deeper and deeper.

K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
arXiv:1409.1556.

Two 3×3 convolutions see as far as one 5×5, three as far as one 7×7, with 18 C² weights in place of 25 C², and 27 C² in
place of 49 C² (section 2.3). Five stages of them, each halved by a maximum, then three linear layers. Parameters
(Table 2: 133, 133, 138, 144 million), and with batch norm, which came later:

    A  vgg11  132,863,336  132,868,840        D  vgg16  138,357,544  138,365,992
    B  vgg13  133,047,848  133,053,736        E  vgg19  143,667,240  143,678,248

Departures from the paper: column C, with convolutions of 1×1, and the response normalisation of A-LRN, of no use there,
are left out. Weights start as He's (the paper's come from training column A first). On images other than 224×224 the
last maps are averaged to 7×7. The names of the parts are torchvision's, so its weights load.
"""

from collections.abc import Iterator, Sequence
from typing import TypedDict, Unpack

from minidl import nn
from minidl.nn import init
from minidl.tensor import Tensor

WIDTHS = (64, 128, 256, 512, 512)
DEPTHS = {"A": (1, 1, 2, 2, 2), "B": (2, 2, 2, 2, 2), "D": (2, 2, 3, 3, 3), "E": (2, 2, 4, 4, 4)}  # Table 1


class Settings(TypedDict, total=False):
    """What the networks take beside the number of classes."""

    in_channels: int
    dropout: float


class VGG(nn.Module):
    """`depths[i]` convolutions of `WIDTHS[i]` channels in each stage, averages on a grid of 7×7, linear layers."""

    def __init__(
        self,
        depths: Sequence[int],
        batch_norm: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
    ):
        super().__init__()
        if not 1 <= len(depths) <= len(WIDTHS):
            raise ValueError(f"VGG: expected depths of 1 to {len(WIDTHS)} stages, got {depths}")
        self.features = nn.Sequential(*features(depths, batch_norm, in_channels))
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(WIDTHS[len(depths) - 1] * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                init.normal_(module.weight, std=0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def features(depths: Sequence[int], batch_norm: bool, channels: int) -> Iterator[nn.Module]:
    """The convolutions from so many channels on, with their pooling."""
    for depth, width in zip(depths, WIDTHS, strict=False):
        for _ in range(depth):
            yield nn.Conv2d(channels, width, kernel_size=3, padding=1)
            if batch_norm:
                yield nn.BatchNorm2d(width)
            yield nn.ReLU()
            channels = width
        yield nn.MaxPool2d(kernel_size=2, stride=2)


def vgg11(num_classes: int = 1000, **settings: Unpack[Settings]) -> VGG:
    """Column A of Table 1."""
    return VGG(DEPTHS["A"], num_classes=num_classes, **settings)


def vgg11_bn(num_classes: int = 1000, **settings: Unpack[Settings]) -> VGG:
    """Column A, with batch norm before each ReLU."""
    return VGG(DEPTHS["A"], batch_norm=True, num_classes=num_classes, **settings)


def vgg13(num_classes: int = 1000, **settings: Unpack[Settings]) -> VGG:
    """Column B of Table 1."""
    return VGG(DEPTHS["B"], num_classes=num_classes, **settings)


def vgg13_bn(num_classes: int = 1000, **settings: Unpack[Settings]) -> VGG:
    """Column B, with batch norm before each ReLU."""
    return VGG(DEPTHS["B"], batch_norm=True, num_classes=num_classes, **settings)


def vgg16(num_classes: int = 1000, **settings: Unpack[Settings]) -> VGG:
    """Column D of Table 1."""
    return VGG(DEPTHS["D"], num_classes=num_classes, **settings)


def vgg16_bn(num_classes: int = 1000, **settings: Unpack[Settings]) -> VGG:
    """Column D, with batch norm before each ReLU."""
    return VGG(DEPTHS["D"], batch_norm=True, num_classes=num_classes, **settings)


def vgg19(num_classes: int = 1000, **settings: Unpack[Settings]) -> VGG:
    """Column E of Table 1."""
    return VGG(DEPTHS["E"], num_classes=num_classes, **settings)


def vgg19_bn(num_classes: int = 1000, **settings: Unpack[Settings]) -> VGG:
    """Column E, with batch norm before each ReLU."""
    return VGG(DEPTHS["E"], batch_norm=True, num_classes=num_classes, **settings)
