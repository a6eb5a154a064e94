"""MobileNetV2: residuals between thin layers, which are thick and depthwise inside.

M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
CVPR 2018, arXiv:1801.04381.

    F(x) = [A ∘ N ∘ B] x,   N = ReLU6 ∘ depthwise k×k ∘ ReLU6          (section 5.1; it is read from the left)

A and B are 1×1 and linear: A makes t times the d' channels of x, B leaves d'' of them. At stride 1 they take

    h · w · d' · t (d' + k² + d'')                                      (section 3.3)

multiply-adds. F(x) is added to x where they have the same shape. For images of 224×224 the whole takes (Table 4, and
that of the authors' code, which leaves out what batch normalisation learns):

    width α           0.35    0.5     0.75     1           1.4
    parameters, M     1.66    1.95    2.61     3.47        6.06     (3,504,872 in all for α = 1)
    multiply-adds, M  59      97      209      300         582

Departures from the paper: none in the networks; its Table 4 has 6.9 M parameters for α = 1.4, where its code has 6.1.
The names of the parts are torchvision's, so its weights load.
"""

from minidl import nn
from minidl.models.mobilenet_v1 import Conv2dNormActivation, start
from minidl.nn import functional as F
from minidl.tensor import Tensor

BOTTLENECKS = [  # Table 2
    # t, c, n, s: expansion, channels, how many, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


class InvertedResidual(nn.Module):
    """Table 1: 1×1 to t times the channels, 3×3 on each of them, 1×1 back without a bend; x is added if it fits."""

    def __init__(self, channels: int, out_channels: int, stride: int, t: int):
        super().__init__()
        hidden = t * channels
        layers = [Conv2dNormActivation(channels, hidden, 1, activation_layer=nn.ReLU6)] if t > 1 else []
        self.conv = nn.Sequential(
            *layers,
            Conv2dNormActivation(hidden, hidden, 3, stride, groups=hidden, activation_layer=nn.ReLU6),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.use_res_connect = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """A 3×3 convolution with stride 2, 17 inverted residuals, a 1×1 convolution, global average pooling, a classifier.

    `width_mult` is α; it does not make the last convolution thinner.
    """

    def __init__(self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2, in_channels: int = 3):
        super().__init__()
        if not width_mult > 0:
            raise ValueError(f"MobileNetV2: width_mult must be positive, got {width_mult}")
        channels, last = round_to_eight(32 * width_mult), round_to_eight(1280 * max(1.0, width_mult))
        self.features = nn.Sequential(Conv2dNormActivation(in_channels, channels, stride=2, activation_layer=nn.ReLU6))
        for t, c, n, s in BOTTLENECKS:
            for i in range(n):
                out_channels = round_to_eight(c * width_mult)
                self.features.append(InvertedResidual(channels, out_channels, s if i == 0 else 1, t))
                channels = out_channels
        self.features.append(Conv2dNormActivation(channels, last, 1, activation_layer=nn.ReLU6))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        start(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.global_avg_pool2d(self.features(x)).flatten(1))


def round_to_eight(channels: float) -> int:
    """The nearest multiple of 8, but not below 8, and the next one where that would take more than a tenth away."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def mobilenet_v2(
    num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.2, in_channels: int = 3
) -> MobileNetV2:
    """Table 2, with all channels times α = `width_mult`."""
    return MobileNetV2(num_classes, width_mult, dropout, in_channels)
