"""SqueezeNet's rows: 1.0 by Table 1 of the paper, 1.1 as torchvision documents it."""

from minidl.nn import init
from tests.models.entry import family

entry = family("Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer", "1602.07360", 2016, "squeezenet_twin")


def rouse(model):
    """With the ReLU on the logits, one of few classes may be dead from the start: unless all are shifted."""
    init.constant_(model.classifier[1].bias, 3)


ROWS = [
    entry("squeezenet1_0", 1_248_424, "1.25 M", size=(40, 36), rouse=rouse, quick=True),
    entry("squeezenet1_1", 1_235_496, "1.24 M", size=(40, 36), rouse=rouse, quick=True),
]
