"""CIFAR is read from its folder or its archive; every file is the published one or is refused."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from minidl.data import DataError
from minidl.data.catalogue import CIFAR10
from tests.data.small_files import CLASSES, md5, published_as, python2_pickle, tar_gz


@pytest.fixture(params=["small_cifar10", "small_cifar100"])
def small_cifar(request):
    return request.getfixturevalue(request.param)


def archived(small, files):
    return {f"{small.folder}/{name}": content for name, content in files.items()}


def write_archive(root, small, members):
    """Put the archive of these members where the set's is looked for; the set that was published so."""
    (root / small.archive).write_bytes(tar_gz(members))
    return replace(small, archive_md5=md5(tar_gz(members)))


def test_batches_follow_one_another_in_their_published_order(small_cifar):
    small, files, root = small_cifar
    for dataset, batches in zip(small.load(root), (small.train, small.test), strict=True):
        entries = [pickle.loads(files[batch.file], encoding="latin-1") for batch in batches]
        pixels = np.concatenate([entry["data"] for entry in entries])
        np.testing.assert_array_equal(dataset.images.reshape(len(pixels), 3072), pixels)
        labels = np.concatenate([entry[small.labels_key] for entry in entries])
        np.testing.assert_array_equal(dataset.labels, labels)
        assert dataset.classes == tuple(CLASSES)


def test_the_archive_holds_the_same_whatever_the_order_of_its_members(small_cifar, tmp_path_factory):
    small, files, root = small_cifar
    elsewhere = tmp_path_factory.mktemp("archive")
    small = write_archive(elsewhere, small, dict(reversed(archived(small, files).items())))
    for place in (elsewhere, elsewhere / small.archive):
        for from_folder, from_archive in zip(small.load(root), small.load(place), strict=True):
            np.testing.assert_array_equal(from_folder.images, from_archive.images)
            np.testing.assert_array_equal(from_folder.labels, from_archive.labels)


def test_nothing_is_unpacked_and_paths_that_lead_elsewhere_are_not_followed(small_cifar10, tmp_path_factory):
    small, files, _ = small_cifar10
    root = tmp_path_factory.mktemp("archive")
    hostile = {
        f"../{root.name}-escaped": b"outside",
        "/tmp/minidl-escaped": b"outside",
        f"{small.folder}/../../{small.folder}/data_batch_1": b"disguised",
        **archived(small, files),
    }
    assert len(write_archive(root, small, hostile).load(root)[0]) == 15
    assert [path.name for path in root.iterdir()] == [small.archive]
    assert not (root.parent / f"{root.name}-escaped").exists()


def test_a_link_in_the_archive_is_not_a_file(small_cifar10, tmp_path_factory):
    small, files, _ = small_cifar10
    root = tmp_path_factory.mktemp("archive")
    members = archived(small, files) | {f"{small.folder}/data_batch_2": "/etc/passwd"}
    with pytest.raises(DataError, match=r"cifar-10-batches-py lacks data_batch_2; fetch it again"):
        write_archive(root, small, members).load(root)


