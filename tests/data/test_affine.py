"""Warping images moves their pixels where the map says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data.affine import affine, bilinear, rotation

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def random_images(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype(dtype)


def still(n):
    return np.zeros((n, 2))


@dtypes
def test_the_identity_changes_no_bit(dtype):
    images = random_images(3, 2, 5, 8, dtype=dtype)
    moved = affine(images, np.array([np.eye(2)] * 3), still(3))
    assert moved.dtype == dtype
    np.testing.assert_array_equal(moved, images)


@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_quarter_turns_are_those_of_rot90(size):
    images = random_images(5, 3, size, size)
    turned = affine(images, rotation(np.array([0.0, 90, 180, 270, -90])), still(5))
    for image, result, times in zip(images, turned, (0, 1, 2, 3, -1), strict=True):
        np.testing.assert_allclose(result, np.rot90(image, times, axes=(1, 2)), atol=1e-12)


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_a_whole_shift_is_a_slice_of_the_padded_image(down, right):
    image = random_images(1, 2, 6, 7)
    padded = np.pad(image, ((0, 0), (0, 0), (9, 9), (9, 9)))
    moved = affine(image, np.eye(2)[None], np.array([[down, right]]))
    np.testing.assert_array_equal(moved, padded[:, :, 9 - down : 15 - down, 9 - right : 16 - right])


def test_a_half_shift_averages_neighbours():
    image = random_images(1, 1, 3, 4)
    moved = affine(image, np.eye(2)[None], np.array([[0, 0.5]]))
    padded = np.pad(image, ((0, 0), (0, 0), (0, 0), (1, 0)))
    np.testing.assert_allclose(moved, (padded[..., 1:] + padded[..., :-1]) / 2, atol=1e-15)


def test_doubling_enlarges_about_the_centre():
    ramp = np.arange(9.0)[None, None, None] + np.zeros((1, 1, 9, 1))
    enlarged = affine(ramp, 2 * np.eye(2)[None], still(1))
    np.testing.assert_allclose(enlarged[0, 0, 0], 4 + (np.arange(9) - 4) / 2)


def test_each_image_has_its_own_map():
    images = random_images(3, 1, 4, 4)
    linear, shift = rotation(np.array([0.0, 90, 0])), np.array([[0, 0], [0, 0], [1, 0]])
    together = affine(images, linear, shift)
    for n in range(3):
        alone = affine(images[n : n + 1], linear[n : n + 1], shift[n : n + 1])
        np.testing.assert_array_equal(together[n : n + 1], alone)


def test_bilinear_is_the_weighted_mean_of_the_four_neighbours():
    images = random_images(2, 3, 4, 5)
    random = np.random.default_rng(1)
    y, x = random.uniform(-2, 5, (2, 50)), random.uniform(-2, 6, (2, 50))
    expected = np.zeros((2, 3, 50))
    for n, p in np.ndindex(2, 50):
        for row in range(4):
            for column in range(5):
                weight = max(0, 1 - abs(y[n, p] - row)) * max(0, 1 - abs(x[n, p] - column))
                expected[n, :, p] += weight * images[n, :, row, column]
    np.testing.assert_allclose(bilinear(images, y, x), expected, atol=1e-12)


def test_points_far_outside_are_zero():
    images = random_images(1, 1, 3, 3)
    far = np.array([[-1e6, -4, 1, 1, 7, 1e6]])
    np.testing.assert_array_equal(bilinear(images, far, far)[0, 0, [0, 1, 4, 5]], 0)
