"""AlexNet: rectified linear units, two GPUs, competition between channels, dropout.

A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012.
A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997, 2014 (`alexnet`).

    b^i = a^i / (k + α Σ_j (a^j)²)^β,  k = 2,  α = 10⁻⁴,  β = 0.75,  j from i − 2 to i + 2          (section 3.3)

Groups are the halves of the two GPUs: conv2, conv4 and conv5 see only the channels of their own. Parameters:

           conv1    conv2    conv3    conv4    conv5         fc6         fc7        fc8         all
    2012  34,944  307,456  885,120  663,936  442,624  37,752,832  16,781,312  4,097,000  60,965,224
    2014  23,296  307,392  663,936  884,992  590,080  37,752,832  16,781,312  4,097,000  61,100,840

Departures from the paper: images of 224×224 get 2 pixels of padding, without which the 55×55 outputs of conv1 do not
fit; on images of other sizes the last maps are averaged to 6×6. Parts have torchvision's names, so its weights load
into `alexnet`; as there, its conv4 has 256 filters, where the paper of 2014 has 384, and its dropout precedes fc6 and
fc7, where the paper's follows them.
"""

from collections.abc import Iterator, Sequence

from minidl import nn
from minidl.nn import init
from minidl.tensor import Tensor

Layer = tuple[int, int, int, int, bool, bool]

# channels, kernel, stride, groups, response normalisation, max pooling 3×3 with stride 2
ALEXNET_2012: list[Layer] = [
    (96, 11, 4, 1, True, True),
    (256, 5, 1, 2, True, True),
    (384, 3, 1, 1, False, False),
    (384, 3, 1, 2, False, False),
    (256, 3, 1, 2, False, True),
]
ALEXNET_2014: list[Layer] = [
    (64, 11, 4, 1, False, True),
    (192, 5, 1, 1, False, True),
    (384, 3, 1, 1, False, False),
    (256, 3, 1, 1, False, False),
    (256, 3, 1, 1, False, True),
]


class AlexNet(nn.Module):
    """Convolutions, averages on a grid of 6×6, three linear layers; dropout follows the first two, or precedes them."""

    def __init__(
        self,
        config: Sequence[Layer] = ALEXNET_2014,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float = 0.5,
        dropout_first: bool = True,
    ):
        super().__init__()
        self.features = nn.Sequential(*features(config, in_channels))
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        fc6, fc7, fc8 = nn.Linear(config[-1][0] * 6 * 6, 4096), nn.Linear(4096, 4096), nn.Linear(4096, num_classes)
        hidden = [nn.Dropout(dropout), fc6, nn.ReLU(), nn.Dropout(dropout), fc7, nn.ReLU()]
        self.classifier = nn.Sequential(*(hidden if dropout_first else hidden[1:] + hidden[:1]), fc8)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def features(config: Sequence[Layer], channels: int) -> Iterator[nn.Module]:
    """The convolutions from so many channels on, with what follows each."""
    for out_channels, kernel, stride, groups, normalized, pooled in config:
        yield nn.Conv2d(channels, out_channels, kernel, stride, padding=2 if kernel > 3 else 1, groups=groups)
        yield nn.ReLU()
        if normalized:
            yield nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)  # times 5: the layer divides the sum by 5
        if pooled:
            yield nn.MaxPool2d(kernel_size=3, stride=2)
        channels = out_channels


def alexnet_2012(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> AlexNet:
    """The network of Figure 2; weights start at N(0, 0.01²), the biases of section 5 at 1."""
    model = AlexNet(ALEXNET_2012, num_classes, in_channels, dropout, dropout_first=False)
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer, bias in zip(layers, (0, 1, 0, 1, 1, 1, 1, 0), strict=True):
        init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            init.constant_(layer.bias, bias)
    return model


def alexnet(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> AlexNet:
    """The one-tower network of 2014, as torchvision has it."""
    return AlexNet(ALEXNET_2014, num_classes, in_channels, dropout)
