"""GoogLeNet's rows: 2014 as its replication in Caffe counts, without auxiliary classifiers 7.0 M; and torchvision's."""

from minidl import nn
from tests.models.entry import family

entry = family("Szegedy et al.", "1409.4842", 2014, "googlenet_twin")
PLAIN = {"settings": {"aux_logits": False}}


def rouse(model):
    """He's start: without batch norm, Caffe's takes long to tell images apart."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)


ROWS = [
    entry("googlenet_2014", 13_378_280, "13.4 M", rouse=rouse, quick=True),
    entry("googlenet_2014", 6_998_552, "7.0 M", **PLAIN),
    entry("googlenet", 13_004_888, "13.0 M", quick=True),
    entry("googlenet", 6_624_904, "6.6 M", **PLAIN),
]
