"""SqueezeNet: few 3×3 filters, on few channels, on large maps.

F. N. Iandola, S. Han, M. W. Moskewicz, K. Ashraf, W. J. Dally, K. Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x
fewer parameters and <0.5MB model size", arXiv:1602.07360, 2016.

    fire(x) = [e_1×1(s), e_3×3(s)],  s = s_1×1(x)          (Figure 1; a ReLU after each)

Parameters of 1.0 (Table 1); of 1.1, the authors' later network with 2.4 times fewer multiply-adds, only the sum:

    conv1    fire2   fire3   fire4   fire5    fire6    fire7    fire8    fire9   conv10        all
    14,208  11,920  12,432  45,344  49,440  104,880  111,024  188,992  197,184  513,000  1,248,424      1.1  1,235,496

Departures from the paper: none. (The sizes in Table 1 are those of maps of 227×227 images, though it prints 224×224.)
The names of the parts are torchvision's, so its weights load.
"""

from collections.abc import Iterator, Sequence

from minidl import concatenate, nn
from minidl.nn import functional as F
from minidl.nn import init
from minidl.tensor import Tensor

# fire2 … fire9: filters of s_1×1, of e_1×1 and of e_3×3
FIRES = [
    (16, 64, 64),
    (16, 64, 64),
    (32, 128, 128),
    (32, 128, 128),
    (48, 192, 192),
    (48, 192, 192),
    (64, 256, 256),
    (64, 256, 256),
]


class Fire(nn.Module):
    """Squeeze to few channels; expand them by 1×1 and by 3×3."""

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int):
        super().__init__()
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        s = F.relu(self.squeeze(x))
        return F.relu(concatenate([self.expand1x1(s), self.expand3x3(s)], axis=1))


class SqueezeNet(nn.Module):
    """conv1, fire modules in stages with a maximum over 3×3 before each, conv10, global average pooling."""

    def __init__(
        self,
        stem: tuple[int, int],
        stages: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
    ):
        super().__init__()
        width, kernel = stem
        conv1 = nn.Conv2d(in_channels, width, kernel, stride=2)
        conv10 = nn.Conv2d(sum(FIRES[-1][1:]), num_classes, kernel_size=1)
        self.features = nn.Sequential(conv1, nn.ReLU(), *_fires(stages, width))
        self.classifier = nn.Sequential(nn.Dropout(dropout), conv10, nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    init.zeros_(module.bias)
        init.normal_(conv10.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x)).flatten(1)


def _fires(stages: Sequence[int], channels: int) -> Iterator[nn.Module]:
    fires = iter(FIRES)
    for depth in stages:
        yield nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        for _ in range(depth):
            s_1x1, e_1x1, e_3x3 = next(fires)
            yield Fire(channels, s_1x1, e_1x1, e_3x3)
            channels = e_1x1 + e_3x3


def squeezenet1_0(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> SqueezeNet:
    """The network of Table 1: pooling after conv1, fire4 and fire8."""
    return SqueezeNet((96, 7), (3, 4, 1), num_classes, in_channels, dropout)


def squeezenet1_1(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> SqueezeNet:
    """The authors' version 1.1: a smaller conv1, pooling after conv1, fire3 and fire5."""
    return SqueezeNet((64, 3), (2, 2, 4), num_classes, in_channels, dropout)
