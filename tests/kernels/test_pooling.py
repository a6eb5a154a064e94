"""Pooling: the definition with its ties, NaN and infinities, gradients, memory, and PyTorch's pooling."""

import weakref

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import pooling
from tests.kernels.windows import (
    LAYOUTS,
    MANY_BLOCKS,
    ONE_WINDOW,
    Case,
    cases,
    is_channel_major,
    layouts,
    seen,
    whole_numbers,
)

dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
sums = cases(dilations=st.just(1))
values = st.sampled_from([(1, 2, 3), (-np.inf, 1, np.inf), (np.nan, -np.inf, 0, 1), (-np.inf, np.nan), (-np.inf,)])
LARGE_WINDOW = Case((2, 1, 20, 21), (17, 16), (2, 3), ((1, 0), (0, 2)), (1, 1))
ONLY_PADDING = Case((2, 1, 1, 2), (2, 1), (1, 1), ((2, 1), (3, 0)), (3, 1))


def entries_with_ties(shape, dtype, values, seed):
    """Few different numbers, so that most windows have several largest ones."""
    return np.random.default_rng(seed).choice(np.array(values, dtype), shape)


def winners(x, case):
    """(N, C, P, Q): the largest entry of each window and its place in the plane, -1 if all is padding."""
    N, C, H, W = x.shape
    places = seen(np.arange(H * W).reshape(1, 1, H, W), case, outside=-1)[0, 0]
    shape = (N, C, *case.output_size)
    largest, found = np.full(shape, -np.inf, x.dtype), np.full(shape, -1)
    planes = x.reshape(N, C, H * W)
    for n, c, p, q in np.ndindex(shape):
        for place in places[:, :, p, q].ravel():
            if place >= 0:
                value = planes[n, c, place]
                if found[n, c, p, q] < 0 or value > largest[n, c, p, q] or np.isnan(value):
                    largest[n, c, p, q], found[n, c, p, q] = value, place
    return largest, found


@given(cases(), values, layouts, dtypes, seeds)
@example(MANY_BLOCKS, (1, 2, 3), "contiguous", np.float32, 0)
@example(ONE_WINDOW, (1, 2, 3), "channel-major", np.float64, 0)
@example(LARGE_WINDOW, (1, 2, 3), "contiguous", np.float32, 0)
@example(LARGE_WINDOW, (np.nan, -np.inf), "contiguous", np.float32, 0)
@example(ONLY_PADDING, (-np.inf, 1), "contiguous", np.float32, 0)
def test_max_pool2d_finds_the_first_largest_entry_and_pulls_the_gradient_there(
    kernels, case, values, layout, dtype, seed
):
    x = LAYOUTS[layout](kernels.array(entries_with_ties(case.shape, dtype, values, seed)))
    before = kernels.numpy(x).copy()
    y, pull = kernels.max_pool2d(x, *case[1:], case.output_size)
    largest, found = winners(before, case)
    g = LAYOUTS[layout](kernels.array(whole_numbers(y.shape, dtype, seed)))
    (dx,) = pull(g, (True,))

    expected = np.zeros((*case.shape[:2], case.shape[2] * case.shape[3]), dtype)
    for index in np.ndindex(found.shape):
        if found[index] >= 0:
            expected[(*index[:2], found[index])] += kernels.numpy(g)[index]
    assert y.dtype == dx.dtype == dtype
    assert is_channel_major(y)
    assert is_channel_major(dx)
    np.testing.assert_array_equal(kernels.numpy(y), largest)
    np.testing.assert_array_equal(kernels.numpy(dx), expected.reshape(case.shape))
    np.testing.assert_array_equal(kernels.numpy(x), before)


@given(sums, layouts, dtypes, seeds)
@example(MANY_BLOCKS._replace(dilation=(1, 1)), "channel-major", np.float32, 0)
@example(LARGE_WINDOW, "contiguous", np.float32, 0)
def test_sum_pool2d_adds_what_every_window_sees(kernels, case, layout, dtype, seed):
    x = LAYOUTS[layout](kernels.array(whole_numbers(case.shape, dtype, seed)))
    before = kernels.numpy(x).copy()
    y, _ = kernels.sum_pool2d(x, *case[1:4], case.output_size)
    assert y.dtype == dtype
    assert is_channel_major(y)
    np.testing.assert_array_equal(kernels.numpy(y), seen(before, case, outside=0).sum(axis=(2, 3)))
    np.testing.assert_array_equal(kernels.numpy(x), before)


