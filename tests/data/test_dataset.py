"""A dataset is an array of images, an array of labels and names, and insists on that."""

import numpy as np
import pytest

from minidl.data import Dataset

IMAGES = np.random.default_rng(0).integers(256, size=(7, 3, 4, 5), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2, 2])
NAMES = ["a", "b", "c"]


def test_it_indexes_as_its_arrays_do():
    dataset = Dataset(IMAGES, LABELS, NAMES)
    for index in (0, -1, slice(2, 5), np.array([3, 1, 1]), LABELS == 2):
        images, labels = dataset[index]
        np.testing.assert_array_equal(images, IMAGES[index])
        np.testing.assert_array_equal(labels, LABELS[index])
    with pytest.raises(IndexError):
        dataset[7]
    assert len(dataset) == len(list(dataset)) == 7


def test_a_subset_has_the_chosen_images_and_all_classes():
    subset = Dataset(IMAGES, LABELS, NAMES).subset(LABELS == 2)
    np.testing.assert_array_equal(subset.images, IMAGES[[2, 5, 6]])
    assert subset.labels.tolist() == [2, 2, 2]
    assert subset.classes == ("a", "b", "c")


def test_a_slice_of_an_array_is_not_copied():
    assert np.shares_memory(Dataset(IMAGES, LABELS, NAMES).subset(slice(2, 5)).images, IMAGES)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_labels_become_int64(dtype):
    assert Dataset(IMAGES, LABELS.astype(dtype), NAMES).labels.dtype == np.int64


def test_mean_and_deviation_are_those_of_the_scaled_pixels():
    images = np.random.default_rng(1).integers(256, size=(1100, 2, 3, 3), dtype=np.uint8)  # more than a chunk
    mean, std = Dataset(images, np.zeros(1100, int), ["a"]).mean_std()
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 2, 3)), rtol=1e-12)


def test_its_repr_says_how_many_and_how_large():
    assert repr(Dataset(IMAGES, LABELS, NAMES)) == "Dataset(7 images 3×4×5, 3 classes)"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES / 255, LABELS, "images are float64"),
        (IMAGES[0], LABELS, r"images are uint8 \(3, 4, 5\); wanted uint8 \(N, C, H, W\)"),
        (IMAGES, LABELS[:6], r"labels are int64 \(6,\); wanted integers, one for each of the 7"),
        (IMAGES, LABELS / 1, "labels are float64"),
        (IMAGES, LABELS + 1, "labels run from 1 to 3; wanted 0 to 2"),
        (IMAGES, LABELS - 1, "labels run from -1 to 1; wanted 0 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Dataset(images, labels, NAMES)


def test_an_empty_dataset_has_no_mean():
    empty = Dataset(IMAGES, LABELS, NAMES).subset(slice(0, 0))
    assert len(empty) == 0
    with pytest.raises(ValueError, match="the dataset is empty"):
        empty.mean_std()
