"""MobileNet: a convolution as one filter for each channel, and then a mixing of the channels.

A. G. Howard, M. Zhu, B. Chen, D. Kalenichenko, W. Wang, T. Weyand, M. Andreetto, H. Adam, "MobileNets: Efficient
Convolutional Neural Networks for Mobile Vision Applications", 2017, arXiv:1704.04861.

With kernels of D_K, images of D_F, M channels in and N out, a convolution takes, and its two parts take,

    D_K · D_K · M · N · D_F · D_F                                       (2)
    D_K · D_K · M · D_F · D_F  +  M · N · D_F · D_F                     (5)

multiply-adds: 1/N + 1/D_K² of them, about a ninth. The width multiplier α makes M and N thinner, the resolution
multiplier ρ makes D_F smaller: ρ is not in the network, which takes images of any size. Tables 6 and 7:

    α            1        0.75        0.5       0.25        ρ · 224        224    192    160    128
    parameters   4,231,976   2,585,560   1,331,592   470,072    the same for all
    multiply-adds    569 M       325 M       149 M      41 M                   569 M  418 M  290 M  186 M

Departures from the paper: its Table 1 gives the last depthwise convolution stride 2, but images of 7×7 before and
after; here it has stride 1, as in the authors' code. From that code too is the least width of a layer, 8. The initial
weights are those of MobileNetV2.
"""

from collections.abc import Callable

from minidl import nn
from minidl.nn import functional as F
from minidl.tensor import Tensor

# Table 1: the channels N and the stride of each depthwise separable convolution.
BODY = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


class Conv2dNormActivation(nn.Sequential):
    """Conv - BN - activation, if any; padded so that with stride 1 the size of the image stays."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm_layer: Callable[[int], nn.Module] = nn.BatchNorm2d,
        activation_layer: Callable[[], nn.Module] | None = nn.ReLU,
    ):
        padding = kernel_size // 2
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
        layers = [conv, norm_layer(out_channels)]
        super().__init__(*layers if activation_layer is None else [*layers, activation_layer()])


class DepthwiseSeparable(nn.Sequential):
    """Figure 3, right: each channel by its own 3×3 filter, then all channels by 1×1."""

    def __init__(self, M: int, N: int, stride: int = 1):
        super().__init__(Conv2dNormActivation(M, M, 3, stride, groups=M), Conv2dNormActivation(M, N, 1))


class MobileNetV1(nn.Module):
    """A 3×3 convolution with stride 2, 13 depthwise separable ones, global average pooling, a classifier."""

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        if not width > 0:
            raise ValueError(f"MobileNetV1: width must be positive, got {width}")
        M = max(8, int(width * 32))
        self.features = nn.Sequential(Conv2dNormActivation(in_channels, M, stride=2))
        for channels, stride in BODY:
            N = max(8, int(width * channels))
            self.features.append(DepthwiseSeparable(M, N, stride))
            M = N
        self.classifier = nn.Linear(M, num_classes)
        start(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.global_avg_pool2d(self.features(x)).flatten(1))


def start(model: nn.Module) -> None:
    """Draw the initial weights as torchvision does for its MobileNets: by fan out, and small for classifiers."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)


def mobilenet_v1(width: float = 1.0, num_classes: int = 1000, in_channels: int = 3) -> MobileNetV1:
    """Table 1, with all channels times α = `width`."""
    return MobileNetV1(width, num_classes, in_channels)
