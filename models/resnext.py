"""ResNeXt: a residual block whose 3×3 convolution is split into many narrow paths.

S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He, "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017,
arXiv:1611.05431.

    y = x + Σ_i T_i(x), i = 1 … C        (3)

C is the cardinality. Every T_i is 1×1 to d channels, 3×3, and 1×1 back; together they are a bottleneck of ResNet whose
3×3 convolution has C groups of d channels (Figure 3c). In a network C×d a path has d channels in the first stage, and
twice as many in each stage after. Parameters on ImageNet (Table 1 has 25.0M for the first):

    50 32×4d  25,028,904        101 32×8d  88,791,336        101 64×4d  83,455,272

Departures from the paper: none; the names of the parts are torchvision's, so its weights load.
"""

from typing import Unpack

from minidl.models.residual import Bottleneck
from minidl.models.resnet import ResNet, Settings


def resnext50_32x4d(num_classes: int = 1000, **settings: Unpack[Settings]) -> ResNet:
    """Table 1, second column."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, groups=32, width_per_group=4, **settings)


def resnext101_32x8d(num_classes: int = 1000, **settings: Unpack[Settings]) -> ResNet:
    """Twice the width of the paper's 101 layers 32×4d."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, groups=32, width_per_group=8, **settings)


def resnext101_64x4d(num_classes: int = 1000, **settings: Unpack[Settings]) -> ResNet:
    """The paper's best: twice the cardinality (Table 4)."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, groups=64, width_per_group=4, **settings)
