"""ResNet: layers learn what to add to their input.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385.

    y = σ(F(x) + x)              (1), with the σ after it that section 3.2 names
    y = σ(F(x) + W_s x)          (2)

σ is ReLU, F two 3×3 convolutions with batch norm, or a bottleneck of 1×1, 3×3 and 1×1 (Figure 5). Where the shape
changes, the shortcut is option A, every second pixel and zeros for the new channels, or option B, a projection W_s.
Parameters on ImageNet (Table 1, with B), and on CIFAR-10 (Table 6: 0.27M, 0.46M, 0.66M, 0.85M, 1.7M, 19.4M; with A):

    18  11,689,512       101  44,549,160            20  269,722       44  658,586       110   1,727,962
    34  21,797,672       152  60,192,808            32  464,154       56  853,018      1202  19,421,274
    50  25,557,032

Departures from the paper: a bottleneck halves the image in its 3×3 convolution, not in the first 1×1, as torchvision's
does; the names of the parts are torchvision's, so its weights load.
"""

from collections.abc import Sequence
from typing import Any

from minidl import nn, pad
from minidl.nn import functional as F
from minidl.tensor import Tensor


class ResidualBlock(nn.Module):
    """Equations (1) and (2). Kinds of blocks define the parts of F, and F as `residual`; the shortcut comes last.

    Settings they do not know they hand on, to what a later paper puts between them and this class.
    """

    expansion = 1  # channels that leave, for each of the width

    def __init__(self, channels: int, width: int, stride: int = 1, shortcut: str = "B"):
        super().__init__()
        self.downsample = make_shortcut(channels, self.expansion * width, stride, shortcut)

    def residual(self, x: Tensor) -> Tensor:
        """F(x)."""
        raise NotImplementedError(f"{type(self).__name__} has no residual(): define what it adds to its input")

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.downsample(x))


class BasicBlock(ResidualBlock):
    """F of 3×3 and 3×3 (Figure 5, left)."""

    def __init__(self, channels: int, width: int, stride: int = 1, shortcut: str = "B", **settings: Any):
        self.conv1 = convolution(channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        super().__init__(channels, width, stride, shortcut, **settings)

    def residual(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x))


class Bottleneck(ResidualBlock):
    """F of 1×1, 3×3 and 1×1 (Figure 5, right); the 3×3 may have groups, with their own share of the width (ResNeXt)."""

    expansion = 4

    def __init__(
        self,
        channels: int,
        width: int,
        stride: int = 1,
        shortcut: str = "B",
        groups: int = 1,
        width_per_group: int = 64,
        **settings: Any,
    ):
        inner, outer = groups * (width * width_per_group // 64), self.expansion * width
        self.conv1 = convolution(channels, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = convolution(inner, inner, 3, stride, groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = convolution(inner, outer, 1)
        self.bn3 = nn.BatchNorm2d(outer)
        super().__init__(channels, width, stride, shortcut, **settings)

    def residual(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))


class ZeroPadding(nn.Module):
    """Shortcut A: one pixel of every stride × stride, and zeros for the channels that are new."""

    def __init__(self, new_channels: int, stride: int):
        super().__init__()
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        return pad(x[:, :, :: self.stride, :: self.stride], [(0, 0), (0, self.new_channels), (0, 0), (0, 0)])


def make_shortcut(channels: int, out_channels: int, stride: int, option: str) -> nn.Module:
    """What x goes through on its way past F: nothing, where shapes stay; else A or B of section 3.3."""
    if option not in ("A", "B"):
        raise ValueError(f"shortcut must be 'A' (zero padding) or 'B' (projection), got {option!r}")
    if stride == 1 and channels == out_channels:
        return nn.Identity()
    if option == "A":
        return ZeroPadding(out_channels - channels, stride)
    return nn.Sequential(convolution(channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


def convolution(channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Padded so that stride 1 keeps the image's size; without a bias, as batch norm has one."""
    return nn.Conv2d(channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False)


def make_stages(
    block: type[ResidualBlock], layers: Sequence[int], channels: int, width: int, **settings: Any
) -> dict[str, nn.Module]:
    """layer1, layer2, …: stacks of blocks; the first block of each but layer1 halves the image, at twice the width."""
    stages: dict[str, nn.Module] = {}
    for i, depth in enumerate(layers):
        blocks = []
        for j in range(depth):
            blocks.append(block(channels, width * 2**i, stride=2 if i and not j else 1, **settings))
            channels = width * 2**i * block.expansion
        stages[f"layer{i + 1}"] = nn.Sequential(*blocks)
    return stages


class ResNet(nn.Sequential):
    """A stem, stages of blocks, global average pooling, a classifier.

    The stem is a 3×3 convolution for small images, for large ones 7×7 with stride 2 and 3×3 max pooling with stride 2.
    With `zero_init_residual` every F starts as 0 (Goyal et al., arXiv:1706.02677). `settings` go to the blocks.
    """

    def __init__(
        self,
        block: type[ResidualBlock],
        layers: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        zero_init_residual: bool = False,
        large_images: bool = True,
        **settings: Any,
    ):
        width = 64 if large_images else 16
        stem = {
            "conv1": convolution(in_channels, width, *((7, 2) if large_images else (3, 1))),
            "bn1": nn.BatchNorm2d(width),
            "relu": nn.ReLU(),
        }
        if large_images:
            stem["maxpool"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        features = width * 2 ** (len(layers) - 1) * block.expansion
        super().__init__(
            {
                **stem,
                **make_stages(block, layers, width, width, **settings),
                "avgpool": nn.GlobalAvgPool2d(),
                "flatten": nn.Flatten(),
                "fc": nn.Linear(features, num_classes),
            }
        )
        initialize(self)
        if zero_init_residual:
            last = "bn3.weight" if issubclass(block, Bottleneck) else "bn2.weight"
            for name, p in self.named_parameters():
                if name.endswith(last):
                    nn.init.zeros_(p)


def initialize(model: nn.Module) -> None:
    """Convolutions start as He et al., arXiv:1502.01852, have it, by their fan out."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def layers_of_depth(function: str, depth: int, convolutions: int = 2) -> list[int]:
    """Three stages for small images (section 4.2), by the depth and how many convolutions a block has.

    The depth counts those of the blocks, the stem and the classifier; not those of shortcuts.
    """
    step = 3 * convolutions
    n, rest = divmod(depth - 2, step)
    if rest or n < 1:
        raise ValueError(
            f"{function}: depth must be {step}n + 2 with n ≥ 1, so that three stages are alike; got {depth}"
        )
    return [n] * 3


def resnet_cifar(
    depth: int = 20, shortcut: str = "A", num_classes: int = 10, in_channels: int = 3, **settings: Any
) -> ResNet:
    """Table 6, for images of about 32×32: stages of 16, 32 and 64 channels."""
    layers = layers_of_depth("resnet_cifar", depth)
    return ResNet(BasicBlock, layers, num_classes, in_channels, large_images=False, shortcut=shortcut, **settings)


def resnet18(num_classes: int = 1000, **settings: Any) -> ResNet:
    """Table 1, first column."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **settings)


def resnet34(num_classes: int = 1000, **settings: Any) -> ResNet:
    """Table 1, second column."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **settings)


def resnet50(num_classes: int = 1000, **settings: Any) -> ResNet:
    """Table 1, third column."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **settings)


def resnet101(num_classes: int = 1000, **settings: Any) -> ResNet:
    """Table 1, fourth column."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, **settings)


def resnet152(num_classes: int = 1000, **settings: Any) -> ResNet:
    """Table 1, fifth column."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, **settings)
