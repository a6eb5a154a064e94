"""VGG's rows: exact as torchvision documents them, in millions as Table 2 of the paper."""

from tests.models.entry import family

entry = family("Simonyan, Zisserman", "1409.1556", 2014, "vgg_twin")
LR = 1e-4  # of Adam: the 25,088 inputs of one unit all change by it at once

ROWS = [
    entry("vgg11", 132_863_336, "133 M", lr=LR),
    entry("vgg11_bn", 132_868_840, "132.9 M", lr=LR),
    entry("vgg13", 133_047_848, "133 M", lr=LR),
    entry("vgg13_bn", 133_053_736, "133.1 M", lr=LR),
    entry("vgg16", 138_357_544, "138 M", lr=LR),
    entry("vgg16_bn", 138_365_992, "138.4 M", lr=LR),
    entry("vgg19", 143_667_240, "144 M", lr=LR),
    entry("vgg19_bn", 143_678_248, "143.7 M", lr=LR),
]
