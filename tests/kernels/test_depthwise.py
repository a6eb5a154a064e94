"""Depthwise convolution by banded products: the definition, entry by entry, in any shape, memory layout and tiling."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.kernels.numpy import depthwise as module
from minidl.kernels.numpy import parallel as threads
from minidl.kernels.numpy.depthwise import depthwise
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
WIDE = Case((2, 2, 5, 37), (3, 5), (1, 1), ((1, 1), (2, 2)), (1, 1))
STRIDED = Case((3, 2, 9, 34), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
MANY_SMALL = Case((40, 3, 4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))


def expected(x, weight, g, case):
    """y, dx and dweight by the definition; whole numbers, so exact."""
    columns = seen(x, case, outside=0)
    N, C, H, W = x.shape
    places = seen(np.arange(H * W).reshape(1, 1, H, W), case, outside=-1)[0, 0]
    y = np.einsum("cij,ncijpq->ncpq", weight[:, 0], columns)
    dweight = np.einsum("ncpq,ncijpq->cij", g, columns)[:, None]
    dx = np.zeros((N, C, H * W), x.dtype)
    for i, j, p, q in np.ndindex(places.shape):
        if places[i, j, p, q] >= 0:
            dx[:, :, places[i, j, p, q]] += weight[:, 0, i, j] * g[:, :, p, q]
    return y, dx.reshape(x.shape), dweight


def check(case, layout, dtype, seed):
    """Hold value and both gradients to the definition."""
    weight = whole_numbers((case.shape[1], 1, *case.kernel_size), dtype, seed)
    x = LAYOUTS[layout](whole_numbers(case.shape, dtype, seed + 1))
    y, pull = depthwise(x, weight, *case[2:])
    g = LAYOUTS[layout](whole_numbers(y.shape, dtype, seed + 2))
    arguments = [array.copy() for array in (x, weight, g)]
    results = (y, *pull(g, (True, True)))
    for found, wanted in zip(results, expected(*arguments, case), strict=True):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, wanted)
    assert is_channel_major(results[0])
    assert is_channel_major(results[1])
    for array, before in zip((x, weight, g), arguments, strict=True):
        np.testing.assert_array_equal(array, before)


@given(cases(), layouts, dtypes, seeds)
@example(MANY_BLOCKS, "contiguous", np.float32, 0)
@example(MANY_BLOCKS, "every other", np.float64, 0)
@example(ONE_WINDOW, "channel-major", np.float32, 0)
@example(WIDE, "channel-major", np.float32, 0)
@example(STRIDED, "channel-major", np.float32, 0)
@example(MANY_SMALL, "channel-major", np.float32, 0)
def test_depthwise_multiplies_what_every_window_sees(case, layout, dtype, seed):
    check(case, layout, dtype, seed)


@given(cases(), st.sampled_from([1, 3, 16]), st.sampled_from([0, 1000]), st.sampled_from([1, 40]), seeds)
@example(STRIDED, 3, 0, 1, 0)
@example(MANY_SMALL, 16, 1000, 1, 0)
def test_depthwise_may_cut_the_work_in_any_way(case, block, small_plane, tile, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        patch.setattr(module, "SMALL_PLANE", small_plane)
        patch.setattr(module, "TILE", tile)
        patch.setattr(module, "ROWS", tile)
        check(case, "contiguous", np.float64, seed)


@given(cases())
def test_depthwise_computes_only_the_gradients_that_are_wanted(case):
    y, pull = depthwise(np.ones(case.shape), np.ones((case.shape[1], 1, *case.kernel_size)), *case[2:])
    assert [part is None for part in pull(y, (False, True))] == [True, False]
    assert [part is None for part in pull(y, (True, False))] == [False, True]


LIMITED = []
"""Of each product with something watched: whether BLAS was limited to one thread."""


class Watched(np.ndarray):
    """An array whose products are recorded."""

    def __array_ufunc__(self, ufunc, method, *inputs, **settings):
        if ufunc is np.matmul:
            LIMITED.append(bool(threads._one_thread_each.users))
        plain = [np.asarray(array) for array in inputs]
        return getattr(ufunc, method)(*plain, **settings)


def test_even_the_small_products_are_made_within_the_pool():
    x, weight = whole_numbers((2, 5, 9, 9), np.float32, 0), whole_numbers((5, 1, 3, 3), np.float32, 1)
    LIMITED.clear()
    y, pull = depthwise(x, weight.view(Watched), (1, 1), ((1, 1), (1, 1)), (1, 1))
    pull(y, (True, True, False))
    assert LIMITED
    assert all(LIMITED)
