"""idx files are read as they were written, and every way in which one can be wrong has its message."""

import gzip
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import DataError, read_idx
from minidl.data.catalogue import FASHION, MNIST
from tests.data.small_files import idx_bytes, md5

PIXELS = np.random.default_rng(0).integers(256, size=(5, 4, 3), dtype=np.uint8)
ZIPPED = gzip.compress(idx_bytes(PIXELS), mtime=0)


@given(st.lists(st.integers(0, 4), max_size=4), st.booleans())
def test_what_was_written_is_read_with_or_without_gzip(tmp_path_factory, shape, zipped):
    array = np.arange(np.prod(shape, dtype=int), dtype=np.uint8).reshape(shape)
    path = tmp_path_factory.mktemp("idx") / "array"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    loaded = read_idx(path, tuple(shape), md5(idx_bytes(array)))
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, array, strict=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing; wanted 00 00"),
        (b"\0\0\x08", "begins with 00 00 08; wanted 00 00"),
        (b"\x89PNG\r\n\x1a\n", "begins with 89 50 4e 47; wanted 00 00: this is no idx file"),
        (b"<html>404</html>", "no idx file"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "type code is 13; wanted 8"),
        (b"\0\0\x08\x03\0\0\0\x05\0\0", "ends within its header"),
        (idx_bytes(PIXELS)[:-1], "ends after 59 of the 60 bytes it announces; fetch it again"),
        (idx_bytes(PIXELS) + b"\0", "goes on after the 60 bytes it announces"),
        (idx_bytes(PIXELS.reshape(60)), r"holds an array \(60,\); wanted \(5, 4, 3\)"),
        (idx_bytes(PIXELS[:4]), r"holds an array \(4, 4, 3\); wanted \(5, 4, 3\)"),
        (idx_bytes(255 - PIXELS), "its md5 is [0-9a-f]{32} but the published file has [0-9a-f]{32}"),
        (ZIPPED[:40], "gzip stream is damaged or cut short"),
        (ZIPPED[:-1], "gzip stream is damaged or cut short"),
        (ZIPPED + b"junk", "cannot be read|damaged"),
        (b"\x1f\x8b", "gzip stream is damaged or cut short"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_a_wrong_file_is_told_apart(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte: .*{message}"):
        read_idx(path, PIXELS.shape, md5(idx_bytes(PIXELS)))


def test_every_changed_byte_of_a_gzipped_file_is_noticed(tmp_path):
    path = tmp_path / "images.gz"
    for place in range(len(ZIPPED)):
        path.write_bytes(ZIPPED[:place] + bytes([ZIPPED[place] ^ 0x55]) + ZIPPED[place + 1 :])
        try:
            loaded = read_idx(path, PIXELS.shape, md5(idx_bytes(PIXELS)))
        except DataError:
            continue
        assert place < 10, "only gzip's own header has bytes that do not matter"
        np.testing.assert_array_equal(loaded, PIXELS)


def test_a_header_that_lies_about_its_size_allocates_nothing(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x02" + b"\xff\xff\xff\xff" * 2 + bytes(100)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="ends after 100 of the 18446744065119617025 bytes"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / "nothing")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)


def test_a_set_has_its_images_labels_and_classes(small_fashion):
    small, files, root = small_fashion
    train, test = small.load(root)
    np.testing.assert_array_equal(train.images.ravel(), list(files["train-images-idx3-ubyte"][16:]))
    np.testing.assert_array_equal(test.labels, list(files["t10k-labels-idx1-ubyte"][8:]))
    assert train.images.shape == (7, 1, 28, 28)
    assert test.images.shape == (3, 1, 28, 28)
    assert train.classes == FASHION.classes


@pytest.mark.parametrize("rename", ["{}.gz", "{}"])
@pytest.mark.parametrize("old", ["-idx", ".idx"])
@pytest.mark.parametrize("folder", [".", "fashion-mnist", "FashionMNIST/raw"])
def test_a_set_is_found_under_all_its_usual_names(small_fashion, tmp_path_factory, rename, old, folder):
    small, files, _ = small_fashion
    root = tmp_path_factory.mktemp("root")
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / folder / rename.format(name.replace("-idx", old))
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    assert [len(split) for split in small.load(root)] == [7, 3]


def test_missing_files_are_named_with_what_to_do(small_fashion, tmp_path_factory):
    small, _, root = small_fashion
    (root / "fashion-mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"fashion-mnist lacks t10k-labels-idx1-ubyte; .*root=.*download=True"):
        small.load(root)
    with pytest.raises(DataError, match=r"fashion: none of .* has train-images-idx3-ubyte, .*MINIDL_DATA"):
        small.load(tmp_path_factory.mktemp("empty"))


def test_swapped_files_are_noticed(small_fashion):
    small, _, root = small_fashion
    folder = root / "fashion-mnist"
    (folder / "train-labels-idx1-ubyte").rename(folder / "aside")
    (folder / "t10k-labels-idx1-ubyte").rename(folder / "train-labels-idx1-ubyte")
    (folder / "aside").rename(folder / "t10k-labels-idx1-ubyte")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte: holds an array \(3,\); wanted \(7,\)"):
        small.load(root)


def test_a_set_knows_itself_by_its_training_labels(small_fashion):
    small, _, root = small_fashion
    assert small.claims(root / "fashion-mnist")
    assert not small.claims(root)
    assert not replace(small, md5s=MNIST.md5s).claims(root / "fashion-mnist")
