"""Rows of pre-activation ResNet; exact numbers as by O. Sémery (pytorchcv), with A those of ResNet: Table 6 there."""

from minidl.models.preact_resnet import ORDERS
from tests.models.entry import family

entry = family("He, Zhang, Ren, Sun", "1603.05027", 2016, "preact_resnet_twin")


def cifar(parameters, published, quick=False, **settings):
    """A network for small images."""
    sizes = {"size": (16, 16), "image": (32, 32)}
    return entry("preact_resnet_cifar", parameters, published, settings=settings, quick=quick, **sizes)


ROWS = [
    *[cifar(1_727_962, "1.7 M", depth=110, order=order) for order in ORDERS],
    cifar(269_722, "0.27 M", quick=True, depth=20),
    cifar(272_282, "0.27 M", depth=20, shortcut="B"),
    cifar(1_730_522, "1.7 M", depth=110, shortcut="B"),
    cifar(1_703_258, "1.7 M", depth=164, shortcut="B", bottleneck=True),
    cifar(10_327_706, "10.2 M", depth=1001, shortcut="B", bottleneck=True),
]
