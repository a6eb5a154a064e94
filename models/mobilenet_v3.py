"""MobileNetV3: a network found by search, with squeeze and excitation, and a swish that is cheap.

A. Howard, M. Sandler, G. Chu, L.-C. Chen, B. Chen, M. Tan, W. Wang, Y. Zhu, R. Pang, V. Vasudevan, Q. V. Le, H. Adam,
"Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244.

    h-swish[x] = x · ReLU6(x + 3) / 6                                   (section 5.2)

Tables 1 and 2 are below. For images of 224×224 (Table 3):

    large   5,483,032 parameters   219 M multiply-adds
    small   2,542,856               56 M

Departures from the paper: as in torchvision, the last 1×1 convolution of the small network (7²×96 to 576) goes without
the squeeze and excitation that Table 2 gives it. The names of the parts are torchvision's, so its weights load, and so
are ε = 0.001 and the momentum of 0.01 in batch normalisation.
"""

from collections.abc import Callable, Sequence
from functools import partial

from minidl import nn
from minidl.models.mobilenet_v1 import Conv2dNormActivation, start
from minidl.models.mobilenet_v2 import round_to_eight
from minidl.models.squeeze_excitation import SqueezeExcitation
from minidl.nn import functional as F
from minidl.tensor import Tensor

Layer = Callable[[], nn.Module]
Norm = Callable[[int], nn.Module]
RE, HS = nn.ReLU, nn.Hardswish

LARGE = [  # Table 1
    # kernel, expanded, channels, squeeze and excitation, nonlinearity, stride
    (3, 16, 16, False, RE, 1),
    (3, 64, 24, False, RE, 2),
    (3, 72, 24, False, RE, 1),
    (5, 72, 40, True, RE, 2),
    (5, 120, 40, True, RE, 1),
    (5, 120, 40, True, RE, 1),
    (3, 240, 80, False, HS, 2),
    (3, 200, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 480, 112, True, HS, 1),
    (3, 672, 112, True, HS, 1),
    (5, 672, 160, True, HS, 2),
    (5, 960, 160, True, HS, 1),
    (5, 960, 160, True, HS, 1),
]
SMALL = [  # Table 2
    (3, 16, 16, True, RE, 2),
    (3, 72, 24, False, RE, 2),
    (3, 88, 24, False, RE, 1),
    (5, 96, 40, True, HS, 2),
    (5, 240, 40, True, HS, 1),
    (5, 240, 40, True, HS, 1),
    (5, 120, 48, True, HS, 1),
    (5, 144, 48, True, HS, 1),
    (5, 288, 96, True, HS, 2),
    (5, 576, 96, True, HS, 1),
    (5, 576, 96, True, HS, 1),
]


class InvertedResidual(nn.Module):
    """Figure 4: MobileNetV2's, with squeeze and excitation, if any, before the last 1×1."""

    def __init__(
        self,
        channels: int,
        hidden: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        squeeze_excitation: nn.Module | None,
        norm_layer: Norm,
        activation_layer: Layer,
    ):
        super().__init__()
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer, activation_layer=activation_layer)
        self.block = nn.Sequential(*[conv(channels, hidden, 1)] if hidden != channels else [])
        self.block.append(conv(hidden, hidden, kernel_size, stride, groups=hidden))
        if squeeze_excitation is not None:
            self.block.append(squeeze_excitation)
        self.block.append(conv(hidden, out_channels, 1, activation_layer=None))
        self.use_res_connect = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.use_res_connect else self.block(x)


class MobileNetV3(nn.Module):
    """A 3×3 convolution with stride 2, inverted residuals, a 1×1 convolution, global pooling, two linear layers.

    All channels are multiplied by `width_mult`.
    """

    def __init__(
        self,
        blocks: Sequence[tuple[int, int, int, bool, Layer, int]],
        last_channel: int,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        dropout: float = 0.2,
        in_channels: int = 3,
    ):
        super().__init__()
        if not width_mult > 0:
            raise ValueError(f"MobileNetV3: width_mult must be positive, got {width_mult}")
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        conv = partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.Hardswish)
        channels, last = round_to_eight(16 * width_mult), round_to_eight(last_channel * width_mult)
        self.features = nn.Sequential(conv(in_channels, channels, stride=2))
        for kernel_size, expanded, c, excited, activation, stride in blocks:
            hidden, out_channels = round_to_eight(expanded * width_mult), round_to_eight(c * width_mult)
            squeeze = (hidden, round_to_eight(hidden // 4), nn.ReLU, nn.Hardsigmoid)
            gate = SqueezeExcitation(*squeeze) if excited else None
            block = InvertedResidual(channels, hidden, out_channels, kernel_size, stride, gate, norm, activation)
            self.features.append(block)
            channels = out_channels
        self.features.append(conv(channels, 6 * channels, 1))
        self.classifier = nn.Sequential(
            nn.Linear(6 * channels, last), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(last, num_classes)
        )
        start(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.global_avg_pool2d(self.features(x)).flatten(1))


def mobilenet_v3_large(
    num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2, in_channels: int = 3
) -> MobileNetV3:
    """Table 1."""
    return MobileNetV3(LARGE, 1280, num_classes, width_mult, dropout, in_channels)


def mobilenet_v3_small(
    num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2, in_channels: int = 3
) -> MobileNetV3:
    """Table 2."""
    return MobileNetV3(SMALL, 1024, num_classes, width_mult, dropout, in_channels)
