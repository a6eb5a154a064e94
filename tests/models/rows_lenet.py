"""LeNet-5's rows: section II-B of the paper, and the count that is usual for its simplification."""

from tests.models.entry import family

entry = family("LeCun, Bottou, Bengio, Haffner", "Proc. IEEE 86(11)", 1998, "lenet_twin")

ROWS = [
    entry("lenet5", 60_000, "60,000", size=(32, 32), image=(32, 32), channels=1, quick=True),
    entry("lenet", 61_706, "61,706", size=(32, 32), image=(32, 32), channels=1, quick=True),
]
