"""SENet's rows: as in R. Cadene's pretrainedmodels and R. Wightman's timm, biases included."""

from tests.models.entry import family

PAPER, ARXIV, YEAR = "Hu, Shen, Albanie, Sun, Wu", "1709.01507", 2017
entry = family(PAPER, ARXIV, YEAR, "senet_twin")

ROWS = [
    entry("se_resnet18", 11_778_592, "11.8 M"),
    entry("se_resnet34", 21_958_868, "22.0 M"),
    entry("se_resnet50", 28_088_024, "28.1 M"),
    entry("se_resnet101", 49_326_872, "49.3 M"),
    entry("se_resnet152", 66_821_848, "66.8 M"),
    entry("se_resnext50_32x4d", 27_559_896, "27.6 M"),
    entry("se_resnext101_32x4d", 48_955_416, "49.0 M"),
    entry("senet154", 115_088_984, "115.1 M"),
]
