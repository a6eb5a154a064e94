"""Pre-activation ResNet: the path past the layers is an identity from the first to the last.

K. He, X. Zhang, S. Ren, J. Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016, arXiv:1603.05027.

    x_(l+1) = x_l + F(x_l)                                             (3)
    x_L = x_l + Σ_i F(x_i),  i = l … L - 1                             (4)
    ∂E/∂x_l = ∂E/∂x_L (1 + ∂/∂x_l Σ_i F(x_i))                          (5)

These hold where nothing follows the addition. `ORDERS` are those of Figure 4 and Table 2, with its errors on CIFAR-10:
of 110 layers, and of 164 in bottlenecks. Parameters (1.7M, 1.7M and 10.2M as the papers have them):

    110, shortcut A  1,727,962        164, B, bottlenecks    1,703,258
    110, shortcut B  1,730,522        1001, B, bottlenecks  10,327,706

What precedes the first convolution comes before the paths split in the first unit, and once more after the last one.
It comes before the split too where B projects, and B is a convolution alone, as in the authors' code; there the first
convolution of a unit halves the image.

Departures from the paper: none.
"""

from collections.abc import Sequence

from minidl import nn
from minidl.models.residual import ResidualBlock, convolution, initialize, make_stages
from minidl.models.resnet import layers_of_depth
from minidl.tensor import Tensor

ORDERS = {  # one layer of F, and how many parts of the last layer follow the addition
    "original": ("conv bn relu", 1),  # 6.61 %, 5.93 %
    "BN after addition": ("conv bn relu", 2),  # 8.17 %, 6.50 %
    "ReLU before addition": ("conv bn relu", 0),  # 7.84 %, 6.14 %
    "ReLU-only pre-activation": ("relu conv bn", 0),  # 6.71 %, 5.91 %
    "full pre-activation": ("bn relu conv", 0),  # 6.37 %, 5.46 %
}


def make_layer(
    words: str, number: str, channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1
) -> dict[str, nn.Module]:
    """A convolution with batch norm and ReLU around it, in the order of the words; or only some of them."""
    parts: dict[str, nn.Module] = {}
    for word in words.split():
        if word == "conv":
            parts[word + number] = convolution(channels, out_channels, kernel_size, stride)
            channels = out_channels
        else:
            parts[word + number] = nn.BatchNorm2d(channels) if word == "bn" else nn.ReLU()
    return parts


class PreActBlock(ResidualBlock):
    """Equation (3) with F = branch ∘ before; where `before` is shared, it comes before the paths split."""

    kernel_sizes: tuple[int, ...] = (3, 3)

    def __init__(
        self, channels: int, width: int, stride: int = 1, shortcut: str = "A", order: str = "full pre-activation"
    ):
        words, moved = ORDERS[order]
        out_channels = self.expansion * width
        widths = [channels, *[width] * (len(self.kernel_sizes) - 1), out_channels]
        parts: dict[str, nn.Module] = {}
        for i, size in enumerate(self.kernel_sizes):
            parts |= make_layer(words, str(i + 1), widths[i], widths[i + 1], size, 1 if i else stride)
        first, end = list(parts).index("conv1"), len(parts) - moved
        whole = nn.Sequential(parts)
        self.before, self.branch, self.after = whole[:first], whole[first:end], whole[end:]
        super().__init__(channels, width, stride, shortcut)
        self.shared = shortcut == "B" and (stride > 1 or channels != out_channels)
        if self.shared:
            self.downsample = convolution(channels, out_channels, 1, stride)

    def residual(self, x: Tensor) -> Tensor:
        return nn.chain(x, *([] if self.shared else self.before), *self.branch)

    def forward(self, x: Tensor) -> Tensor:
        if self.shared:
            x = self.before(x)
        return self.after(self.residual(x) + self.downsample(x))


class PreActBottleneck(PreActBlock):
    """The unit of 164 and 1001 layers."""

    expansion = 4
    kernel_sizes = (1, 3, 1)


class PreActResNet(nn.Sequential):
    """ResNet for small images, the layers of F, and the stem as one of them, in the order given."""

    def __init__(
        self,
        block: type[PreActBlock],
        layers: Sequence[int],
        num_classes: int = 10,
        in_channels: int = 3,
        order: str = "full pre-activation",
        shortcut: str = "A",
    ):
        if order not in ORDERS:
            raise ValueError(f"PreActResNet: order must be one of {', '.join(map(repr, ORDERS))}; got {order!r}")
        before, _, after = ORDERS[order][0].partition("conv")
        features = 16 * 2 ** (len(layers) - 1) * block.expansion
        super().__init__(
            {
                **make_layer("conv" + after, "1", in_channels, 16),
                **make_stages(block, layers, 16, 16, order=order, shortcut=shortcut),
                **make_layer(before, "", features, features),
                "avgpool": nn.GlobalAvgPool2d(),
                "flatten": nn.Flatten(),
                "fc": nn.Linear(features, num_classes),
            }
        )
        next(unit for unit in self.modules() if isinstance(unit, PreActBlock)).shared = True
        initialize(self)


def preact_resnet_cifar(
    depth: int = 110,
    order: str = "full pre-activation",
    shortcut: str = "A",
    bottleneck: bool = False,
    num_classes: int = 10,
    in_channels: int = 3,
) -> PreActResNet:
    """Units of two 3×3 convolutions, or bottlenecks, in an order of Table 2, for images of about 32×32."""
    block = PreActBottleneck if bottleneck else PreActBlock
    layers = layers_of_depth("preact_resnet_cifar", depth, len(block.kernel_sizes))
    return PreActResNet(block, layers, num_classes, in_channels, order, shortcut)
