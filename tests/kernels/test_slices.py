"""Lengths cut into slices: everything once, in order, none too long."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.common.slices import evenly, slices, tiles

counts, sizes = st.integers(0, 40), st.integers(1, 12)


@pytest.mark.parametrize("cut", [slices, evenly, lambda count, most: tiles(count, 3, 3 * most + 2)])
@given(counts, sizes)
@example(0, 5)
@example(10, 4)
def test_slices_are_everything_once_and_none_is_too_long(cut, count, most):
    parts = cut(count, most)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
    assert all(0 < part.stop - part.start <= most for part in parts)
    assert len(parts) == -(-count // most)


@given(counts, sizes)
def test_even_slices_are_of_about_one_length(count, most):
    lengths = [part.stop - part.start for part in evenly(count, most)]
    assert len(set(lengths[:-1])) <= 1
    assert not lengths or lengths[0] - lengths[-1] < len(lengths)


def test_a_tile_has_one_at_least():
    assert tiles(3, 100, 10) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert tiles(3, 0, 10) == [slice(0, 3)]
