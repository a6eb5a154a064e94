"""What a gradient owes: two numbers for each channel, added up, divided, and settled once."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import parallel as threads
from minidl.kernels.numpy.debt import Debt
from tests.kernels.windows import LAYOUTS, is_channel_major, layouts, whole_numbers

seeds = st.integers(0, 99)
SHAPE = (3, 4, 2, 5)


def debt(layout, dtype, seed):
    """One on four channels."""
    constant, slope = (whole_numbers(4, dtype, seed + k) for k in (1, 2))
    return Debt(LAYOUTS[layout](whole_numbers(SHAPE, dtype, seed)), constant, slope)


def wide(numbers):
    """A number for each channel, as it goes with a feature map."""
    return numbers.reshape(-1, 1, 1)


@given(layouts, layouts, st.sampled_from([np.float32, np.float64]), st.sampled_from([1, 70, 1000]), seeds)
@example("channel-major", "channel-major", np.float32, 70, 0)
@example("contiguous", "channel-major", np.float32, 70, 0)
def test_what_is_owed_is_subtracted_for_each_channel(layout, layout_of_g, dtype, rows, seed):
    owed, g = debt(layout, dtype, seed), LAYOUTS[layout_of_g](whole_numbers(SHAPE, dtype, seed + 3))
    arguments = [array.copy() for array in (*owed, g)]
    x, constant, slope, before = arguments
    expected = before - wide(constant) - wide(slope) * x
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "LONGEST", rows)
        settled = owed.settle(g, in_place=False)
        assert settled.dtype == dtype
        assert is_channel_major(settled)
        np.testing.assert_array_equal(settled, expected)
        for array, copy in zip((*owed, g), arguments, strict=True):
            np.testing.assert_array_equal(array, copy)
        again = owed.settle(g, in_place=True) if layout_of_g != "broadcast" else expected
    np.testing.assert_array_equal(again, expected)
    for array, copy in zip(owed, arguments[:3], strict=True):
        np.testing.assert_array_equal(array, copy)


def test_in_place_means_in_the_gradients_memory_where_that_is_channel_major():
    owed = debt("channel-major", np.float32, 0)
    for layout, shared in (("channel-major", True), ("contiguous", False)):
        g = LAYOUTS[layout](whole_numbers(SHAPE, np.float32, 3))
        assert np.shares_memory(owed.settle(g, in_place=True), g) is shared
        assert not np.shares_memory(owed.settle(g, in_place=False), g)


@given(seeds)
def test_two_debts_are_one_and_settled_at_once(seed):
    first, g = debt("channel-major", np.float64, seed), whole_numbers(SHAPE, np.float64, seed)
    second = debt("channel-major", np.float64, seed + 7)._replace(x=first.x)
    one_by_one = second.settle(first.settle(g, in_place=False), in_place=False)
    np.testing.assert_array_equal(first.plus(second).settle(g, in_place=False), one_by_one)
    assert first.plus(None) is first


@given(seeds, st.integers(0, 4), st.integers(0, 4))
def test_a_part_of_the_channels_owes_its_part(seed, one, other):
    owed, g = debt("channel-major", np.float64, seed), whole_numbers(SHAPE, np.float64, seed)
    part = slice(min(one, other), max(one, other))
    np.testing.assert_array_equal(owed.of(part).settle(g[:, part], True), owed.settle(g, False)[:, part])
