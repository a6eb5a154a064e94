"""Resizing is PyTorch's, and keeps what it should."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.backend import module_named, to_backend
from minidl.data.resize import interpolation, resize
from minidl.data.transforms import Resize

lengths = st.integers(1, 20)


def images(*shape, dtype=np.float64):
    return np.random.default_rng(0).uniform(0, 1, shape).astype(dtype)


@pytest.mark.parametrize("antialias", [True, False])
@given(old=st.tuples(lengths, lengths), new=st.tuples(lengths, lengths))
def test_it_is_pytorchs(antialias, old, new):
    torch = pytest.importorskip("torch")
    if antialias:  # where a side is 1, PyTorch 2.13 repeats one row, whatever there is in the others
        old, new = (tuple(max(2, side) for side in sides) for sides in (old, new))
    x = images(2, 3, *old)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), new, mode="bilinear", align_corners=False, antialias=antialias
    )
    np.testing.assert_allclose(resize(x, new, antialias), expected.numpy(), rtol=1e-10, atol=1e-12)


def test_without_antialiasing_each_pixel_is_made_of_the_four_around_its_place():
    x = images(7, 4)
    got = resize(x, (3, 9), antialias=False)
    for i in range(3):
        for j in range(9):
            y, across = (np.clip((k + 0.5) * s - 0.5, 0, n - 1) for k, s, n in ((i, 7 / 3, 7), (j, 4 / 9, 4)))
            top, left = int(y), int(across)
            below, beside = min(top + 1, 6), min(left + 1, 3)
            v, u = y - top, across - left
            around = (1 - v) * (1 - u) * x[top, left] + (1 - v) * u * x[top, beside]
            around += v * (1 - u) * x[below, left] + v * u * x[below, beside]
            assert got[i, j] == pytest.approx(around, rel=1e-12)


@given(old=lengths, new=lengths, antialias=st.booleans())
def test_a_grey_image_stays_grey_and_mirror_images_mirror_images(old, new, antialias):
    matrix = interpolation(old, new, antialias)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_size_changes_no_bit_and_the_dtype_stays(dtype, backend):
    x = to_backend(images(2, 3, 5, 4, dtype=dtype), backend)
    same, other = resize(x, (5, 4)), resize(x, (7, 2))
    assert isinstance(other, module_named(backend).ndarray)
    assert (same.dtype, other.dtype, other.shape) == (dtype, dtype, (2, 3, 7, 2))
    assert bool((same == x).all())


@pytest.mark.parametrize(("old", "new"), [((20, 30), (10, 15)), ((30, 20), (15, 10)), ((7, 5), (14, 10))])
def test_one_number_is_the_shorter_side_and_the_longer_one_keeps_its_proportion(old, new):
    assert resize(images(1, 1, *old), min(new)).shape[2:] == new
    assert Resize(min(new))(images(1, 1, *old)).shape[2:] == new


def test_the_transform_resizes():
    x = images(2, 3, 6, 6, dtype=np.float32)
    np.testing.assert_array_equal(Resize((9, 3))(x), resize(x, (9, 3)))


@pytest.mark.parametrize(
    ("x", "size", "reason"),
    [
        (np.zeros((1, 1, 4, 4), np.uint8), 2, r"images are uint8 \(1, 1, 4, 4\); wanted floating point"),
        (np.zeros(4), 2, r"images are float64 \(4,\); wanted floating point, \(\.\.\., H, W\)"),
        (np.zeros((4, 4)), (0, 3), r"images are 4×4, size is \(0, 3\); wanted sides of at least 1"),
        (np.zeros((0, 4)), (2, 3), "images are 0×4"),
    ],
)
def test_what_cannot_be_resized_is_refused(x, size, reason):
    with pytest.raises(ValueError, match=f"resize: {reason}"):
        resize(x, size)
