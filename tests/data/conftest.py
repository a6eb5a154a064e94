"""Published sets in small, and where the full ones are."""

import gzip
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minidl.data.catalogue import CIFAR10, CIFAR100, FASHION
from tests.data.small_files import cifar_files, idx_bytes, md5, published_as


@pytest.fixture
def small_cifar10(tmp_path):
    """(set, {name: content}, root): batches of 1 to 5 images and a test batch of 2, unpacked below root."""
    small = replace(
        CIFAR10,
        train=tuple(batch._replace(images=n) for n, batch in enumerate(CIFAR10.train, 1)),
        test=(CIFAR10.test[0]._replace(images=2),),
    )
    return unpacked(small, tmp_path)


@pytest.fixture
def small_cifar100(tmp_path):
    """(set, {name: content}, root): a training file of 7 images and a test file of 3, unpacked below root."""
    small = replace(
        CIFAR100, train=(CIFAR100.train[0]._replace(images=7),), test=(CIFAR100.test[0]._replace(images=3),)
    )
    return unpacked(small, tmp_path)


def unpacked(small, root):
    files = cifar_files(small)
    folder = root / small.folder
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return published_as(small, files), files, root


@pytest.fixture
def small_fashion(tmp_path):
    """(set, {name: content}, root): seven training and three test images in idx files below root."""
    random = np.random.default_rng(0)
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    files = {}
    for count, images, labels in zip((7, 3), FASHION.files[::2], FASHION.files[1::2], strict=True):
        files[images] = idx_bytes(random.integers(256, size=(count, 28, 28), dtype=np.uint8))
        files[labels] = idx_bytes(random.integers(10, size=count, dtype=np.uint8))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    zipped = {name: gzip.compress(content, mtime=0) for name, content in files.items()}
    small = replace(
        FASHION,
        counts=(7, 3),
        md5s=tuple(md5(content) for content in files.values()),
        gzip_md5s=tuple(md5(content) for content in zipped.values()),
    )
    return small, files, tmp_path


@pytest.fixture(scope="session")
def data_root():
    """The folder with the full published sets, which no test downloads."""
    root = Path(os.environ.get("MINIDL_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"the published sets are not here: {root} (MINIDL_DATA, else ../shared/data) is no folder")
    return root
