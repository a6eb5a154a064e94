"""Batches depend on seed and epoch alone, and hold every image once."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import DataLoader, Dataset
from minidl.data.transforms import Compose, RandomCrop, RandomHorizontalFlip, ToFloat
from minidl.tensor import Tensor

AUGMENT = Compose([RandomCrop(4, padding=2), RandomHorizontalFlip(), ToFloat()])


def numbered(n):
    """A dataset whose image i, with label i, has i in every pixel but one."""
    images = np.repeat(np.arange(n, dtype=np.uint8), 3 * 4 * 4).reshape(n, 3, 4, 4)
    images[:, 0, 0, 0] = 255
    return Dataset(images, np.arange(n), [str(i) for i in range(n)])


def batches(loader, epoch=0):
    loader.set_epoch(epoch)
    return [(images.data, labels.data) for images, labels in loader]


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b) for pair, twin in zip(one, other, strict=True) for a, b in zip(pair, twin, strict=True)
    )


@given(st.integers(1, 30), st.integers(1, 35), st.booleans(), st.sampled_from([0, 1, 3]))
def test_every_image_comes_once_with_its_label(n, batch_size, shuffle, num_workers):
    loader = DataLoader(numbered(n), batch_size, shuffle, num_workers=num_workers)
    made = batches(loader)
    assert len(made) == len(loader) == -(-n // batch_size)
    assert [len(labels) for _, labels in made[:-1]] == [batch_size] * (len(made) - 1)
    labels = np.concatenate([labels for _, labels in made])
    images = np.concatenate([images for images, _ in made])
    assert sorted(labels) == list(range(n))
    np.testing.assert_array_equal(images[:, 1, 1, 1], labels.astype(np.float32) / np.float32(255))
    assert shuffle or labels.tolist() == list(range(n))


@given(st.integers(1, 30), st.integers(1, 30))
def test_drop_last_leaves_out_the_part_of_a_batch(n, batch_size):
    if n < batch_size:
        with pytest.raises(ValueError, match=f"{n} images make no batch with batch_size={batch_size}"):
            DataLoader(numbered(n), batch_size, drop_last=True)
    else:
        loader = DataLoader(numbered(n), batch_size, drop_last=True)
        sizes = [len(labels) for _, labels in batches(loader)]
        assert sizes == [batch_size] * len(loader) == [batch_size] * (n // batch_size)


def test_batches_are_tensors_float32_and_int64():
    images, labels = next(iter(DataLoader(numbered(5), 2)))
    assert isinstance(images, Tensor)
    assert isinstance(labels, Tensor)
    assert (images.dtype, images.shape, images.backend) == (np.float32, (2, 3, 4, 4), "numpy")
    assert (labels.dtype, labels.shape) == (np.int64, (2,))


@pytest.mark.parametrize("num_workers", [0, 1, 4])
def test_workers_and_earlier_epochs_change_nothing(num_workers):
    fresh = DataLoader(numbered(30), 7, shuffle=True, transform=AUGMENT, seed=3)
    expected = batches(fresh, epoch=5)
    used = DataLoader(numbered(30), 7, True, AUGMENT, 3, num_workers=num_workers, prefetch_factor=3)
    for epoch in (0, 9, 2):
        batches(used, epoch)
    next(iter(used))  # abandoned in the middle
    assert same(batches(used, epoch=5), expected)
    assert same(batches(used, epoch=5), expected)


def test_epochs_and_seeds_differ_in_order_and_in_transforms():
    loaders = [DataLoader(numbered(30), 30, True, AUGMENT, seed) for seed in (0, 1)]
    made = [batches(loader, epoch)[0] for loader in loaders for epoch in (0, 1, 2)]
    assert len({labels.tobytes() for _, labels in made}) == 6
    still = [DataLoader(numbered(30), 30, False, AUGMENT, seed) for seed in (0, 1)]
    made = [batches(loader, epoch)[0] for loader in still for epoch in (0, 1, 2)]
    assert len({images.tobytes() for images, _ in made}) == 6


def test_transforms_differ_from_batch_to_batch():
    one_image = Dataset(np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4).repeat(40, 0), np.zeros(40, int), ["a"])
    made = batches(DataLoader(one_image, 10, transform=AUGMENT))
    assert len({images.tobytes() for images, _ in made}) == 4


def test_an_iteration_keeps_the_epoch_it_began_with():
    loader = DataLoader(numbered(30), 7, shuffle=True)
    expected = batches(loader, epoch=1)
    loader.set_epoch(1)
    begun = iter(loader)
    loader.set_epoch(2)
    assert same([(images.data, labels.data) for images, labels in begun], expected)


def test_orders_are_uniform():
    loader = DataLoader(numbered(4), 4, shuffle=True)
    firsts = [batches(loader, epoch)[0][1][0] for epoch in range(800)]
    assert np.all(abs(np.bincount(firsts) - 200) < 60)  # five standard deviations


@pytest.mark.parametrize("num_workers", [0, 2])
def test_exceptions_of_transform_and_dataset_come_out(num_workers):
    def transform(images, generator):
        raise ZeroDivisionError("in the transform")

    class Broken(Dataset):
        def __getitem__(self, index):
            raise OSError("in the dataset")

    with pytest.raises(ZeroDivisionError, match="in the transform"):
        list(DataLoader(numbered(9), 2, transform=transform, num_workers=num_workers))
    whole = numbered(9)
    with pytest.raises(OSError, match="in the dataset"):
        list(DataLoader(Broken(whole.images, whole.labels, whole.classes), 2, num_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stop_iteration_in_a_transform_does_not_shorten_the_epoch(num_workers):
    def transform(images, generator):
        return next(iter([]))

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(DataLoader(numbered(9), 2, transform=transform, num_workers=num_workers))


def test_batches_are_made_in_the_background():
    names = set()

    def transform(images, generator):
        names.add(threading.current_thread().name)
        return ToFloat()(images)

    list(DataLoader(numbered(20), 2, transform=transform, num_workers=2))
    assert threading.current_thread().name not in names


@pytest.mark.parametrize(
    ("made", "got"),
    [
        (lambda images: images, r"uint8 \(2, 3, 4, 4\)"),
        (lambda images: None, r"NoneType \(\)"),
        (lambda images: images / 255, r"float64 \(2, 3, 4, 4\)"),
        (lambda images: images[:1] / np.float32(255), r"float32 \(1, 3, 4, 4\)"),
        (lambda images: images.reshape(2, -1) / np.float32(255), r"float32 \(2, 48\)"),
    ],
)
def test_a_transform_that_makes_no_float32_images_is_named(made, got):
    loader = DataLoader(numbered(4), 2, transform=lambda images, generator: made(images))
    with pytest.raises(ValueError, match=rf"transform made {got} of 2 images; wanted float32 \(2, C, H, W\)"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; wanted an integer, at least 1"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"prefetch_factor": 0}, "prefetch_factor is 0"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"DataLoader: {message}"):
        DataLoader(numbered(4), **arguments)


def test_an_epoch_is_a_number_from_0_and_an_empty_dataset_makes_no_loader():
    with pytest.raises(ValueError, match="epoch is -1; wanted an integer, at least 0"):
        DataLoader(numbered(4)).set_epoch(-1)
    with pytest.raises(ValueError, match="0 images make no batch"):
        DataLoader(numbered(4).subset(slice(0, 0)))


def test_numpy_integers_are_integers():
    loader = DataLoader(numbered(4), np.int64(2))
    loader.set_epoch(np.int32(3))
    assert len(loader) == 2
