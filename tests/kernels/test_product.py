"""Convolution by products, in every way that there is: the definition, exactly, in any tiling and memory layout."""

from functools import partial

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import channel_moments, norm_relu_conv2d, plane, winograd
from minidl.kernels.numpy.convolution import conv2d, product_for
from minidl.kernels.numpy.plane import Source, Tile, planes
from minidl.kernels.numpy.product import Pointwise, Shifted
from minidl.kernels.numpy.winograd import Winograd
from tests.kernels.same import (
    EVEN,
    FAR,
    HEIGHT_ONE,
    POINT,
    THREE,
    WIDTH_ONE,
    axes,
    cases,
    definition,
    geometry,
    positions,
    tiles_of,
)
from tests.kernels.windows import LAYOUTS, Case, is_channel_major, layouts, whole_numbers

dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 99)
EVEN_SIZES = Case((5, 3, 4, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))


def check(make, case, outputs, layout, pixels, dtype, seed):
    """Hold the tiles of y and of both gradients to the definition; whole numbers, so exact."""
    (N, C, H, W), O = case.shape, outputs  # noqa: E741
    weight = whole_numbers((O, C, *case.kernel_size), dtype, seed)
    x = LAYOUTS[layout](whole_numbers(case.shape, dtype, seed + 1))
    g = LAYOUTS[layout](whole_numbers((N, O, H, W), dtype, seed + 2))
    arguments = [array.copy() for array in (x, weight, g)]
    source, upstream = Source(planes(x)), Source(planes(g))
    y, dx = np.full((O, N, H * W), np.nan, dtype), np.full((C, N, H * W), np.nan, dtype)
    parts = []
    with pytest.MonkeyPatch.context() as patch:
        tiles_of(patch, pixels)
        way = make(weight, (H, W), geometry(case))
        for tile in way.tiles(N):
            way.forward(source, tile, slice(0, len(y)), y)
            back = partial(way.backward, g=upstream, tile=tile, inputs=slice(0, C))
            parts.append(back(source.matrix(tile), dx=tile.matrix(dx)))
            assert back(None, dx=tile.matrix(dx)) is None
            np.testing.assert_array_equal(back(source.matrix(tile), dx=None), parts[-1])
        dweight = way.gradient(parts)
    found = [*(array.reshape(-1, N, H, W).swapaxes(0, 1) for array in (y, dx)), dweight]
    for ours, wanted in zip(found, definition(*arguments, case), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, wanted)
    for array, before in zip((x, weight, g), arguments, strict=True):
        np.testing.assert_array_equal(array, before)


@given(cases(), st.integers(1, 5), layouts, positions, dtypes, seeds)
@example(THREE, 3, "channel-major", 8, np.float32, 0)
@example(THREE, 1, "channel-major", 8, np.float32, 0)
@example(THREE, 1, "contiguous", 40, np.float64, 0)
@example(EVEN, 2, "channel-major", 12, np.float64, 0)
@example(EVEN, 4, "every other", 12, np.float64, 0)
@example(EVEN, 2, "channel-major", 60, np.float64, 0)
@example(WIDTH_ONE, 2, "channel-major", 2, np.float64, 0)
@example(HEIGHT_ONE, 2, "channel-major", 90, np.float64, 0)
@example(FAR, 1, "backwards", 90, np.float64, 0)
def test_shifts_multiply_what_every_pixel_sees(case, outputs, layout, pixels, dtype, seed):
    check(Shifted, case, outputs, layout, pixels, dtype, seed)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), layouts, positions, dtypes, seeds)
@example(3, 2, 5, "channel-major", 8, np.float32, 0)
def test_a_pixel_by_itself_is_multiplied(n, c, outputs, layout, pixels, dtype, seed):
    case = POINT._replace(shape=(n, c, *POINT.shape[2:]))
    check(lambda weight, size, geometry: Pointwise(weight, size), case, outputs, layout, pixels, dtype, seed)


