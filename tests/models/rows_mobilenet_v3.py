"""MobileNetV3's rows, in torchvision's numbers."""

from tests.models.entry import family

authors = "Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le, Adam"
entry = family(authors, "1905.02244", 2019, "mobilenet_v3_twin")

ROWS = [
    entry("mobilenet_v3_large", 5_483_032, "5.4 M"),
    entry("mobilenet_v3_small", 2_542_856, "2.5 M", quick=True),
]
