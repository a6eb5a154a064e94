"""SENet: residual networks whose channels are scaled by gates.

J. Hu, L. Shen, S. Albanie, G. Sun, E. Wu, "Squeeze-and-Excitation Networks", CVPR 2018 and TPAMI 2020,
arXiv:1709.01507.

    y = δ(x̃ + W_s x),  x̃ = s · F(x)        (Figure 3; s by equations 2 and 3: see `squeeze_excitation`)

Parameters on ImageNet, with r = 16 (SE-ResNet-50 takes 3.87 G multiply-adds, ResNet-50 3.86 G: Table 2):

    SE-ResNet-18   11,778,592        SE-ResNet-101  49,326,872        SE-ResNeXt-50  32×4d   27,559,896
    SE-ResNet-34   21,958,868        SE-ResNet-152  66,821,848        SE-ResNeXt-101 32×4d   48,955,416
    SE-ResNet-50   28,088,024                                         SENet-154             115,088,984

Departures from the paper: the gates have biases, as the published weights, unless `bias=False`. The names of the parts
are those of R. Cadene's pretrainedmodels, so its weights load; from there, too, is how the maximum treats borders.
"""

from collections.abc import Sequence
from typing import Any, Unpack

from minidl import nn
from minidl.models.residual import BasicBlock, Bottleneck, ResidualBlock, convolution, initialize, make_stages
from minidl.models.squeeze_excitation import GateSettings, se_module
from minidl.nn import functional as F
from minidl.tensor import Tensor


class Settings(GateSettings, total=False):
    """What the networks take beside the number of classes."""

    in_channels: int
    shortcut: str


class ResNetSettings(Settings, total=False):
    """And those before SENet-154: see `SENet`."""

    dropout: float
    stem: Sequence[tuple[int, int]]


class SEResidualBlock(ResidualBlock):
    """Figure 3: what F adds goes through the gate first."""

    def __init__(self, channels: int, width: int, stride: int = 1, shortcut: str = "B", **settings: Any):
        self.se_module = se_module(self.expansion * width, **settings)
        super().__init__(channels, width, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return F.add_relu(self.se_module(self.residual(x)), self.downsample(x))


class SEBasicBlock(BasicBlock, SEResidualBlock):
    """Of SE-ResNet-18 and 34."""


class SEBottleneck(Bottleneck, SEResidualBlock):
    """Of SE-ResNeXt (Table 1, right)."""


class SEResNetBottleneck(SEBottleneck):
    """Of SE-ResNet (Table 1, middle): the first 1×1 halves the image, as in ResNet's paper."""

    def __init__(self, channels: int, width: int, stride: int = 1, **settings: Any):
        super().__init__(channels, width, stride, **settings)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class SENetBottleneck(SEBottleneck):
    """Of SENet-154: ResNeXt 64×4d, but half as many channels leave the first 1×1, and 3×3 projections halve."""

    def __init__(self, channels: int, width: int, stride: int = 1, **settings: Any):
        super().__init__(channels, width, stride, groups=64, width_per_group=4, **settings)
        self.conv1, self.bn1 = convolution(channels, 2 * width, 1), nn.BatchNorm2d(2 * width)
        self.conv2 = convolution(2 * width, 4 * width, 3, stride, groups=64)
        if stride > 1:
            self.downsample = nn.Sequential(convolution(channels, 4 * width, 3, stride), nn.BatchNorm2d(4 * width))


class SENet(nn.Sequential):
    """A stem of convolutions (channels, kernel size), stages, global average pooling, dropout if any, a classifier."""

    def __init__(
        self,
        block: type[SEResidualBlock],
        layers: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.0,
        stem: Sequence[tuple[int, int]] = ((64, 7),),
        **settings: Any,
    ):
        layer0: dict[str, nn.Module] = {}
        channels = in_channels
        for i, (width, kernel_size) in enumerate(stem, start=1):
            layer0[f"conv{i}"] = convolution(channels, width, kernel_size, stride=2 if i == 1 else 1)
            layer0 |= {f"bn{i}": nn.BatchNorm2d(width), f"relu{i}": nn.ReLU()}
            channels = width
        layer0["pool"] = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        super().__init__(
            {
                "layer0": nn.Sequential(layer0),
                **make_stages(block, layers, channels, 64, **settings),
                "avg_pool": nn.GlobalAvgPool2d(),
                "flatten": nn.Flatten(),
                "dropout": nn.Dropout(dropout),
                "last_linear": nn.Linear(64 * 2 ** (len(layers) - 1) * block.expansion, num_classes),
            }
        )
        initialize(self)


def se_resnet18(num_classes: int = 1000, **settings: Unpack[ResNetSettings]) -> SENet:
    """ResNet-18 with gates."""
    return SENet(SEBasicBlock, (2, 2, 2, 2), num_classes, **settings)


def se_resnet34(num_classes: int = 1000, **settings: Unpack[ResNetSettings]) -> SENet:
    """ResNet-34 with gates."""
    return SENet(SEBasicBlock, (3, 4, 6, 3), num_classes, **settings)


def se_resnet50(num_classes: int = 1000, **settings: Unpack[ResNetSettings]) -> SENet:
    """Table 1, middle."""
    return SENet(SEResNetBottleneck, (3, 4, 6, 3), num_classes, **settings)


def se_resnet101(num_classes: int = 1000, **settings: Unpack[ResNetSettings]) -> SENet:
    """ResNet-101 with gates (Table 2)."""
    return SENet(SEResNetBottleneck, (3, 4, 23, 3), num_classes, **settings)


def se_resnet152(num_classes: int = 1000, **settings: Unpack[ResNetSettings]) -> SENet:
    """ResNet-152 with gates (Table 2)."""
    return SENet(SEResNetBottleneck, (3, 8, 36, 3), num_classes, **settings)


def se_resnext50_32x4d(num_classes: int = 1000, **settings: Unpack[ResNetSettings]) -> SENet:
    """Table 1, right."""
    return SENet(SEBottleneck, (3, 4, 6, 3), num_classes, groups=32, width_per_group=4, **settings)


def se_resnext101_32x4d(num_classes: int = 1000, **settings: Unpack[ResNetSettings]) -> SENet:
    """ResNeXt-101 with gates (Table 2)."""
    return SENet(SEBottleneck, (3, 4, 23, 3), num_classes, groups=32, width_per_group=4, **settings)


def senet154(num_classes: int = 1000, dropout: float = 0.2, **settings: Unpack[Settings]) -> SENet:
    """The winner of ILSVRC 2017: ResNeXt-152 64×4d with gates, and a stem of three 3×3."""
    stem = ((64, 3), (64, 3), (128, 3))
    return SENet(SENetBottleneck, (3, 8, 36, 3), num_classes, dropout=dropout, stem=stem, **settings)
