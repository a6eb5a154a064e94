"""ResNeXt's rows, in torchvision's numbers."""

from tests.models.entry import family

entry = family("Xie, Girshick, Dollár, Tu, He", "1611.05431", 2016, "resnet_twin")
ROWS = [
    entry("resnext50_32x4d", 25_028_904, "25.0 M"),
    entry("resnext101_32x8d", 88_791_336, "88.8 M"),
    entry("resnext101_64x4d", 83_455_272, "83.5 M"),
]