def test_a_damaged_archive_is_noticed(small_cifar10, tmp_path_factory):
    small, files, _ = small_cifar10
    root = tmp_path_factory.mktemp("archive")
    packed = tar_gz(archived(small, files))
    for content in (packed[: len(packed) // 2], packed[:-1000], b"", b"<html>404</html>"):
        (root / small.archive).write_bytes(content)
        with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz: its md5 is"):
            small.load(root)
        with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz: no tar\.gz that can be read|lacks"):
            replace(small, archive_md5=md5(content)).load(root)


def test_a_changed_byte_in_a_batch_is_noticed(small_cifar):
    small, files, root = small_cifar
    for name, content in files.items():
        path = root / small.folder / name
        path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
        with pytest.raises(DataError, match=rf"{name}: its md5 is .* fetch it again"):
            small.load(root)
        path.write_bytes(content)


def test_swapped_batches_are_noticed(small_cifar10):
    small, files, root = small_cifar10
    (root / small.folder / "data_batch_3").write_bytes(files["data_batch_4"])
    with pytest.raises(DataError, match="data_batch_3: its md5 is"):
        small.load(root)


def test_missing_batches_are_named(small_cifar10):
    small, _, root = small_cifar10
    (root / small.folder / "data_batch_3").unlink()
    (root / small.folder / "batches.meta").unlink()
    with pytest.raises(DataError, match=r"cifar-10-batches-py lacks data_batch_3, batches\.meta; .*download=True"):
        small.load(root)


@pytest.mark.parametrize(
    ("file", "entry", "message"),
    [
        ("test_batch", {"labels": [0, 1]}, "'data' is NoneType; wanted uint8"),
        ("test_batch", {"labels": [0, 1], "data": np.zeros((2, 9), np.uint8)}, r"'data' is uint8 \(2, 9\); wanted"),
        ("test_batch", {"labels": [0], "data": np.zeros((2, 3072), np.uint8)}, "'labels' is no list of 2 integers"),
        ("test_batch", {"labels": [0, "1"], "data": np.zeros((2, 3072), np.uint8)}, "'labels' is no list"),
        ("test_batch", {"labels": [0, 7], "data": np.zeros((2, 3072), np.uint8)}, "labels run from 0 to 7"),
        ("test_batch", ["labels", "data"], "'data' is NoneType"),
        ("batches.meta", {}, "'label_names' is no list of names"),
        ("batches.meta", {"label_names": [1, 2]}, "'label_names' is no list of names"),
        ("batches.meta", ["cat"], "'label_names' is no list of names"),
    ],
)
def test_a_file_with_the_right_checksum_must_still_be_a_batch(small_cifar10, file, entry, message):
    small, files, root = small_cifar10
    files = files | {file: python2_pickle(entry)}
    (root / small.folder / file).write_bytes(files[file])
    with pytest.raises(ValueError, match=message):
        published_as(small, files).load(root)


def test_a_hostile_pickle_is_refused_even_with_the_right_checksum(small_cifar10, monkeypatch):
    small, files, root = small_cifar10
    monkeypatch.chdir(root)
    files = files | {"test_batch": b"cos\nsystem\n(S'touch ran'\ntR."}
    (root / small.folder / "test_batch").write_bytes(files["test_batch"])
    with pytest.raises(DataError, match=r"test_batch: its md5"):
        small.load(root)
    with pytest.raises(DataError, match=r"test_batch: refused to unpickle os\.system"):
        published_as(small, files).load(root)
    assert not (root / "ran").exists()


def test_a_file_far_too_large_is_not_read(small_cifar10, tmp_path_factory, monkeypatch):
    small, files, root = small_cifar10
    with (root / small.folder / "data_batch_1").open("wb") as file:
        file.truncate(1 << 40)  # sparse: takes no space
    with pytest.raises(DataError, match=r"data_batch_1: has 1099511627776 bytes"):
        small.load(root)
    monkeypatch.setattr("minidl.data.cifar.LARGEST", len(files["data_batch_4"]))
    elsewhere = tmp_path_factory.mktemp("archive")
    with pytest.raises(DataError, match=rf"data_batch_5: has {len(files['data_batch_5'])} bytes"):
        write_archive(elsewhere, small, archived(small, files)).load(elsewhere)


def test_the_real_cifar_10_is_what_its_authors_describe(data_root):
    if CIFAR10.missing(CIFAR10.place(data_root)):
        pytest.skip(f"CIFAR-10 is not in {data_root}")
    train, test = CIFAR10.load(data_root)
    assert train.images.shape == (50000, 3, 32, 32)
    assert test.images.shape == (10000, 3, 32, 32)
    np.testing.assert_array_equal(np.bincount(train.labels), 5000)
    np.testing.assert_array_equal(np.bincount(test.labels), 1000)
    assert train.classes[6] == "frog"
    assert train.labels[:5].tolist() == [6, 9, 9, 4, 1]  # frog, truck, truck, deer, automobile
    mean, std = train.mean_std()
    np.testing.assert_allclose(mean, (0.4914, 0.4822, 0.4465), atol=1e-4)  # as published everywhere
    np.testing.assert_allclose(std, (0.2470, 0.2435, 0.2616), atol=1e-4)
