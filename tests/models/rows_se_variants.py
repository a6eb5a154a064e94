"""Rows of other networks with gates: those without, and what equation 5 of the paper adds, with the biases."""

from tests.models import rows_senet, rows_vgg
from tests.models.entry import family

entry = family(rows_senet.PAPER, rows_senet.ARXIV, rows_senet.YEAR, "se_variants_twin")


def gates(*widths, r=16):
    """The parameters of gates for so many channels."""
    return sum(2 * c * (c // r) + c // r + c for c in widths)


MOBILENET = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
VGG = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
THIN = {"settings": {"width": 0.25}, "quick": True}

ROWS = [
    entry("se_inception", 11_931_622, "11.9 M", size=(66, 54)),
    entry("se_mobilenet_v1", 4_718_044, "4.7 M"),
    entry("se_mobilenet_v1", 470_072 + gates(*[c // 4 for c in MOBILENET]), "0.5 M", **THIN),
    entry("se_vgg16_bn", 138_365_992 + gates(*VGG), "138.6 M", lr=rows_vgg.LR),
    entry("se_densenet121", 7_978_856 + gates(*[32] * (6 + 12 + 24 + 16)), "8.0 M"),
]
