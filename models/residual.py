"""Residual blocks: layers learn what to add to their input.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385, section 3.

    y = σ(F(x) + x)              (1), with the σ after it that section 3.2 names
    y = σ(F(x) + W_s x)          (2)

σ is ReLU, F two 3×3 convolutions with batch norm, or a bottleneck of 1×1, 3×3 and 1×1 (Figure 5). Where the shape
changes, the shortcut is option A, every second pixel and zeros for the new channels, or option B, a projection W_s.
The networks of the paper are in `resnet`; later papers change these blocks in files of their own.

Departures from the paper: a bottleneck halves the image in its 3×3 convolution, not in the first 1×1, as torchvision's
does; the names of the parts are torchvision's.
"""

from collections.abc import Sequence
from typing import Any

from minidl import nn, pad
from minidl.nn import functional as F
from minidl.tensor import Tensor


def convolution(channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Padded so that stride 1 keeps the image's size; without a bias, as batch norm has one."""
    return nn.Conv2d(channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False)


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
        return F.add_relu(self.residual(x), self.downsample(x))


class BasicBlock(ResidualBlock):
    """F of 3×3 and 3×3 (Figure 5, left)."""

    def __init__(self, channels: int, width: int, stride: int = 1, **settings: Any):
        self.conv1 = convolution(channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        super().__init__(channels, width, stride, **settings)

    def residual(self, x: Tensor) -> Tensor:
        return nn.chain(x, self.conv1, self.bn1, F.relu, self.conv2, self.bn2)


class Bottleneck(ResidualBlock):
    """F of 1×1, 3×3 and 1×1 (Figure 5, right); the 3×3 may have groups, with their own share of the width (ResNeXt)."""

    expansion = 4

    def __init__(
        self, channels: int, width: int, stride: int = 1, groups: int = 1, width_per_group: int = 64, **settings: Any
    ):
        inner, outer = groups * (width * width_per_group // 64), self.expansion * width
        self.conv1 = convolution(channels, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = convolution(inner, inner, 3, stride, groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = convolution(inner, outer, 1)
        self.bn3 = nn.BatchNorm2d(outer)
        super().__init__(channels, width, stride, **settings)

    def residual(self, x: Tensor) -> Tensor:
        return nn.chain(x, self.conv1, self.bn1, F.relu, self.conv2, self.bn2, F.relu, self.conv3, self.bn3)


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


def initialize(model: nn.Module) -> None:
    """Convolutions start as He et al., arXiv:1502.01852, have it, by their fan out."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
