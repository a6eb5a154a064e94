"""Gates in other networks, in PyTorch: in the twins of those, by the widths in their papers' tables."""

from torch import nn

from tests.models import bn_inception_twin, densenet_twin, mobilenet_v1_twin, vgg_twin
from tests.models.senet_twin import Gate


def se_inception(num_classes=1000, in_channels=3, **settings):
    twin = bn_inception_twin.bn_inception(num_classes, in_channels)
    modules = {"3a": 256, "3b": 320, "3c": 576, "4a": 576, "4b": 576, "4c": 608, "4d": 608, "4e": 1056}
    modules |= {"5a": 1024, "5b": 1024}
    for name, channels in modules.items():
        twin.get_submodule(f"features.inception_{name}").add_module("se_module", Gate(channels, **settings))
    return twin


def se_mobilenet_v1(width=1.0, num_classes=1000, in_channels=3, **settings):
    twin = mobilenet_v1_twin.mobilenet_v1(width, num_classes, in_channels)
    widths = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    for part, channels in zip(twin.features[1:], widths, strict=True):
        part.add_module("se_module", Gate(int(width * channels), **settings))
    return twin


def se_vgg16_bn(num_classes=1000, in_channels=3, **settings):
    twin = vgg_twin.vgg16_bn(num_classes, in_channels)
    widths = iter([64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512])
    for i, relu in enumerate(twin.features):
        if type(relu) is nn.ReLU:
            twin.features[i] = nn.Sequential()
            twin.features[i].add_module("relu", relu)
            twin.features[i].add_module("se_module", Gate(next(widths), **settings))
    assert not list(widths)
    return twin


def se_densenet121(num_classes=1000, in_channels=3, **settings):
    twin = densenet_twin.densenet121(num_classes, in_channels)
    for i, depth in enumerate([6, 12, 24, 16], start=1):
        for j in range(1, depth + 1):
            layer = twin.get_submodule(f"features.denseblock{i}.denselayer{j}")
            layer.add_module("se_module", Gate(32, **settings))
    return twin
