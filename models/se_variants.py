"""Squeeze and excitation at the end of the parts of other networks.

J. Hu, L. Shen, S. Albanie, G. Sun, E. Wu, "Squeeze-and-Excitation Networks", CVPR 2018 and TPAMI 2020,
arXiv:1709.01507, section 3.3: the block recalibrates what any transformation makes. Here that is an inception module
(Figure 2), a convolution with its ReLU (VGG), a depthwise separable convolution (MobileNet), the k new features of a
dense layer. With r = 16 the gates of C channels take 2 C²/r weights (5), and C/r + C biases:

    SE-Inception  11,931,622        SE-MobileNet    4,718,044
    SE-VGG-16    138,596,784        SE-DenseNet-121 7,988,252

Departures from the paper: DenseNet is not in it. The names of all other parts stay, so the weights of the networks
without gates load with `strict=False`. The `settings` of the functions here are those of the gates.
"""

from typing import Any, Unpack

from minidl import nn
from minidl.models.bn_inception import BNInception, Inception, bn_inception
from minidl.models.densenet import DenseLayer, DenseNet, densenet121
from minidl.models.mobilenet_v1 import DepthwiseSeparable, MobileNetV1, mobilenet_v1
from minidl.models.residual import initialize
from minidl.models.squeeze_excitation import GateSettings, se_module
from minidl.models.vgg import VGG, vgg16_bn


def excite(part: nn.Sequential, channels: int, **settings: Any) -> nn.Sequential:
    """Append a gate to a part that makes so many channels."""
    gate = se_module(channels, **settings)
    initialize(gate)
    part.add_module("se_module", gate)
    return part


def out_channels(part: nn.Module) -> int:
    """How many channels the last convolution in a part makes."""
    return [layer.out_channels for layer in part.modules() if isinstance(layer, nn.Conv2d)][-1]


def se_inception(num_classes: int = 1000, in_channels: int = 3, **settings: Unpack[GateSettings]) -> BNInception:
    """BN-Inception, and a gate after each of its ten inception modules (Figure 2)."""
    model = bn_inception(num_classes, in_channels)
    for part in model.features:
        if isinstance(part, Inception):
            excite(part, part.out_channels, **settings)
    return model


def se_vgg16_bn(
    num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5, **settings: Unpack[GateSettings]
) -> VGG:
    """VGG-16 with batch norm, and a gate after each of its 13 convolutions and their ReLUs."""
    model = vgg16_bn(num_classes, in_channels=in_channels, dropout=dropout)
    for i, layer in enumerate(model.features):
        if isinstance(layer, nn.ReLU):
            model.features[i] = excite(nn.Sequential({"relu": layer}), out_channels(model.features[:i]), **settings)
    return model


def se_mobilenet_v1(
    width: float = 1.0, num_classes: int = 1000, in_channels: int = 3, **settings: Unpack[GateSettings]
) -> MobileNetV1:
    """MobileNet, and a gate after each of its 13 depthwise separable convolutions."""
    model = mobilenet_v1(width, num_classes, in_channels)
    for part in model.features:
        if isinstance(part, DepthwiseSeparable):
            excite(part, out_channels(part), **settings)
    return model


def se_densenet121(
    num_classes: int = 1000, in_channels: int = 3, drop_rate: float = 0.0, **settings: Unpack[GateSettings]
) -> DenseNet:
    """DenseNet-121, and a gate for the k new features of each of its 58 layers."""
    model = densenet121(num_classes, in_channels=in_channels, drop_rate=drop_rate)
    for layer in list(model.modules()):
        if isinstance(layer, DenseLayer):
            excite(layer, out_channels(layer), **settings)
    return model
