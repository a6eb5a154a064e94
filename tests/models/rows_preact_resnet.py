"""Rows of pre-activation ResNet; exact numbers as by O. Sémery (pytorchcv), with A those of ResNet: Table 6 there."""

from minidl import nn
from minidl.models.preact_resnet import ORDERS, PreActBlock
from tests.models.entry import family

entry = family("He, Zhang, Ren, Sun", "1603.05027", 2016, "preact_resnet_twin")


def whisper(model):
    """Branches start at a tenth: what tells images apart is lost in what so many full ones add."""
    for module in model.modules():
        if isinstance(module, PreActBlock):
            *_, last = (part for part in module.branch if isinstance(part, nn.Conv2d))
            last.weight.data *= 0.1


def cifar(parameters, published, quick=False, rouse=None, **settings):
    """A network for small images."""
    fields = {"size": (16, 16), "image": (32, 32), "quick": quick, "rouse": rouse}
    return entry("preact_resnet_cifar", parameters, published, settings=settings, **fields)


HARD = {"BN after addition": whisper}
ROWS = [
    *[cifar(1_727_962, "1.7 M", rouse=HARD.get(order), depth=110, order=order) for order in ORDERS],
    cifar(269_722, "0.27 M", quick=True, depth=20),
    cifar(272_282, "0.27 M", depth=20, shortcut="B"),
    cifar(1_730_522, "1.7 M", depth=110, shortcut="B"),
    cifar(1_703_258, "1.7 M", depth=164, shortcut="B", bottleneck=True),
    cifar(10_327_706, "10.2 M", rouse=whisper, depth=1001, shortcut="B", bottleneck=True),
]
