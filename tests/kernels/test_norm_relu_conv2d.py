"""The kernel of a chain: gradients that are not wanted change nothing of the others, and what it declines."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import channel_moments, norm_relu_conv2d
from tests.kernels.same import positions, tiles_of
from tests.kernels.windows import LAYOUTS

SHAPE = (3, 4, 5, 6)
layouts = st.sampled_from(sorted(LAYOUTS.keys() - {"broadcast"}))  # which changes what is laid out
kernels = st.sampled_from([(1, 1), (3, 3), (2, 3)])


@given(
    kernels, st.sampled_from([2, 4, 6]), st.booleans(), st.booleans(), layouts, layouts, positions, st.integers(0, 99)
)
@example((3, 3), 2, True, True, "contiguous", "contiguous", 256, 0)
@example((3, 3), 6, True, True, "channel-major", "channel-major", 8, 0)
@example((1, 1), 6, False, True, "every other", "backwards", 12, 0)
def test_frozen_weights_and_inputs_change_nothing_else(kernel, o, of_batch, mixed, layout, layout_of_g, pixels, seed):
    draw = np.random.default_rng(seed).standard_normal
    x, weight, bias, beta = LAYOUTS[layout](draw(SHAPE)), draw((o, 4, *kernel)), draw(o), draw(4)
    gamma = (0.5 + np.abs(draw(4))) * (np.sign(draw(4)) if mixed else 1)
    padding = tuple(((k - 1) // 2, k // 2) for k in kernel)
    with pytest.MonkeyPatch.context() as patch:
        tiles_of(patch, pixels)
        moments = channel_moments(x)
        y, pull = norm_relu_conv2d(
            x, gamma, beta, weight, bias, 1e-5, moments, of_batch, (1, 1), padding, (1, 1), groups=1
        )
        g = LAYOUTS[layout_of_g](draw(y.shape))
        copies = g.copy(), x.copy()
        dx, dgamma, dbeta, dweight, dbias = pull(g, (True,) * 5)
        frozen = pull(g, (True, True, True, False, False))
        alone = pull(g, (False, True, True, True, True))
    np.testing.assert_array_equal(g, copies[0])
    np.testing.assert_array_equal(x, copies[1])
    assert alone[0] is frozen[3] is frozen[4] is None
    for ours, theirs in zip(frozen[:3], [dx, dgamma, dbeta], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(alone[1:], [dgamma, dbeta, dweight, dbias], strict=True):
        np.testing.assert_array_equal(ours, theirs)


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
