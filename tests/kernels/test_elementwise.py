"""Curves in tiles: their formulas, at the ends of the number line too, in any memory layout and tiling."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import elementwise
from tests.kernels.windows import LAYOUTS, layouts


def sigma(x):
    """The sigmoid."""
    return 1 / (1 + np.exp(-x))


CURVES = {  # value and slope
    "relu": (lambda x: np.where(x > 0, x, 0), lambda x: np.where(x > 0, 1, 0)),
    "sigmoid": (sigma, lambda x: sigma(x) * sigma(-x)),
    "silu": (lambda x: x * sigma(x), lambda x: sigma(x) * (1 + x * sigma(-x))),
    "hardswish": (
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        lambda x: np.where(x <= -3, 0, np.where(x >= 3, 1, (2 * x + 3) / 6)),
    ),
}
names = st.sampled_from(sorted(CURVES))
shapes = st.lists(st.integers(0, 4), max_size=5)
ROUNDING = {np.float32: 1e-6, np.float64: 1e-14}


def numbers(shape, dtype, seed):
    """Among them those where pieces meet, and others so far out that exponentials overflow, or nearly vanish."""
    rng = np.random.default_rng(seed)
    return np.where(
        rng.random(shape) < 0.3, rng.choice([-900, -90, -30, -3, 0, 3, 30, 90, 900], shape), rng.normal(size=shape)
    ).astype(dtype)


@given(
    names,
    shapes,
    layouts,
    layouts,
    st.sampled_from(sorted(ROUNDING, key=str)),
    st.sampled_from([1, 7, 1 << 15]),
    st.integers(0, 99),
)
@example("hardswish", [4, 4, 4, 4], "channel-major", "contiguous", np.float32, 7, 0)
@example("relu", [4, 4, 4, 4], "channel-major", "contiguous", np.float32, 7, 0)
@example("sigmoid", [4, 4, 4, 4], "channel-major", "contiguous", np.float32, 7, 0)
@example("silu", [4, 4, 4, 4], "channel-major", "contiguous", np.float32, 7, 0)
def test_a_curve_and_its_slope_are_its_formulas(name, shape, layout, layout_of_g, dtype, tile, seed):
    if len(shape) < 3:
        layout = layout_of_g = "contiguous"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elementwise, "TILE", tile)
        x = LAYOUTS[layout](numbers(shape, dtype, seed))
        g = LAYOUTS[layout_of_g](np.random.default_rng(seed).normal(size=shape).astype(dtype))
        arguments = [array.copy() for array in (x, g)]
        y, pull = getattr(elementwise, name)(x)
        (dx,) = pull(g, (True,))
    value, slope = CURVES[name]
    with np.errstate(over="ignore"):
        wide = arguments[0].astype(np.float64)
        wanted = value(wide), arguments[1] * slope(wide)
    for found, expected in zip((y, dx), wanted, strict=True):
        assert found.dtype == dtype
        assert found.shape == tuple(shape)
        np.testing.assert_allclose(found, expected, ROUNDING[dtype], ROUNDING[dtype])
    for array, before in zip((x, g), arguments, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("name", sorted(CURVES))
def test_the_result_lies_in_memory_as_the_argument(name):
    x = LAYOUTS["channel-major"](np.ones((3, 4, 5, 6), np.float32))
    y, pull = getattr(elementwise, name)(x)
    assert y.strides == pull(x, (True,))[0].strides == x.strides


@pytest.mark.parametrize("name", sorted(CURVES))
def test_nan_goes_through_a_curve(name):
    y, _ = getattr(elementwise, name)(np.array([np.nan, 1], np.float32))
    assert np.isnan(y).tolist() == [True, False]


def test_what_is_smallest_in_a_sigmoid_is_exact():
    x = np.array([-80, -40, 40, 80], np.float32)
    y, pull = elementwise.sigmoid(x)
    np.testing.assert_allclose(y[:2], np.exp(x[:2].astype(np.float64)), 1e-6)
    np.testing.assert_allclose(pull(np.ones_like(x), (True,))[0], np.exp(-abs(x.astype(np.float64))), 1e-6)