@st.composite
def three_rows(draw):
    """Images of even height, and kernels of three rows."""
    width, columns, before_and_after, dilation = draw(axes())
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 3)), 2 * draw(st.integers(1, 4)), width
    return Case(shape, (3, columns), (1, 1), ((1, 1), before_and_after), (1, dilation))


@given(three_rows(), st.integers(1, 5), layouts, positions, seeds)
@example(EVEN_SIZES, 4, "channel-major", 60, 0)
@example(EVEN_SIZES, 2, "contiguous", 12, 0)
@example(EVEN_SIZES, 2, "every other", 24, 0)
@example(EVEN_SIZES._replace(shape=(2, 3, 8, 5)), 2, "channel-major", 12, 0)
@example(Case((2, 2, 6, 7), (3, 2), (1, 1), ((1, 1), (0, 2)), (1, 2)), 3, "channel-major", 1, 0)
def test_winograds_products_make_the_same(case, outputs, layout, pixels, seed):
    check(Winograd, case, outputs, layout, pixels, np.float64, seed)  # in which halves are exact


@pytest.mark.parametrize(
    ("shape", "outputs", "kernel", "settings", "way"),
    [
        ((8, 64, 16, 16), 64, (1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1), Pointwise),
        ((8, 4, 16, 16), 64, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), Shifted),
        ((8, 64, 16, 16), 64, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), Winograd),
        ((8, 64, 16, 16), 64, (3, 2), ((1, 1), ((1, 1), (1, 0)), (1, 1), 1), Winograd),
        ((8, 64, 16, 16), 64, (3, 3), ((1, 1), ((1, 1), (0, 2)), (1, 1), 1), Winograd),
        ((8, 64, 16, 16), 64, (3, 3), ((1, 1), ((1, 1), (2, 2)), (1, 2), 1), Winograd),
        ((8, 64, 16, 15), 32, (3, 5), ((1, 1), ((1, 1), (4, 4)), (1, 2), 1), Winograd),
        ((8, 12, 16, 16), 64, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), Shifted),
        ((2, 64, 8, 8), 64, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), Shifted),
        ((8, 16, 16, 16), 16, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), Shifted),
        ((4, 96, 8, 8), 96, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), Shifted),
        ((8, 64, 16, 16), 64, (5, 3), ((1, 1), ((2, 2), (1, 1)), (1, 1), 1), Shifted),
        ((8, 64, 15, 16), 64, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), Shifted),
        ((8, 64, 16, 16), 64, (3, 3), ((1, 1), ((2, 2), (2, 2)), (2, 2), 1), Shifted),
        ((8, 64, 16, 16), 64, (3, 3), ((1, 1), ((0, 2), (1, 1)), (1, 1), 1), Shifted),
        ((8, 64, 16, 16), 64, (3, 3), ((2, 2), ((1, 1), (1, 1)), (1, 1), 1), None),
        ((8, 64, 16, 16), 64, (3, 3), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1), None),
        ((8, 64, 16, 16), 64, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 2), None),
        ((0, 64, 16, 16), 64, (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), None),
    ],
)
def test_each_case_has_its_way_and_each_way_computes_the_same(shape, outputs, kernel, settings, way):
    stride, padding, dilation, groups = settings
    x = whole_numbers(shape, np.float64, 0)
    weight = whole_numbers((outputs, shape[1] // groups, *kernel), np.float64, 1)
    case = Case(shape, kernel, stride, padding, dilation)
    assert type(product_for(x, weight, geometry(case), groups)) is (way or type(None))
    bias = whole_numbers((outputs,), np.float64, 2)
    y, pull = conv2d(x, weight, bias, *settings)
    g = whole_numbers(y.shape, np.float64, 3)
    found = (y, *pull(g, (True, True, True)))
    share, made = shape[1] // groups, outputs // groups
    whole = np.zeros((outputs, shape[1], *kernel))  # one group, with zeros where others do not see
    for k in range(groups):
        whole[k * made : (k + 1) * made, k * share : (k + 1) * share] = weight[k * made : (k + 1) * made]
    value, dx, dwhole = definition(x, whole, g, case)
    dweight = [dwhole[k * made : (k + 1) * made, k * share : (k + 1) * share] for k in range(groups)]
    wanted = (value + bias[:, None, None], dx, np.concatenate(dweight), g.sum((0, 2, 3)))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for k in range(3):  # one gradient alone
        alone = pull(g, [k == other for other in range(3)])
        assert [part is None for part in alone] == [k != other for other in range(3)]
        np.testing.assert_array_equal(alone[k], wanted[1 + k])
    assert is_channel_major(found[0])
    assert is_channel_major(found[1])


@pytest.mark.parametrize("layout", ["pixels apart", "one channel for all"])
@pytest.mark.parametrize(("outputs", "k", "way"), [(16, 3, Winograd), (20, 1, Pointwise), (8, 5, Shifted)])
def test_pixels_may_lie_anywhere(monkeypatch, layout, outputs, k, way):
    monkeypatch.setattr(winograd, "WORK", 1)
    monkeypatch.setattr(winograd, "POSITIONS", 1)
    x = whole_numbers((1, 16, 16, 28), np.float64, 0)[..., ::2]
    x = x if layout == "pixels apart" else np.broadcast_to(x[:, :1], x.shape)
    weight = whole_numbers((outputs, 16, k, k), np.float64, 1)
    case = Case(x.shape, (k, k), (1, 1), ((k // 2, k // 2), (k // 2, k // 2)), (1, 1))
    assert type(product_for(x, weight, geometry(case), 1)) is way
    y, pull = conv2d(x, weight, None, (1, 1), case.padding, (1, 1), 1)
    g = whole_numbers(y.shape, np.float64, 2)
    for ours, theirs in zip((y, *pull(g, (True, True, False))), (*definition(x, weight, g, case), None), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    settings = (None, None, weight, None, 1.0, channel_moments(x), True, (1, 1), case.padding, (1, 1), 1)
    (y, pull), (value, exact) = norm_relu_conv2d(x, *settings), norm_relu_conv2d(x.copy(), *settings)
    np.testing.assert_allclose(y, value, rtol=0, atol=1e-9)
    wanted = (True, False, False, True, False)
    np.testing.assert_allclose(pull(g, wanted)[0], exact(g, wanted)[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "outputs", "kernel", "way"),
    [
        ((1, 5, 4, 4), 11, (1, 1), Pointwise),
        ((1, 5, 4, 4), 11, (3, 3), Shifted),
        ((1, 12, 4, 4), 11, (3, 3), Shifted),
        ((2, 64, 16, 16), 70, (3, 3), Winograd),
    ],
)
def test_the_channels_of_a_single_tile_are_shared_out_if_that_is_much_work(monkeypatch, shape, outputs, kernel, way):
    pad = kernel[0] // 2
    case = Case(shape, kernel, (1, 1), ((pad, pad), (pad, pad)), (1, 1))
    x, weight = whole_numbers(shape, np.float64, 0), whole_numbers((outputs, shape[1], *kernel), np.float64, 1)
    bias = whole_numbers((outputs,), np.float64, 2)
    product = product_for(x, weight, geometry(case), 1)
    assert type(product) is way
    monkeypatch.setattr(type(product), "tiles", lambda self, n: [Tile(slice(0, n), slice(0, shape[2] * shape[3]))])
    for work, parts in ((10**9, 1), (1, 8)):
        monkeypatch.setattr(plane, "WORK", work)
        shared = plane.share(product.tiles(shape[0]), outputs, product.kernel.size)
        assert len(shared) in (parts, parts - 2)  # 11 are six times two, the last time one
        y, pull = conv2d(x, weight, bias, (1, 1), case.padding, (1, 1), 1)
        g = whole_numbers(y.shape, np.float64, 3)
        wanted = definition(x, weight, g, case)
        np.testing.assert_array_equal(y, wanted[0] + bias[:, None, None])
        for ours, theirs in zip(pull(g, (True, True, False)), (*wanted[1:], None), strict=True):
            np.testing.assert_array_equal(ours, theirs)
