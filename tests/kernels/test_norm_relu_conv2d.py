"""The pullback of a chain: it settles what its own gradient owes, and says what is left."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import channel_moments, norm_relu_conv2d
from minidl.kernels.numpy.debt import Debt
from tests.kernels.same import positions, tiles_of
from tests.kernels.windows import LAYOUTS

SHAPE = (3, 4, 5, 6)
layouts = st.sampled_from(sorted(LAYOUTS.keys() - {"broadcast"}))  # which changes what is laid out
kernels = st.sampled_from([(1, 1), (3, 3), (2, 3)])


def close(ours, theirs):
    """The same to rounding."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(1, np.abs(theirs).max()))


@given(
    kernels, st.sampled_from([2, 4, 6]), st.booleans(), st.booleans(), layouts, layouts, positions, st.integers(0, 99)
)
@example((3, 3), 2, True, True, "contiguous", "contiguous", 256, 0)
@example((3, 3), 6, True, True, "channel-major", "channel-major", 8, 0)
@example((1, 1), 6, False, True, "every other", "backwards", 12, 0)
def test_what_is_owed_is_taken_in(kernel, o, of_batch, mixed, layout, layout_of_g, pixels, seed):
    draw = np.random.default_rng(seed).standard_normal
    x, weight, bias, beta = LAYOUTS[layout_of_g](draw(SHAPE)), draw((o, 4, *kernel)), draw(o), draw(4)
    gamma = (0.5 + np.abs(draw(4))) * (np.sign(draw(4)) if mixed else 1)
    padding = tuple(((k - 1) // 2, k // 2) for k in kernel)
    with pytest.MonkeyPatch.context() as patch:
        tiles_of(patch, pixels)
        moments = channel_moments(x)
        y, pull = norm_relu_conv2d(
            x, gamma, beta, weight, bias, 1e-5, moments, of_batch, (1, 1), padding, (1, 1), groups=1
        )
        g = LAYOUTS[layout_of_g](draw(y.shape))
        (dx, *others), debt = pull(g, (True,) * 5, None)
        assert (debt is None) is not of_batch

        owed = Debt(LAYOUTS[layout](draw(y.shape)), draw(o), draw(o))
        owing = LAYOUTS[layout_of_g](g + owed.constant[:, None, None] + owed.slope[:, None, None] * owed.x)
        copies = owing.copy(), owed.x.copy()
        (dx_settled, *others_settled), debt_settled = pull(owing, (True,) * 5, owed)
        close(dx_settled, dx)
        np.testing.assert_array_equal(owing, copies[0])
        np.testing.assert_array_equal(owed.x, copies[1])
        frozen, _ = pull(g, (True, True, True, False, True), None)
    for part, settled in zip(others, others_settled, strict=True):
        close(settled, part)
    assert frozen[3] is None
    for part, alone in zip([dx, *others[:2], others[3]], [*frozen[:3], frozen[4]], strict=True):
        np.testing.assert_array_equal(alone, part)
    if of_batch:
        assert debt_settled.x is debt.x
        close(debt_settled.constant, debt.constant)
        close(debt_settled.slope, debt.slope)


@pytest.mark.parametrize("change", ["a stride", "groups", "no padding", "a scale of 0", "many weights"])
def test_it_declines_what_it_is_not_made_for(change):
    x, gamma = np.random.default_rng(0).standard_normal(SHAPE), np.ones(4)
    stride = (2, 2) if change == "a stride" else (1, 1)
    groups = 2 if change == "groups" else 1
    padding = ((0, 0), (0, 0)) if change == "no padding" else ((1, 1), (1, 1))
    gamma[2] = change != "a scale of 0"
    weight = np.ones((11 if change == "many weights" else 2, 4 // groups, 3, 3))
    settings = (stride, padding, (1, 1), groups)
    assert norm_relu_conv2d(x, gamma, None, weight, None, 1e-5, channel_moments(x), True, *settings) is None
