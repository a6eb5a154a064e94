"""The set that ships with minidl: what it claims to be, small, and made again byte for byte."""

import importlib

import numpy as np
import pytest

from minidl.data import DataError, catalogue, load_dataset
from minidl.data.catalogue import DEBIAN, EMBEDDED, FASHION, FASHION_MINI

FILES = [f"{name}.gz" for name in FASHION_MINI.files]


def test_it_opens_by_name_with_as_many_images_of_each_class():
    train, test = load_dataset("fashion-mini")
    assert train.images.shape == (2000, 1, 28, 28)
    assert test.images.shape == (1000, 1, 28, 28)
    np.testing.assert_array_equal(np.bincount(train.labels), 200)
    np.testing.assert_array_equal(np.bincount(test.labels), 100)
    assert train.classes == test.classes == FASHION.classes


def test_no_image_comes_twice():
    images = np.concatenate([split.images for split in load_dataset("fashion-mini")])
    assert len(np.unique(images.reshape(3000, -1), axis=0)) == 3000


def test_it_is_small_and_carries_its_licence():
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir() if path.is_file()) < 1.5e6
    licence = (EMBEDDED / "LICENSE").read_text(encoding="utf-8")
    assert "The MIT License (MIT) Copyright © 2017 Zalando SE" in licence


def test_a_damaged_copy_is_noticed(tmp_path, monkeypatch):
    for name in FILES:
        (tmp_path / name).write_bytes((EMBEDDED / name).read_bytes())
    monkeypatch.setattr(catalogue, "EMBEDDED", tmp_path)
    assert len(load_dataset("fashion-mini")[0]) == 2000
    (tmp_path / FILES[2]).write_bytes((EMBEDDED / FILES[2]).read_bytes()[:-100])
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: its gzip stream is damaged or cut short"):
        load_dataset("fashion-mini")


def test_the_script_makes_the_same_bytes_again(tmp_path, capsys):
    if FASHION.missing(FASHION.place(DEBIAN)):
        pytest.skip("Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)")
    script = importlib.import_module("minidl.data.embedded.make_fashion_mini")
    script.main(DEBIAN, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    printed = capsys.readouterr().out
    for name, published_md5 in zip(FILES, FASHION_MINI.md5s, strict=True):
        assert (tmp_path / name).read_bytes() == (EMBEDDED / name).read_bytes(), f"{name}: another zlib?"
        assert published_md5 in printed