@given(sums, layouts, dtypes, seeds)
@example(MANY_BLOCKS._replace(dilation=(1, 1)), "channel-major", np.float32, 0)
def test_sum_pool2d_pulls_back_to_its_adjoint(kernels, case, layout, dtype, seed):
    x = whole_numbers(case.shape, dtype, seed)
    y, pull = kernels.sum_pool2d(kernels.array(x), *case[1:4], case.output_size)
    g = LAYOUTS[layout](kernels.array(whole_numbers(y.shape, dtype, seed + 1)))
    before = kernels.numpy(g).copy()
    (dx,) = pull(g, (True,))
    assert dx.dtype == dtype
    assert is_channel_major(dx)
    assert np.vdot(kernels.numpy(y), before) == np.vdot(x, kernels.numpy(dx))
    np.testing.assert_array_equal(kernels.numpy(g), before)


@given(cases(), values, st.booleans(), seeds)
def test_max_pool2d_agrees_with_pytorch(kernels, case, values, ceil_mode, seed):
    torch = pytest.importorskip("torch")
    reach = [d * (k - 1) + 1 for k, d in zip(case.kernel_size, case.dilation, strict=True)]
    pads = tuple(min(after, k // 2) for (_, after), k in zip(case.padding, case.kernel_size, strict=True))
    sizes = [max(size, span - 2 * pad) for size, span, pad in zip(case.shape[2:], reach, pads, strict=True)]
    x = entries_with_ties((2, 2, *sizes), np.float32, values, seed)
    theirs_x = torch.from_numpy(x).requires_grad_()
    theirs = torch.nn.functional.max_pool2d(
        theirs_x, case.kernel_size, case.stride, pads, case.dilation, ceil_mode=ceil_mode
    )
    ends = [
        (pad, max(pad, (count - 1) * stride + span - size - pad))
        for pad, count, stride, span, size in zip(pads, theirs.shape[2:], case.stride, reach, sizes, strict=True)
    ]
    case = case._replace(shape=x.shape, padding=tuple(ends))
    # Where a window sees only padding, PyTorch sends its gradient out of the input.
    assume((winners(x, case)[1] >= 0).all())
    y, pull = kernels.max_pool2d(kernels.array(x), *case[1:], tuple(theirs.shape[2:]))
    g = whole_numbers(y.shape, np.float32, seed)
    theirs.backward(torch.from_numpy(g))
    np.testing.assert_array_equal(kernels.numpy(y), theirs.detach().numpy())
    np.testing.assert_array_equal(kernels.numpy(pull(kernels.array(g), (True,))[0]), theirs_x.grad.numpy())


@given(sums, seeds)
def test_sum_pool2d_agrees_with_pytorch(kernels, case, seed):
    torch = pytest.importorskip("torch")
    pads = tuple(min(after, k // 2) for (_, after), k in zip(case.padding, case.kernel_size, strict=True))
    sizes = [max(size, k) for size, k in zip(case.shape[2:], case.kernel_size, strict=True)]
    case = case._replace(shape=(2, 2, *sizes), padding=tuple((pad, pad) for pad in pads))
    x = whole_numbers(case.shape, np.float32, seed)
    theirs_x = torch.from_numpy(x).requires_grad_()
    theirs = torch.nn.functional.avg_pool2d(theirs_x, case.kernel_size, case.stride, pads, divisor_override=1)
    y, pull = kernels.sum_pool2d(kernels.array(x), *case[1:4], case.output_size)
    g = whole_numbers(y.shape, np.float32, seed)
    theirs.backward(torch.from_numpy(g))
    np.testing.assert_array_equal(kernels.numpy(y), theirs.detach().numpy())
    np.testing.assert_array_equal(kernels.numpy(pull(kernels.array(g), (True,))[0]), theirs_x.grad.numpy())


def test_the_pullbacks_do_not_keep_the_input_alive(kernels):
    x = kernels.array(np.ones((2, 2, 4, 4), np.float32))
    kept = weakref.ref(x)
    settings = (2, 2), (2, 2), ((0, 0), (0, 0))
    pulls = [kernels.max_pool2d(x, *settings, (1, 1), (2, 2))[1], kernels.sum_pool2d(x, *settings, (2, 2))[1]]
    del x
    assert kept() is None
    assert len(pulls) == 2


@pytest.mark.parametrize("tile", [1, 5000, 12000])
def test_tiles_of_any_size_give_the_same_maxima(monkeypatch, tile):
    monkeypatch.setattr(pooling, "TILE", tile)
    x = entries_with_ties(MANY_BLOCKS.shape, np.float32, (1, 2, np.nan), 0)
    y, pull = pooling.max_pool2d(x, *MANY_BLOCKS[1:], MANY_BLOCKS.output_size)
    largest, found = winners(x, MANY_BLOCKS)
    np.testing.assert_array_equal(y, largest)
    (dx,) = pull(np.ones_like(y), (True,))
    counts = [np.bincount(plane.ravel(), minlength=37 * 41) for plane in found.reshape(15, -1)]
    np.testing.assert_array_equal(dx.reshape(15, -1), counts)
