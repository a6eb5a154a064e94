"""EfficientNet's rows, in torchvision's numbers; Lite0 in those of its authors' code."""

from tests.models.entry import family

entry = family("Tan, Le", "1905.11946", 2019, "efficientnet_twin")


def large(name, size, *facts):
    """A network for images of size×size."""
    return entry(name, *facts, image=(size, size))


ROWS = [
    entry("efficientnet_b0", 5_288_548, "5.3 M", size=(33, 33), quick=True),
    large("efficientnet_b1", 240, 7_794_184, "7.8 M"),
    large("efficientnet_b2", 260, 9_109_994, "9.2 M"),
    large("efficientnet_b3", 300, 12_233_232, "12 M"),
    large("efficientnet_b4", 380, 19_341_616, "19 M"),
    large("efficientnet_b5", 456, 30_389_784, "30 M"),
    large("efficientnet_b6", 528, 43_040_704, "43 M"),
    large("efficientnet_b7", 600, 66_347_960, "66 M"),
    entry("efficientnet_lite0", 4_652_008, "4.7 M"),
]
