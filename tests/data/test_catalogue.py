"""Datasets are opened by name or by path, from files that are there: nothing is fetched unasked."""

import numpy as np
import pytest

from minidl.data import DataError, catalogue, load_dataset
from minidl.data.catalogue import FASHION
from tests.data.small_files import tar_gz


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Whoever downloads without being asked fails the test."""
    monkeypatch.setattr("minidl.data.idx.fetch", None)
    monkeypatch.setattr("minidl.data.cifar.fetch", None)


def use(monkeypatch, small):
    monkeypatch.setitem(catalogue.SOURCES, small.name, small)


def test_a_named_set_is_found_below_root(small_fashion, monkeypatch):
    small, _, root = small_fashion
    use(monkeypatch, small)
    for place in (root, str(root), root / "fashion-mnist"):
        train, test = load_dataset("fashion", root=place)
        assert (len(train), len(test)) == (7, 3)


def test_root_is_minidl_data_unless_it_is_given(small_fashion, monkeypatch, tmp_path_factory):
    small, _, root = small_fashion
    use(monkeypatch, small)
    monkeypatch.setenv("MINIDL_DATA", str(root))
    assert len(load_dataset("fashion")[0]) == 7
    with pytest.raises(DataError, match="fashion: none of"):
        load_dataset("fashion", root=tmp_path_factory.mktemp("empty"))


def test_without_minidl_data_the_cache_in_the_home_folder_is_searched(small_fashion, monkeypatch, tmp_path_factory):
    small, _, root = small_fashion
    use(monkeypatch, small)
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.setattr(catalogue, "DEBIAN", tmp_path_factory.mktemp("nothing"))
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    with pytest.raises(DataError, match=r"\.cache.minidl"):
        load_dataset("fashion")
    (home / ".cache").mkdir()
    root.rename(home / ".cache" / "minidl")
    assert len(load_dataset("fashion")[0]) == 7


def test_debian_s_package_serves_when_root_is_not_given(small_fashion, monkeypatch, tmp_path_factory):
    small, _, root = small_fashion
    use(monkeypatch, small)
    monkeypatch.setattr(catalogue, "DEBIAN", root)
    monkeypatch.setenv("MINIDL_DATA", str(tmp_path_factory.mktemp("empty")))
    assert len(load_dataset("fashion")[0]) == 7


@pytest.mark.parametrize("kind", ["small_fashion", "small_cifar10", "small_cifar100"])
def test_a_folder_tells_by_its_content_what_it_is(kind, request, monkeypatch):
    small, _, root = request.getfixturevalue(kind)
    use(monkeypatch, small)
    folder = next(root.iterdir())
    for place in (root, folder):
        assert load_dataset(place)[0].images.shape == small.load(root)[0].images.shape


def test_a_folder_with_two_sets_asks_which(small_fashion, small_cifar10, monkeypatch):
    use(monkeypatch, small_fashion[0])
    use(monkeypatch, small_cifar10[0])
    with pytest.raises(DataError, match=r"holds fashion and cifar10; say which: load_dataset\('fashion', root="):
        load_dataset(small_fashion[2])


def test_only_folders_of_images_take_an_image_size(small_fashion, monkeypatch):
    use(monkeypatch, small_fashion[0])
    for which in ("fashion", small_fashion[2]):
        with pytest.raises(ValueError, match="image_size is for folders of images; those of fashion have one"):
            load_dataset(which, root=small_fashion[2], image_size=32)


def test_a_path_may_begin_with_the_home_folder(small_fashion, monkeypatch):
    use(monkeypatch, small_fashion[0])
    monkeypatch.setenv("HOME", str(small_fashion[2]))
    monkeypatch.setenv("USERPROFILE", str(small_fashion[2]))
    assert len(load_dataset("~/fashion-mnist")[0]) == 7


def test_an_archive_is_opened_by_its_path(small_cifar100, monkeypatch):
    small, files, root = small_cifar100
    use(monkeypatch, small)
    path = root / small.archive
    path.write_bytes(tar_gz({f"{small.folder}/{name}": content for name, content in files.items()}))
    assert len(load_dataset(path)[0]) == 7


def test_a_partial_set_in_a_folder_says_what_it_lacks(small_cifar10, monkeypatch):
    small, _, root = small_cifar10
    use(monkeypatch, small)
    (root / small.folder / "data_batch_5").unlink()
    with pytest.raises(DataError, match=r"cifar10: .*cifar-10-batches-py lacks data_batch_5"):
        load_dataset(root)


def test_idx_files_of_another_set_are_not_taken_for_a_known_one(small_fashion):
    _, _, root = small_fashion  # not in the catalogue: stands for somebody's own
    with pytest.raises(DataError, match=r"fashion-mnist: no dataset known here; found t10k-images-idx3-ubyte, "):
        load_dataset(root / "fashion-mnist")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match=r"imagenet: neither .* fashion-mini, fashion, mnist, cifar10, cifar100"):
        load_dataset("imagenet")


def test_the_full_fashion_mnist_is_what_its_authors_describe(data_root):
    for root in (data_root, catalogue.DEBIAN):
        if not FASHION.missing(FASHION.place(root)):
            break
    else:
        pytest.skip(f"Fashion-MNIST is neither in {data_root} nor installed (Debian: dataset-fashion-mnist)")
    train, test = load_dataset("fashion", root=root)
    assert train.images.shape == (60000, 1, 28, 28)
    np.testing.assert_array_equal(np.bincount(train.labels), 6000)
    np.testing.assert_array_equal(np.bincount(test.labels), 1000)
    assert [train.classes[label] for label in train.labels[:3]] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]
    np.testing.assert_allclose(train.mean_std(), [[0.2860], [0.3530]], atol=1e-4)  # as published everywhere
