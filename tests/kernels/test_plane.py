"""Tiles of planes, and a kernel's elements as shifts along them: entry by entry, whatever the rows' length."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy.plane import Source, cut, planes
from minidl.kernels.numpy.product import Shifted
from tests.kernels.same import EVEN, FAR, HEIGHT_ONE, THREE, WIDTH_ONE, cases, geometry, positions, tiles_of
from tests.kernels.windows import LAYOUTS, layouts, seen, whole_numbers

seeds = st.integers(0, 99)


def shifts_and_tiles(case, pixels):
    """The shifts of a case, and the tiles that cover its planes."""
    N, _, *size = case.shape
    with pytest.MonkeyPatch.context() as patch:
        tiles_of(patch, pixels)
        tiles = cut(N, tuple(size), 1, 1)
    return Shifted(np.ones((1, 1, *case.kernel_size)), tuple(size), geometry(case)).shifts, tiles


@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 9), positions, st.integers(1, 99), st.integers(1, 99))
@example(3, 5, 7, 16, 1, 1)
def test_tiles_cover_every_pixel_once_in_order_and_are_whole_images_or_rows_of_one(n, h, w, pixels, numbers, work):
    with pytest.MonkeyPatch.context() as patch:
        tiles_of(patch, pixels)
        tiles = cut(n, (h, w), numbers, work)
    covered = [
        (image, pixel)
        for images, part in tiles
        for image in range(images.start, images.stop)
        for pixel in range(part.start, part.stop)
    ]
    assert sorted(covered) == list(itertools.product(range(n), range(h * w)))
    for tile in tiles:
        whole = tile.pixels == slice(0, h * w)
        assert whole or tile.shape[0] == 1
        assert tile.pixels.start % w == tile.pixels.stop % w == 0
        assert tile.positions <= max(pixels, w)


@given(cases(), layouts, positions, seeds)
@example(THREE, "channel-major", 8, 0)
@example(THREE, "contiguous", 40, 0)
@example(EVEN, "channel-major", 12, 0)
@example(EVEN, "channel-major", 90, 0)
@example(WIDTH_ONE, "channel-major", 2, 0)
@example(WIDTH_ONE, "channel-major", 90, 0)
@example(HEIGHT_ONE, "channel-major", 90, 0)
@example(FAR, "channel-major", 3, 0)
@example(FAR, "channel-major", 90, 0)
def test_unfolding_shows_what_every_pixel_sees(case, layout, pixels, seed):
    x = LAYOUTS[layout](whole_numbers(case.shape, np.float32, seed))
    N, _, H, W = case.shape
    expected = seen(x, case, outside=0).transpose(1, 2, 3, 0, 4, 5).reshape(-1, N, H * W)
    shifts, tiles = shifts_and_tiles(case, pixels)
    for tile in tiles:
        columns = shifts.unfold(Source(planes(x)), tile)
        assert columns.dtype == np.float32
        np.testing.assert_array_equal(columns, tile.matrix(expected))


@given(cases(), positions, seeds)
@example(THREE, 8, 0)
@example(THREE, 40, 0)
@example(EVEN, 12, 0)
@example(EVEN, 90, 0)
@example(WIDTH_ONE, 2, 0)
@example(WIDTH_ONE, 90, 0)
@example(HEIGHT_ONE, 90, 0)
@example(FAR, 3, 0)
@example(FAR, 90, 0)
def test_gathering_adds_up_the_product_of_each_element_at_the_pixel_it_sees(case, pixels, seed):
    N, O, H, W = case.shape  # noqa: E741
    I, J = case.kernel_size  # noqa: E741
    products = whole_numbers((I, J, O, N, H * W), np.float64, seed)
    expected = np.zeros((N, O, H, W))
    for i, j in np.ndindex(I, J):
        image = products[i, j].swapaxes(0, 1).reshape(N, O, H, W)
        expected += seen(image, case, outside=0)[:, :, i, j]
    shifts, tiles = shifts_and_tiles(case, pixels)
    for tile in tiles:
        width = shifts.lay_out(Source(products[0, 0]), tile).shape[1]
        laid = np.empty((O, I, J, width))
        for i, j in np.ndindex(I, J):
            laid[:, i, j] = shifts.lay_out(Source(products[i, j]), tile)
        out = np.full((O, *tile.shape), np.nan)
        shifts.gather(laid, tile, out)
        np.testing.assert_array_equal(out, tile.of(planes(expected)))


@given(layouts, seeds)
def test_planes_are_a_view_of_what_is_channel_major_in_memory(layout, seed):
    x = LAYOUTS[layout](whole_numbers((3, 2, 4, 5), np.float32, seed))
    flat = planes(x)
    np.testing.assert_array_equal(flat, x.swapaxes(0, 1).reshape(2, 3, 20))
    assert np.shares_memory(flat, x) or layout != "channel-major"
