"""NASNet's row; the exact number is that of the well-known translation to PyTorch."""

from tests.models.entry import family

entry = family("Zoph, Vasudevan, Shlens, Le", "1707.07012", 2017, "nasnet_twin")

ROWS = [entry("nasnet_a_mobile", 5_289_978, "5.3 M", size=(40, 40), quick=True)]
