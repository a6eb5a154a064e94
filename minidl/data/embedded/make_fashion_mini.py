"""Make the set fashion-mini: 2,000 training and 1,000 test images of Fashion-MNIST, as many of each class.

    python -m minidl.data.embedded.make_fashion_mini [SOURCE [TARGET]]

SOURCE: folder with the four files of Fashion-MNIST; default: where Debian's package dataset-fashion-mnist
    has them.
TARGET: folder for the four files of fashion-mini; default: this one.

The same bytes come out every time: RandomState chooses, whose numbers NumPy has frozen for good (NEP 19),
    and the gzip headers carry no time. (Another implementation of zlib may pack the same images into other
    bytes.) The md5s that are printed are those in catalogue.py.
"""

import gzip
import io
import sys
from pathlib import Path

import numpy as np

from minidl.data.catalogue import DEBIAN, EMBEDDED, FASHION, FASHION_MINI
from minidl.data.error import md5

SEED = 1708_07747  # the paper's number: Xiao, Rasul, Vollgraf, arXiv:1708.07747


def main(source: Path, target: Path) -> None:
    """Write the four files of fashion-mini from those of Fashion-MNIST."""
    random = np.random.RandomState(SEED)
    names = iter(FASHION_MINI.files)
    for dataset, count in zip(FASHION.load(source), FASHION_MINI.counts, strict=True):
        chosen = choose(dataset.labels, count // len(dataset.classes), random)
        for array in (dataset.images[chosen, 0], dataset.labels[chosen].astype(np.uint8)):
            write_idx(target / f"{next(names)}.gz", array)


def choose(labels: np.ndarray, count: int, random: np.random.RandomState) -> np.ndarray:
    """Indices of `count` images of each class, in the order of the full set."""
    members = (np.flatnonzero(labels == label) for label in np.unique(labels))
    return np.sort(np.concatenate([random.permutation(indices)[:count] for indices in members]))


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write a uint8 array as a gzipped idx file, whole or not at all."""
    idx = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(idx)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(packed.getvalue())
    temporary.replace(path)
    sys.stdout.write(f"{path}: {len(packed.getvalue())} bytes; md5 of the idx file: {md5(idx)}\n")


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:3]]
    main(*given, *(DEBIAN, EMBEDDED)[len(given) :])
