"""The gradients of a convolution with strides by phases: the definition, exactly, over any at stride 1."""

from functools import partial

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.common.convolution import Geometry
from minidl.kernels.numpy import conv2d
from minidl.kernels.numpy import parallel as threads
from minidl.kernels.numpy.convolution import conv2d_gradients
from minidl.kernels.numpy.strided import has_phases, phases, pull_by_phases
from tests.kernels.same import definition
from tests.kernels.windows import LAYOUTS, Case, is_channel_major, layouts, whole_numbers

seeds = st.integers(0, 99)


@st.composite
def axes(draw):
    """Size, kernel, stride and padding along one axis, such that there is a result for every `stride` pixels."""
    size, kernel, stride = draw(st.integers(1, 9)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    results = -(-size // stride)
    most = results * stride - 1 - size + kernel  # padding on both sides
    before = draw(st.integers(0, most))
    after = draw(st.integers(max(0, most - before - stride + 1), most - before))
    return size, kernel, stride, (before, after)


def by_definition(x, weight, padding, g, wanted):
    """What `pull_by_phases` calls, without a kernel: at stride 1, one group, no bias."""
    case = Case(x.shape, weight.shape[2:], (1, 1), padding, (1, 1))
    _, dx, dweight = definition(x, weight, g, case)
    return dx if wanted[0] else None, dweight if wanted[1] else None, None


def check(pull_of, case, outputs, layout, seed):
    """Hold both gradients to the definition."""
    weight = whole_numbers((outputs, case.shape[1], *case.kernel_size), np.float64, seed)
    x = LAYOUTS[layout](whole_numbers(case.shape, np.float64, seed + 1))
    pull = pull_of(x, weight)
    g = LAYOUTS[layout](whole_numbers((len(x), outputs, *case.output_size), np.float64, seed + 2))
    arguments = [array.copy() for array in (x, weight, g)]
    dx, dweight, dbias = pull(g, (True, True, False))
    for ours, wanted in zip((dx, dweight), definition(*arguments, case)[1:], strict=True):
        np.testing.assert_array_equal(ours, wanted)
    assert dbias is None
    for array, before in zip((x, weight, g), arguments, strict=True):
        np.testing.assert_array_equal(array, before)
    assert [part is None for part in pull(g, (False, True, False))] == [True, False, True]
    assert is_channel_major(dx)


@pytest.mark.parametrize("gradients", [by_definition, conv2d_gradients])
@given(axes(), axes(), st.integers(1, 3), st.integers(1, 3), layouts, st.sampled_from([1, 40, 1 << 17]), seeds)
@example((8, 3, 2, (1, 1)), (8, 3, 2, (1, 1)), 2, 2, "channel-major", 1, 0)
@example((7, 3, 2, (1, 1)), (8, 3, 2, (1, 1)), 2, 2, "contiguous", 40, 0)
@example((8, 1, 2, (0, 0)), (7, 1, 2, (0, 0)), 2, 2, "channel-major", 40, 0)
@example((9, 7, 2, (3, 3)), (9, 2, 3, (0, 0)), 2, 2, "every other", 40, 0)
@example((7, 1, 3, (1, 1)), (7, 1, 3, (1, 1)), 2, 2, "contiguous", 40, 0)
@example((5, 3, 3, (2, 0)), (6, 5, 4, (1, 2)), 1, 1, "backwards", 40, 0)
def test_the_phases_are_all_there_is(gradients, down, across, c, outputs, layout, rows, seed):
    size, kernel, stride, padding = zip(down, across, strict=True)
    case = Case((2, c, *size), kernel, stride, padding, (1, 1))
    geometry = Geometry(kernel, stride, padding, (1, 1))
    assert has_phases(np.zeros(case.shape), geometry, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "LONGEST", rows)
        check(lambda *args: partial(pull_by_phases, gradients, *args, geometry), case, outputs, layout, seed)


@pytest.mark.parametrize("layout", ["contiguous", "channel-major"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        ((16, 16), (3, 3), (2, 2), ((1, 1), (1, 1))),
        ((15, 16), (3, 3), (2, 2), ((1, 1), (1, 1))),
        ((16, 16), (1, 1), (2, 2), ((0, 0), (0, 0))),
        ((32, 31), (7, 7), (2, 2), ((3, 3), (3, 3))),
        ((16, 16), (4, 4), (4, 4), ((0, 0), (0, 0))),
    ],
)
def test_the_convolution_takes_this_way_and_is_right(monkeypatch, layout, size, kernel, stride, padding):
    case, taken = Case((3, 9, *size), kernel, stride, padding, (1, 1)), []

    def spy(*args):
        taken.append(args)
        return pull_by_phases(*args)

    monkeypatch.setitem(conv2d.__globals__, "pull_by_phases", spy)
    check(lambda x, weight: conv2d(x, weight, None, stride, padding, (1, 1), 1)[1], case, 5, layout, 0)
    assert taken


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 6))
def test_each_element_of_a_kernel_is_in_one_phase_and_sees_what_it_saw(kernel, stride, before):
    seen = []
    for rest, first, padding in phases(kernel, stride, before):
        elements = range(first, kernel, stride)
        assert sum(padding) == len(elements) - 1
        for k, element in enumerate(elements):
            seen.append(element)
            assert stride * (k - padding[0]) + rest == element - before  # the row of x, for the first result
    assert sorted(seen) == list(range(kernel))
