"""EfficientNet: depth, width and resolution grow together, from one small network.

M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
arXiv:1905.11946.

    depth d = α^φ,   width w = β^φ,   resolution r = γ^φ,     α · β² · γ² ≈ 2, so that φ doubles the cost     (3)

From B0 (Table 1, below) with α = 1.2, β = 1.1, γ = 1.15 (section 3.3) come (Table 2, with torchvision's parameters):

         φ     d     w    image  parameters  multiply-adds          φ     d     w    image  parameters  multiply-adds
    B0   0    1.0   1.0    224    5,288,548     0.39 G         B4   3½    1.8   1.4    380   19,341,616     4.2 G
    B1   ½    1.1   1.0    240    7,794,184     0.70 G         B5   5     2.2   1.6    456   30,389,784     9.9 G
    B2   1    1.2   1.1    260    9,109,994     1.0  G         B6   6     2.6   1.8    528   43,040,704    19   G
    B3   2    1.4   1.2    300   12,233,232     1.8  G         B7   7     3.1   2.0    600   66,347,960    37   G

Lite0, of the authors' code, is B0 with ReLU6 and without squeeze and excitation: 4,652,008 parameters.

Departures from the paper: its α and β are rounded, as are d and w to a decimal. Those that its authors released are in
the table; 1.2^φ and 1.1^φ would make B5 to B7 deeper and B7 thinner. 1.175 and 1.101 give all of them. The names of the
parts are torchvision's, so its weights load.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict, Unpack

from minidl import nn
from minidl.models.mobilenet_v1 import Conv2dNormActivation
from minidl.models.mobilenet_v2 import round_to_eight
from minidl.models.mobilenet_v3 import InvertedResidual
from minidl.models.squeeze_excitation import SqueezeExcitation
from minidl.nn import functional as F
from minidl.tensor import Tensor

α, β = 1.175, 1.101
AUTHORS_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
B0 = [  # Table 1
    # expansion, kernel, stride of the first, channels, how many
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
]


class Settings(TypedDict, total=False):
    """What the networks take beside the number of classes and dropout: see `EfficientNet`."""

    in_channels: int
    stochastic_depth_prob: float
    norm_layer: Callable[[int], nn.Module]


class MBConv(InvertedResidual):
    """MobileNetV3's inverted residual, whose images are left out at random, more often the deeper it is."""

    def __init__(self, *settings: Any, stochastic_depth_prob: float):
        super().__init__(*settings)
        self.stochastic_depth = nn.DropPath(stochastic_depth_prob)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.stochastic_depth(self.block(x)) if self.use_res_connect else self.block(x)


class EfficientNet(nn.Module):
    """B0 scaled by φ: a 3×3 convolution with stride 2, seven stages, a 1×1 convolution, global pooling, a classifier.

    `stochastic_depth_prob` is that of leaving out a block behind the last; before, it falls to 0 evenly. `lite` leaves
    out squeeze and excitation, and has ReLU6 for the swish. `norm_layer` is by default torchvision's: batch norm with
    the authors' ε and momentum from B5 on, and in `lite`, else with its own.
    """

    def __init__(
        self,
        φ: float,
        dropout: float,
        num_classes: int = 1000,
        stochastic_depth_prob: float = 0.2,
        norm_layer: Callable[[int], nn.Module] | None = None,
        lite: bool = False,
        in_channels: int = 3,
    ):
        super().__init__()
        if not φ >= 0:
            raise ValueError(f"EfficientNet: φ must be at least 0, got {φ}")
        d, w = round(α**φ, 1), round(β**φ, 1)
        activation = nn.ReLU6 if lite else nn.SiLU
        norm_layer = norm_layer or (AUTHORS_NORM if lite or φ >= 5 else nn.BatchNorm2d)
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=activation)
        depths = [math.ceil(d * n) for *_, n in B0]
        channels, done = round_to_eight(32 * w), 0
        self.features = nn.Sequential(conv(in_channels, channels, stride=2))
        for (t, kernel_size, stride, c, _), depth in zip(B0, depths, strict=True):
            stage, out_channels = nn.Sequential(), round_to_eight(c * w)
            for i in range(depth):
                gate = None if lite else SqueezeExcitation(t * channels, channels // 4, nn.SiLU, nn.Sigmoid)
                shape = (channels, t * channels, out_channels, kernel_size, stride if i == 0 else 1)
                p = stochastic_depth_prob * done / sum(depths)
                stage.append(MBConv(*shape, gate, norm_layer, activation, stochastic_depth_prob=p))
                channels, done = out_channels, done + 1
            self.features.append(stage)
        self.features.append(conv(channels, 4 * channels, 1))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * channels, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.global_avg_pool2d(self.features(x)).flatten(1))


def efficientnet_b0(num_classes: int = 1000, dropout: float = 0.2, **settings: Unpack[Settings]) -> EfficientNet:
    """Table 1; for images of 224×224."""
    return EfficientNet(0, dropout, num_classes, **settings)


def efficientnet_b1(num_classes: int = 1000, dropout: float = 0.2, **settings: Unpack[Settings]) -> EfficientNet:
    """Images of 240×240."""
    return EfficientNet(0.5, dropout, num_classes, **settings)


def efficientnet_b2(num_classes: int = 1000, dropout: float = 0.3, **settings: Unpack[Settings]) -> EfficientNet:
    """Images of 260×260 (torchvision's weights: 288×288)."""
    return EfficientNet(1, dropout, num_classes, **settings)


def efficientnet_b3(num_classes: int = 1000, dropout: float = 0.3, **settings: Unpack[Settings]) -> EfficientNet:
    """Images of 300×300."""
    return EfficientNet(2, dropout, num_classes, **settings)


def efficientnet_b4(num_classes: int = 1000, dropout: float = 0.4, **settings: Unpack[Settings]) -> EfficientNet:
    """Images of 380×380."""
    return EfficientNet(3.5, dropout, num_classes, **settings)


def efficientnet_b5(num_classes: int = 1000, dropout: float = 0.4, **settings: Unpack[Settings]) -> EfficientNet:
    """Images of 456×456."""
    return EfficientNet(5, dropout, num_classes, **settings)


def efficientnet_b6(num_classes: int = 1000, dropout: float = 0.5, **settings: Unpack[Settings]) -> EfficientNet:
    """Images of 528×528."""
    return EfficientNet(6, dropout, num_classes, **settings)


def efficientnet_b7(num_classes: int = 1000, dropout: float = 0.5, **settings: Unpack[Settings]) -> EfficientNet:
    """Images of 600×600."""
    return EfficientNet(7, dropout, num_classes, **settings)


def efficientnet_lite0(num_classes: int = 1000, dropout: float = 0.2, **settings: Unpack[Settings]) -> EfficientNet:
    """B0 for processors that do better without gates; images of 224×224."""
    return EfficientNet(0, dropout, num_classes, lite=True, **settings)
