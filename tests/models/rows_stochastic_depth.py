"""Rows of stochastic depth: as many parameters as in ResNet, Table 6 of its paper. (Exact: Y. Idelbayev, akamaster.)"""

from tests.models.entry import family

entry = family("Huang, Sun, Liu, Sedra, Weinberger", "1603.09382", 2016, "stochastic_depth_twin")
SMALL = {"size": (16, 16), "image": (32, 32)}
ROWS = [
    entry("stochastic_depth_resnet_cifar", 269_722, "0.27 M", settings={"depth": 20}, quick=True, **SMALL),
    entry("stochastic_depth_resnet_cifar", 1_727_962, "1.7 M", settings={"depth": 110}, **SMALL),
    entry("stochastic_depth_resnet_cifar", 19_421_274, "19.4 M", settings={"depth": 1202}, **SMALL),
]
