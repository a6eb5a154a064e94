"""BN-Inception's row: 11,295,240 of its files in Caffe, less the 10,016 biases that batch norm makes needless."""

from tests.models.entry import family

entry = family("Ioffe, Szegedy", "1502.03167", 2015, "bn_inception_twin")

ROWS = [entry("bn_inception", 11_295_240 - 10_016, "11.3 M", size=(100, 84), quick=True)]
