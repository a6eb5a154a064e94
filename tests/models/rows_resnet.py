"""ResNet's rows. ImageNet: torchvision's numbers; CIFAR: Table 6 of the paper, exact as by Y. Idelbayev (akamaster)."""

from tests.models.entry import family

entry = family("He, Zhang, Ren, Sun", "1512.03385", 2015, "resnet_twin")


def cifar(depth, shortcut, parameters, published, quick=False):
    """A network for small images."""
    settings = {"depth": depth, "shortcut": shortcut}
    return entry("resnet_cifar", parameters, published, settings=settings, quick=quick, size=(16, 16), image=(32, 32))


ROWS = [
    cifar(20, "A", 269_722, "0.27 M", quick=True),
    cifar(32, "A", 464_154, "0.46 M"),
    cifar(44, "A", 658_586, "0.66 M"),
    cifar(56, "A", 853_018, "0.85 M"),
    cifar(110, "A", 1_727_962, "1.7 M"),
    cifar(1202, "A", 19_421_274, "19.4 M"),
    cifar(20, "B", 272_474, "0.27 M"),
    entry("resnet18", 11_689_512, "11.7 M", quick=True),
    entry("resnet34", 21_797_672, "21.8 M"),
    entry("resnet50", 25_557_032, "25.6 M"),
    entry("resnet101", 44_549_160, "44.5 M"),
    entry("resnet152", 60_192_808, "60.2 M"),
]
