"""CIFAR-10 and CIFAR-100, https://www.cs.toronto.edu/~kriz/cifar.html, in the "python version".

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. Every file is a pickled dict;
it is compared with the published md5 before anything in it is looked at.
"""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl.data.dataset import Dataset
from minidl.data.download import fetch
from minidl.data.error import DataError, check_md5
from minidl.data.source import Source
from minidl.data.unpickle import load_pickle

LARGEST = 256 << 20  # bytes; the largest file, CIFAR-100's train, has 155 million


class Batch(NamedTuple):
    """A file of images."""

    file: str
    md5: str
    images: int


@dataclass(frozen=True)
class CifarSet(Source):
    """A CIFAR set: 32×32 pixels, red, green and blue.

    folder, archive: the names under which it was published, unpacked and packed.
    meta, meta_md5: the file with the names of the classes.
    labels_key, names_key: what the labels in a batch and the names in `meta` are called.
    """

    name: str
    origin: str
    folder: str
    archive: str
    archive_md5: str
    train: tuple[Batch, ...]
    test: tuple[Batch, ...]
    meta: str
    meta_md5: str
    labels_key: str
    names_key: str

    @property
    def files(self) -> tuple[str, ...]:
        return (*(batch.file for batch in self.train + self.test), self.meta)

    def places(self, root: Path) -> list[Path]:
        return [root] if root.is_file() else [root, root / self.folder, root / self.archive]

    def missing(self, place: Path) -> list[str]:
        return [] if place.is_file() else [name for name in self.files if not (place / name).is_file()]

    def claims(self, place: Path) -> bool:
        return place.name == self.archive if place.is_file() else (place / self.train[0].file).is_file()

    def read(self, place: Path) -> tuple[Dataset, Dataset]:
        """One file at a time is held in memory, beside the images."""
        published = {batch.file: batch.md5 for batch in self.train + self.test} | {self.meta: self.meta_md5}
        (train, train_parts), (test, test_parts) = _blank(self.train), _blank(self.test)
        parts, classes = train_parts | test_parts, []
        for file, content in self._archived(place) if place.is_file() else self._unpacked(place):
            check_md5(content, published.pop(file), place / file)
            entry = load_pickle(content, place / file)
            if file == self.meta:
                classes = _names(entry, self.names_key, place / file)
            else:
                images, labels = parts[file]
                images[:], labels[:] = _batch(entry, self.labels_key, len(labels), place / file)
        if published:
            raise DataError(f"{place}: its folder {self.folder} lacks {', '.join(published)}; fetch it again")
        return Dataset(*train, classes), Dataset(*test, classes)

    def _unpacked(self, place: Path) -> Iterator[tuple[str, bytes]]:
        for name in self.files:
            path = place / name
            try:
                _want_size(path.stat().st_size, path)
                yield name, path.read_bytes()
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error}); fetch it again") from error

    def _archived(self, path: Path) -> Iterator[tuple[str, bytes]]:
        """The set's files; nothing is written to disk, and other members are not looked at."""
        wanted = {f"{self.folder}/{name}": name for name in self.files}
        try:
            check_md5(path, self.archive_md5, path)
            with tarfile.open(path, "r:gz") as archive:
                for member in archive:
                    if member.name in wanted and member.isreg():
                        _want_size(member.size, path / member.name)
                        content = archive.extractfile(member)
                        assert content is not None  # a regular file has one
                        yield wanted.pop(member.name), content.read()
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            raise DataError(f"{path}: no tar.gz that can be read ({error}); fetch it again") from error

    def download(self, root: Path) -> None:
        fetch(f"{self.origin}{self.archive}", root / self.archive, self.archive_md5)


def _want_size(size: int, what: Path) -> None:
    if size > LARGEST:
        raise DataError(f"{what}: has {size} bytes; no file of CIFAR has more than {LARGEST}: fetch it again")


Arrays = tuple[np.ndarray, np.ndarray]


def _blank(batches: tuple[Batch, ...]) -> tuple[Arrays, dict[str, Arrays]]:
    """Arrays for the images and labels of all batches, and the part of them that belongs to each file."""
    total, start, parts = sum(batch.images for batch in batches), 0, {}
    images, labels = np.empty((total, 3, 32, 32), np.uint8), np.empty(total, np.int64)
    for batch in batches:
        rows = slice(start, start := start + batch.images)
        parts[batch.file] = (images[rows], labels[rows])
    return (images, labels), parts


def _batch(entry: Any, labels_key: str, size: int, what: Path) -> Arrays:
    """Images and labels of a batch; a row of its data is 1024 red, 1024 green, 1024 blue pixels."""
    data, labels = (entry.get("data"), entry.get(labels_key)) if isinstance(entry, dict) else (None, None)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (size, 3072):
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise DataError(f"{what}: 'data' is {got}; wanted uint8 ({size}, 3072): another file under this name?")
    if not isinstance(labels, list) or len(labels) != size or not all(type(label) is int for label in labels):
        raise DataError(f"{what}: {labels_key!r} is no list of {size} integers: another file under this name?")
    return data.reshape(size, 3, 32, 32), np.array(labels, np.int64)


def _names(entry: Any, names_key: str, what: Path) -> list[str]:
    names = entry.get(names_key) if isinstance(entry, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{what}: {names_key!r} is no list of names: another file under this name?")
    return names
