"""A folder of images whose subfolders are the classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minidl.data.dataset import Dataset
from minidl.data.error import DataError
from minidl.data.image_files import SUFFIXES, ImageFiles


def image_folder(
    folder: str | Path, size: int | tuple[int, int] | None = None, classes: Sequence[str] | None = None
) -> Dataset:
    """The images below `folder`, each subfolder a class, in alphabetical order; read when they are indexed.

    size: side, or (height, width), to which each is scaled and centre-cropped; None: all have one size.
    classes: the names that the subfolders may have; None: those that they have.

    Hidden files, and files whose suffix is not an image's, are passed over.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; wanted one with a subfolder of images for each class")
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not subfolders:
        raise DataError(f"{folder}: has no subfolders; wanted one for each class, with its images")
    names = [path.name for path in subfolders] if classes is None else list(classes)
    paths: list[Path] = []
    labels: list[int] = []
    for subfolder in subfolders:
        if subfolder.name not in names:
            raise DataError(f"{subfolder}: is not one of the classes {', '.join(names)}; rename it or move it away")
        found = _images(subfolder)
        if not found:
            raise DataError(f"{subfolder}: holds no image ({' '.join(sorted(SUFFIXES))}); fill it or delete it")
        paths += found
        labels += [names.index(subfolder.name)] * len(found)
    return Dataset(ImageFiles(paths, size), np.array(labels), names)


def load_image_folder(folder: Path, size: int | tuple[int, int] | None = None) -> tuple[Dataset, Dataset]:
    """(train, test) from the subfolders train/ and test/ (or val/), which have the same classes."""
    held_out = next((path for name in ("test", "val") if (path := folder / name).is_dir()), None)
    if held_out is None or not (folder / "train").is_dir():
        found = sorted(path.name for path in folder.iterdir())[:8] if folder.is_dir() else ["a single file"]
        raise DataError(
            f"{folder}: no dataset known here; found {', '.join(found) or 'nothing'}; wanted the folders "
            "train/ and test/ (or val/) with a subfolder of images for each class, or the published files of "
            "MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-100 under their own names"
        )
    train = image_folder(folder / "train", size)
    test = image_folder(held_out, size, train.classes)
    if train.images.shape[1:] != test.images.shape[1:]:
        (height, width), (test_height, test_width) = train.images.shape[2:], test.images.shape[2:]
        raise DataError(
            f"{folder}: images in train/ are {height}×{width} pixels and in {held_out.name}/ {test_height}×"
            f"{test_width}; name one size, as in load_dataset(folder, image_size=32)"
        )
    return train, test


def _images(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
