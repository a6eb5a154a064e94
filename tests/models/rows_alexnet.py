"""AlexNet's rows: 2012 by the sizes in the paper ("60 million"), 2014 as torchvision documents it."""

from tests.models.entry import family
from tests.models.start import start_as_he

one_weird_trick = family("Krizhevsky", "1404.5997", 2014, "alexnet_twin")
imagenet = family("Krizhevsky, Sutskever, Hinton", "NIPS 2012", 2012, "alexnet_twin")

ROWS = [
    imagenet("alexnet_2012", 60_965_224, "60 M", rouse=start_as_he, lr=1e-4),
    one_weird_trick("alexnet", 61_100_840, "61.1 M"),
]
