"""ResNet: layers that learn what to add to their input can be a hundred deep.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385.

    y = σ(F(x) + x)  or  σ(F(x) + W_s x)        (1), (2): the blocks, of which networks are stacks, are in `residual`

Parameters on ImageNet (Table 1, with option B), and on CIFAR-10 (Table 6: 0.27M, 0.46M, 0.66M, 0.85M, 1.7M, 19.4M;
with option A):

    18  11,689,512       101  44,549,160            20  269,722       44  658,586       110   1,727,962
    34  21,797,672       152  60,192,808            32  464,154       56  853,018      1202  19,421,274
    50  25,557,032

Departures from the paper: those of the blocks; the names of the parts are torchvision's, so its weights load.
"""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from minidl import nn
from minidl.models.residual import BasicBlock, Bottleneck, ResidualBlock, convolution, initialize, make_stages


class Settings(TypedDict, total=False):
    """What the networks of Table 1 take beside the number of classes: see `ResNet` and its blocks."""

    in_channels: int
    shortcut: str
    zero_init_residual: bool
    large_images: bool


class BottleneckSettings(Settings, total=False):
    """Those of 50 layers and more."""

    groups: int
    width_per_group: int


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
        width, kernel_size, stride = (64, 7, 2) if large_images else (16, 3, 1)
        super().__init__(
            {
                "conv1": convolution(in_channels, width, kernel_size, stride),
                "bn1": nn.BatchNorm2d(width),
                "relu": nn.ReLU(),
                **({"maxpool": nn.MaxPool2d(kernel_size=3, stride=2, padding=1)} if large_images else {}),
                **make_stages(block, layers, width, width, **settings),
                "avgpool": nn.GlobalAvgPool2d(),
                "flatten": nn.Flatten(),
                "fc": nn.Linear(width * 2 ** (len(layers) - 1) * block.expansion, num_classes),
            }
        )
        initialize(self)
        if zero_init_residual:
            last = "bn3.weight" if issubclass(block, Bottleneck) else "bn2.weight"
            for name, p in self.named_parameters():
                if name.endswith(last):
                    nn.init.zeros_(p)


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
    depth: int = 20,
    shortcut: str = "A",
    num_classes: int = 10,
    in_channels: int = 3,
    zero_init_residual: bool = False,
) -> ResNet:
    """Table 6, for images of about 32×32: stages of 16, 32 and 64 channels."""
    layers = layers_of_depth("resnet_cifar", depth)
    settings = (num_classes, in_channels, zero_init_residual)
    return ResNet(BasicBlock, layers, *settings, large_images=False, shortcut=shortcut)


def resnet18(num_classes: int = 1000, **settings: Unpack[Settings]) -> ResNet:
    """Table 1, first column."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **settings)


def resnet34(num_classes: int = 1000, **settings: Unpack[Settings]) -> ResNet:
    """Table 1, second column."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **settings)


def resnet50(num_classes: int = 1000, **settings: Unpack[BottleneckSettings]) -> ResNet:
    """Table 1, third column."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **settings)


def resnet101(num_classes: int = 1000, **settings: Unpack[BottleneckSettings]) -> ResNet:
    """Table 1, fourth column."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, **settings)


def resnet152(num_classes: int = 1000, **settings: Unpack[BottleneckSettings]) -> ResNet:
    """Table 1, fifth column."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, **settings)
