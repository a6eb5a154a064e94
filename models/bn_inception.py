"""BN-Inception: GoogLeNet with batch normalisation.

S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
ICML 2015, arXiv:1502.03167.

    y = γ (x − E[x]) / √(Var[x] + ε) + β          (algorithm 1)

after each convolution, whose bias it makes needless, and before each ReLU (section 3.2). Inception modules have two
3×3 convolutions in place of one of 5×5, and halve the maps themselves (3c, 4e). Parameters, without biases and with
them, as the files of the network in Caffe have them: 11,285,224 and 11,295,240.

Departures from the paper: as in Caffe, the first convolution is a full one, and there are no auxiliary classifiers; 4c,
4d and 4e make as many channels as the widths in Figure 5 add up to (608, 608 and 1,056). Halving maxima of odd maps are
padded, so that they have the size of the convolutions beside them. Weights start as He's.
"""

from minidl import nn
from minidl.models.inception import Branches
from minidl.models.residual import initialize
from minidl.nn import functional as F
from minidl.tensor import Tensor

# #1×1, #3×3 reduce, #3×3, double #3×3 reduce, double #3×3, pool, projection of it (0: none, and stride 2)
FIGURE_5 = {
    "3a": (64, 64, 64, 64, 96, "avg", 32),
    "3b": (64, 64, 96, 64, 96, "avg", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "avg", 128),
    "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 128),
    "4d": (96, 128, 192, 160, 192, "avg", 128),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}


class ConvBNReLU(nn.Sequential):
    """Convolution - batch norm - ReLU; odd kernels keep the size of the map."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1):
        padding = kernel_size // 2
        conv = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, bias=False)
        super().__init__({"conv": conv, "bn": nn.BatchNorm2d(outputs), "relu": nn.ReLU()})


class HalvingMaxPool2d(nn.Module):
    """The largest of 3×3 with stride 2: n/2 of them along an even side, from its first pixel on, else (n + 1)/2."""

    def forward(self, x: Tensor) -> Tensor:
        odd = [n % 2 for n in x.shape[2:]]
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=odd, ceil_mode=True)


class Inception(nn.Sequential):
    """Branches side by side, a row of Figure 5; what may follow them (a gate) has all their channels."""

    def __init__(
        self, inputs: int, ch1x1: int, red: int, ch3x3: int, double_red: int, double: int, pool: str, proj: int
    ):
        stride = 1 if proj else 2
        branches = Branches()
        if ch1x1:
            branches.add_module("1x1", ConvBNReLU(inputs, ch1x1, 1))
        branches.add_module("3x3", nn.Sequential(ConvBNReLU(inputs, red, 1), ConvBNReLU(red, ch3x3, 3, stride)))
        twice = ConvBNReLU(double_red, double, 3), ConvBNReLU(double, double, 3, stride)
        branches.add_module("double_3x3", nn.Sequential(ConvBNReLU(inputs, double_red, 1), *twice))
        if proj:
            pooling = (nn.AvgPool2d if pool == "avg" else nn.MaxPool2d)(kernel_size=3, stride=1, padding=1)
            branches.add_module("pool", nn.Sequential(pooling, ConvBNReLU(inputs, proj, 1)))
        else:
            branches.add_module("pool", HalvingMaxPool2d())
        super().__init__({"branches": branches})
        self.out_channels = ch1x1 + ch3x3 + double + (proj or inputs)


class BNInception(nn.Module):
    """The network of Figure 5: a stem, ten inception modules, global average pooling, a classifier."""

    def __init__(self, num_classes: int = 1000, in_channels: int = 3):
        super().__init__()
        layers: dict[str, nn.Module] = {
            "conv1": ConvBNReLU(in_channels, 64, 7, stride=2),
            "pool1": nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
            "conv2_reduce": ConvBNReLU(64, 64, 1),
            "conv2": ConvBNReLU(64, 192, 3),
            "pool2": nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
        }
        channels = 192
        for name, row in FIGURE_5.items():
            layers[f"inception_{name}"] = module = Inception(channels, *row)
            channels = module.out_channels
        self.features = nn.Sequential(layers)
        self.fc = nn.Linear(channels, num_classes)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.global_avg_pool2d(self.features(x)).flatten(1))


def bn_inception(num_classes: int = 1000, in_channels: int = 3) -> BNInception:
    """The network of Figure 5."""
    return BNInception(num_classes, in_channels)
