"""MobileNetV2's row, in torchvision's numbers."""

from tests.models.entry import family

entry = family("Sandler, Howard, Zhu, Zhmoginov, Chen", "1801.04381", 2018, "mobilenet_v2_twin")

ROWS = [entry("mobilenet_v2", 3_504_872, "3.5 M", quick=True)]
