"""DenseNet's rows. CIFAR: Table 2 of the paper, in the authors' numbers; ImageNet: torchvision's, 264 by Table 1."""

from tests.models.entry import family

entry = family("Huang, Liu, van der Maaten, Weinberger", "1608.06993", 2016, "densenet_twin")
SMALL = {"size": (16, 16), "image": (32, 32)}


def cifar(depth, growth_rate, parameters, published, **settings):
    """A network for small images."""
    settings = {"depth": depth, "growth_rate": growth_rate, **settings}
    return entry("densenet_cifar", parameters, published, settings=settings, quick=depth == 40, **SMALL)


PLAIN = {"bottleneck": False, "compression": 1.0}
ROWS = [
    cifar(40, 12, 1_019_722, "1.0 M", **PLAIN),
    cifar(100, 12, 6_979_642, "7.0 M", **PLAIN),
    cifar(100, 24, 27_249_082, "27.2 M", **PLAIN),
    cifar(100, 12, 769_162, "0.8 M"),
    cifar(250, 24, 15_324_406, "15.3 M"),
    cifar(190, 40, 25_624_430, "25.6 M"),
    entry("densenet121", 7_978_856, "8.0 M", quick=True),
    entry("densenet161", 28_681_000, "28.7 M"),
    entry("densenet169", 14_149_480, "14.1 M"),
    entry("densenet201", 20_013_928, "20.0 M"),
    entry("densenet264", 33_337_704, "33.3 M"),
]
