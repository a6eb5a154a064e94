"""Transforms do to each image what their names say, the same again for the same generator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data.transforms import (
    ColorJitter,
    Compose,
    Cutout,
    Normalize,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    ToFloat,
)

RANDOM = [
    RandomHorizontalFlip(),
    RandomCrop(8, padding=3),
    RandomCrop((5, 7)),
    RandomRotation(30),
    RandomAffine(20, (0.2, 0.1), (0.8, 1.2)),
    ColorJitter(0.4, 0.4),
    Cutout(4),
]
DETERMINISTIC = [Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), Compose([])]
random_ones = pytest.mark.parametrize("transform", RANDOM, ids=repr)


def batch(n=6, channels=3, height=8, width=8, dtype=np.float32):
    pixels = np.random.default_rng(7).permutation(n * channels * height * width) + 1  # all different, none 0
    return (pixels.reshape(n, channels, height, width) / pixels.size).astype(dtype)


def generator(seed=0):
    return np.random.default_rng(seed)


@random_ones
def test_the_same_generator_draws_the_same(transform):
    images = batch()
    np.testing.assert_array_equal(transform(images, generator(3)), transform(images, generator(3)))
    assert not np.array_equal(transform(images, generator(3)), transform(images, generator(4)))


@random_ones
def test_every_image_has_its_own_draw(transform):
    images = np.repeat(batch(1), 50, axis=0)
    results = transform(images, generator())
    assert len({result.tobytes() for result in results}) > 1


@pytest.mark.parametrize("transform", [*RANDOM, *DETERMINISTIC], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_the_input_unchanged(transform, dtype):
    images = batch(dtype=dtype)
    before = images.copy()
    images.flags.writeable = False  # as the pixels of a dataset are
    assert transform(images, generator()).dtype == dtype
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("transform", [RandomHorizontalFlip(), RandomCrop(8, padding=2), Cutout(4)], ids=repr)
def test_moving_pixels_commutes_with_making_them_floats(transform):
    images = np.random.default_rng(0).integers(256, size=(6, 3, 8, 8), dtype=np.uint8)
    one_way = Compose([transform, ToFloat()])(images, generator())
    other_way = Compose([ToFloat(), transform])(images, generator())
    np.testing.assert_array_equal(one_way, other_way)


@pytest.mark.parametrize(
    "transform",
    [RandomHorizontalFlip(0), RandomCrop(8), RandomRotation(0), RandomAffine(), ColorJitter(), Cutout(0)],
    ids=repr,
)
def test_without_range_nothing_changes(transform):
    images = batch()
    np.testing.assert_array_equal(transform(images, generator()), images)


def test_to_float_divides_by_255():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    floats = ToFloat()(levels)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats.ravel(), (np.arange(256) / 255).astype(np.float32))


def test_normalize_gives_mean_0_and_deviation_1():
    images = batch(20) * np.array([1, 2, 3], np.float32)[:, None, None]
    mean, std = images.mean(axis=(0, 2, 3)), images.std(axis=(0, 2, 3))
    normalized = Normalize(mean.tolist(), std.tolist())(images)
    np.testing.assert_allclose(normalized.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std(axis=(0, 2, 3)), 1, atol=1e-5)


def test_a_flip_mirrors_left_and_right_and_twice_is_the_identity():
    images = batch(width=5)
    flip = RandomHorizontalFlip(1)
    flipped = flip(images, generator())
    np.testing.assert_array_equal(flipped, images[:, :, :, ::-1])
    np.testing.assert_array_equal(flip(flipped, generator()), images)


def test_flips_come_with_their_probability():
    images = np.repeat(batch(1, 1, 1, 2), 4000, axis=0)
    for p in (0.5, 0.2):
        flipped = (RandomHorizontalFlip(p)(images, generator()) != images).any(axis=(1, 2, 3))
        assert abs(flipped.mean() - p) < 4 * (p * (1 - p) / 4000) ** 0.5


@given(st.integers(1, 7), st.integers(1, 8), st.integers(0, 3))
def test_a_crop_is_a_window_of_the_padded_image(height, width, padding):
    images = batch(5, 2, 7, 8)
    crops = RandomCrop((height, width), padding)(images, generator(height))
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    for crop, image in zip(crops, padded, strict=True):
        places = np.ndindex(7 + 2 * padding - height + 1, 8 + 2 * padding - width + 1)
        assert any(np.array_equal(crop, image[:, y : y + height, x : x + width]) for y, x in places)


def test_crops_reach_every_place():
    image = batch(1, 1, 4, 5)
    padded = np.pad(image[0, 0], 1)
    crops = RandomCrop((4, 5), padding=1)(np.repeat(image, 400, axis=0), generator())
    everywhere = {padded[y : y + 4, x : x + 5].tobytes() for y in range(3) for x in range(3)}
    assert {crop.tobytes() for crop in crops} == everywhere


def test_a_rotation_by_a_fixed_angle_is_counter_clockwise():
    images = batch(dtype=np.float64)
    turned = RandomRotation((90, 90))(images, generator())
    np.testing.assert_allclose(turned, np.rot90(images, axes=(2, 3)), atol=1e-12)
    clockwise = RandomAffine((90, 90))(images, generator())
    np.testing.assert_allclose(clockwise, np.rot90(images, -1, axes=(2, 3)), atol=1e-12)


def test_translations_are_by_whole_pixels_within_reach():
    images = np.repeat(batch(1, 1, 10, 8), 300, axis=0)
    shifted = RandomAffine(translate=(0.25, 0.1))(images, generator())
    padded = np.pad(images[0, 0], ((1, 1), (2, 2)))
    within = {padded[1 - y : 11 - y, 2 - x : 10 - x].tobytes() for y in range(-1, 2) for x in range(-2, 3)}
    assert {image.tobytes() for image in shifted} == within


def test_scaling_enlarges_by_a_factor_in_range():
    ramp = np.broadcast_to(np.linspace(-1, 1, 21), (200, 1, 21, 21))
    scaled = RandomAffine(scale=(1.5, 2))(ramp, generator())
    factors = ramp[:, 0, 10, 20] / scaled[:, 0, 10, 20]
    assert 1.5 <= factors.min() < 1.6
    assert 1.9 < factors.max() <= 2


def test_brightness_multiplies():
    images = batch(40) * 0.8
    brighter = ColorJitter(brightness=0.2)(images, generator())
    factors = brighter / images
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1, :1], factors.shape), rtol=1e-5)
    assert 0.8 <= factors.min() < 0.85
    assert 1.15 < factors.max() <= 1.2 + 1e-6


def test_contrast_stretches_about_the_mean_grey():
    images = batch(40, dtype=np.float64) * 0.5 + 0.25  # far enough from 0 and 1 that nothing is cut off
    stretched = ColorJitter(contrast=0.2)(images, generator())
    mean_grey = 0.2989 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]
    distance = images - mean_grey.mean(axis=(1, 2))[:, None, None, None]
    factors = (stretched - images) / distance + 1
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1, :1], factors.shape), rtol=1e-9)
    assert 0.8 <= factors.min() < 0.85
    assert 1.15 < factors.max() <= 1.2


def test_brightness_comes_first_and_what_it_cuts_off_stays_cut_off():
    images = batch()
    brightened = ColorJitter(brightness=1)(images, generator())
    assert (brightened == 1).any()
    together = ColorJitter(brightness=1, contrast=0.5)(images, generator())
    np.testing.assert_array_equal(together, ColorJitter(contrast=0.5)(brightened, generator()))


def test_jittered_pixels_stay_between_0_and_1():
    jittered = ColorJitter(3, 3)(batch(channels=1), generator())
    assert jittered.min() >= 0
    assert jittered.max() <= 1


@given(st.integers(0, 12), st.integers(1, 6), st.integers(1, 9))
def test_cutout_zeroes_a_clipped_square_and_nothing_else(size, height, width):
    images = batch(10, 2, height, width)
    for image, result in zip(images, Cutout(size)(images, generator(size)), strict=True):
        hole = (result == 0).all(axis=0)
        np.testing.assert_array_equal(result[:, ~hole], image[:, ~hole])
        assert any(np.array_equal(hole, square(height, width, size, y, x)) for y, x in np.ndindex(height, width))


def square(height, width, size, y, x):
    """True from size // 2 pixels before (y, x) on, for `size` pixels, as far as there are any."""
    hole = np.zeros((height, width), bool)
    hole[max(0, y - size // 2) : max(0, y - size // 2 + size), max(0, x - size // 2) : max(0, x - size // 2 + size)] = (
        True
    )
    return hole


def test_compose_applies_left_to_right_with_one_generator():
    images = batch()
    flip, crop = RandomHorizontalFlip(), RandomCrop(6)
    shared = generator(5)
    step_by_step = crop(flip(images, shared), shared)
    np.testing.assert_array_equal(Compose([flip, crop])(images, generator(5)), step_by_step)


BYTES = np.zeros((2, 3, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: ToFloat()(batch()), "ToFloat: images are float32, wanted uint8"),
        (lambda: Normalize([0.5], [0.2])(BYTES), r"Normalize: images are uint8, .* ToFloat\(\)"),
        (lambda: Normalize([0.5], [0.2])(batch()), "Normalize: images have 3 channels but mean and std are for 1"),
        (lambda: Normalize([0.5], [0]), "std above 0"),
        (lambda: Normalize([0.5, 0.5], [1]), "one of each"),
        (lambda: RandomHorizontalFlip(1.5), "p is 1.5; wanted a probability"),
        (lambda: RandomCrop(0), "RandomCrop: size is 0"),
        (lambda: RandomCrop(8, padding=-1), "padding -1"),
        (lambda: RandomCrop(11, padding=1)(batch(), generator()), "10×10 with their padding; wanted at least 11×11"),
        (lambda: RandomCrop(4)(BYTES[0], generator()), r"RandomCrop: images have the shape \(3, 8, 8\); wanted"),
        (lambda: RandomHorizontalFlip()(BYTES[0], generator()), "RandomHorizontalFlip: images have the shape"),
        (lambda: Cutout(4)(BYTES[0], generator()), "Cutout: images have the shape"),
        (lambda: ColorJitter(1)(batch()[0], generator()), "ColorJitter: images have the shape"),
        (lambda: RandomRotation(10)(BYTES, generator()), "RandomRotation: images are uint8"),
        (lambda: RandomAffine(10)(BYTES, generator()), "RandomAffine: images are uint8"),
        (lambda: RandomAffine(translate=(0, 2)), "translate is .0, 2."),
        (lambda: RandomAffine(scale=(0, 1)), "scale is .0, 1."),
        (lambda: ColorJitter(-1), "brightness is -1"),
        (lambda: ColorJitter(0.1)(BYTES, generator()), "ColorJitter: images are uint8"),
        (lambda: ColorJitter(0.1)(batch(channels=2), generator()), "2 channels; wanted 1"),
        (lambda: Cutout(-1), "Cutout: size is -1"),
    ],
)
def test_misuse_is_explained(use, message):
    with pytest.raises(ValueError, match=message):
        use()
