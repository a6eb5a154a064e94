"""Convolution with strides: the definition, exactly, whatever the strides leave out and however work is cut."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import minidl
from minidl.kernels.common.convolution import Geometry
from minidl.kernels.numpy import conv2d
from minidl.kernels.numpy.strided import conv2d_with_strides
from minidl.nn import functional as F
from tests.kernels.same import definition, positions, tiles_of
from tests.kernels.windows import LAYOUTS, Case, cases, is_channel_major, layouts, whole_numbers

seeds = st.integers(0, 99)
LAST_LEFT_OUT = Case((2, 3, 8, 8), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1))
STRIDE_BEYOND_KERNEL = Case((3, 2, 9, 7), (2, 2), (4, 3), ((1, 0), (0, 2)), (1, 1))
STEM = Case((2, 3, 16, 15), (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1))
DILATED = Case((2, 2, 11, 12), (3, 3), (2, 3), ((2, 2), (2, 2)), (2, 2))
ONE_COLUMN = Case((2, 2, 5, 1), (3, 3), (2, 3), ((1, 1), (2, 2)), (1, 1))
BELOW = Case((2, 2, 3, 3), (1, 1), (2, 2), ((0, 8), (0, 0)), (1, 1))
ROWS_APART = Case((2, 2, 8, 3), (1, 1), (5, 1), ((2, 0), (0, 0)), (1, 1))
NOTHING_SEEN = Case((2, 2, 1, 1), (1, 1), (5, 5), ((3, 3), (3, 3)), (1, 1))


def unwritten(shape, dtype=float):
    """An empty array in which it shows what nobody has written."""
    array = np.zeros(shape, dtype)
    if array.dtype.kind == "f":
        array += np.nan
    return array


def by_group(case, outputs, groups, seed, layout="contiguous"):
    """Numbers for x, the weights and g, and y, dx and dW by definition, group by group."""
    n, c, *size = case.shape
    x = LAYOUTS[layout](whole_numbers((n, c * groups, *size), np.float64, seed))
    weight = whole_numbers((outputs * groups, c, *case.kernel_size), np.float64, seed + 1)
    g = LAYOUTS[layout](whole_numbers((n, outputs * groups, *case.output_size), np.float64, seed + 2))
    parts = [
        definition(x[:, k * c : (k + 1) * c], weight[rows], g[:, rows], case)
        for k in range(groups)
        for rows in [slice(k * outputs, (k + 1) * outputs)]
    ]
    y, dx, dweight = zip(*parts, strict=True)
    return (x, weight, g), (np.concatenate(y, axis=1), np.concatenate(dx, axis=1), np.concatenate(dweight))


@given(cases(), st.integers(1, 3), st.integers(1, 3), layouts, positions, seeds)
@example(LAST_LEFT_OUT, 2, 1, "channel-major", 7, 0)
@example(STRIDE_BEYOND_KERNEL, 2, 2, "contiguous", 7, 0)
@example(STEM, 3, 1, "channel-major", 16, 0)
@example(STEM, 3, 1, "every other", 1000, 0)
@example(DILATED, 2, 3, "backwards", 7, 0)
@example(ONE_COLUMN, 2, 1, "channel-major", 1, 0)
@example(NOTHING_SEEN, 2, 1, "channel-major", 1000, 0)
@example(STEM, 3, 1, "channel-major", 1, 0)  # tiles of one row each, and rows that several of them see
@example(BELOW, 2, 1, "channel-major", 4, 0)
@example(ROWS_APART, 2, 1, "channel-major", 1, 0)
def test_it_is_the_definition(case, outputs, groups, layout, pixels, seed):
    assume(case.shape[0] > 0)
    (x, weight, g), wanted = by_group(case, outputs, groups, seed, layout)
    arguments = [array.copy() for array in (x, weight, g)]
    bias = whole_numbers((len(weight),), np.float64, seed + 3)
    geometry = Geometry(case.kernel_size, case.stride, case.padding, case.dilation)
    with pytest.MonkeyPatch.context() as patch:
        tiles_of(patch, pixels)
        patch.setattr(np, "empty", unwritten)
        y, pull = conv2d_with_strides(x, weight, bias, geometry, groups)
        dx, dweight, dbias = pull(g, (True, True, True))
        assert [part is None for part in pull(g, (False, False, False))] == [True] * 3
        np.testing.assert_array_equal(pull(g, (True, False, False))[0], dx)
        np.testing.assert_array_equal(pull(g, (False, True, False))[1], dweight)
    assert dbias is None  # which `conv2d` adds
    for ours, theirs in zip((y - bias[:, None, None], dx, dweight), wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for array, before in zip((x, weight, g), arguments, strict=True):
        np.testing.assert_array_equal(array, before)
    assert is_channel_major(y)
    assert is_channel_major(dx)


@pytest.mark.parametrize("groups", [1, 2])
def test_the_convolution_takes_this_way(monkeypatch, groups):
    taken = []

    def spy(*args):
        taken.append(args)
        return conv2d_with_strides(*args)

    monkeypatch.setitem(conv2d.__globals__, "conv2d_with_strides", spy)
    (x, weight, g), wanted = by_group(STEM, 4, groups, 0)
    bias = whole_numbers((len(weight),), np.float64, 3)
    y, pull = conv2d(x, weight, bias, STEM.stride, STEM.padding, STEM.dilation, groups)
    for ours, theirs in zip((y - bias[:, None, None], *pull(g, (True, True, False))), (*wanted, None), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(pull(g, (False, False, True))[2], g.sum(axis=(0, 2, 3)))
    assert taken


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("c", "o"), [(3, 0), (0, 3)])
def test_a_convolution_from_or_to_no_channels_is_left_to_its_definition(stride, c, o):
    x, weight = minidl.ones(2, c, 5, 5).requires_grad_(), minidl.ones(o, c, 3, 3).requires_grad_()
    y = F.conv2d(x, weight, stride=stride, padding=1)
    y.sum().backward()
    np.testing.assert_array_equal(y.data, np.zeros((2, o, -(-5 // stride), -(-5 // stride))))
    np.testing.assert_array_equal(x.grad.data, np.zeros((2, c, 5, 5)))
    assert weight.grad.shape == (o, c, 3, 3)
