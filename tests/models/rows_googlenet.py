"""GoogLeNet's rows: 2014 as its replication in Caffe counts, without auxiliary classifiers 7.0 M; and torchvision's."""

from tests.models.entry import family
from tests.models.start import start_as_he

entry = family("Szegedy et al.", "1409.4842", 2014, "googlenet_twin")
PLAIN = {"settings": {"aux_logits": False}}

ROWS = [
    entry("googlenet_2014", 13_378_280, "13.4 M", rouse=start_as_he, quick=True),
    entry("googlenet_2014", 6_998_552, "7.0 M", rouse=start_as_he, **PLAIN),
    entry("googlenet", 13_004_888, "13.0 M", quick=True),
    entry("googlenet", 6_624_904, "6.6 M", **PLAIN),
]
