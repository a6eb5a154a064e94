"""im2col and col2im: the definition, adjointness, memory, and PyTorch's unfold and fold."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minidl.backend import array_module
from tests.kernels.windows import (
    LAYOUTS,
    MANY_BLOCKS,
    ONE_PIXEL,
    ONE_WINDOW,
    cases,
    is_channel_major,
    layouts,
    seen,
    whole_numbers,
)

dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)


@given(cases(), layouts, dtypes, seeds)
@example(MANY_BLOCKS, "contiguous", np.float32, 0)
@example(MANY_BLOCKS, "channel-major", np.float64, 0)
@example(ONE_WINDOW, "channel-major", np.float32, 0)
@example(ONE_PIXEL, "channel-major", np.float32, 0)
def test_im2col_shows_what_every_window_sees(kernels, case, layout, dtype, seed):
    x = LAYOUTS[layout](kernels.array(whole_numbers(case.shape, dtype, seed)))
    before = kernels.numpy(x).copy()
    columns = kernels.im2col(x, *case[1:])
    assert columns.dtype == dtype
    assert not array_module(x).may_share_memory(columns, x)
    np.testing.assert_array_equal(kernels.numpy(columns), seen(before, case, outside=0))
    np.testing.assert_array_equal(kernels.numpy(x), before)


@given(cases(), layouts, dtypes, seeds)
@example(MANY_BLOCKS, "contiguous", np.float32, 0)
def test_col2im_adds_every_entry_where_im2col_reads_it(kernels, case, layout, dtype, seed):
    N, C, H, W = case.shape
    shape = (N, C, *case.kernel_size, *case.output_size)
    columns = LAYOUTS[layout](kernels.array(whole_numbers(shape, dtype, seed)))
    before = kernels.numpy(columns).copy()
    x = kernels.col2im(columns, (H, W), *case[1:])

    numbers = np.arange(H * W, dtype=np.int64).reshape(1, 1, H, W)
    places = seen(numbers, case, outside=-1)[0, 0]
    expected = np.zeros((N, C, H * W), dtype)
    for index in np.ndindex(places.shape):
        if places[index] >= 0:
            expected[:, :, places[index]] += before[(..., *index)]
    assert x.dtype == dtype
    assert is_channel_major(x)
    np.testing.assert_array_equal(kernels.numpy(x), expected.reshape(case.shape))
    np.testing.assert_array_equal(kernels.numpy(columns), before)


@given(cases(), seeds)
def test_im2col_and_col2im_are_adjoint(kernels, case, seed):
    x = whole_numbers(case.shape, np.float64, seed)
    columns = kernels.numpy(kernels.im2col(kernels.array(x), *case[1:]))
    g = whole_numbers(columns.shape, np.float64, seed + 1)
    back = kernels.numpy(kernels.col2im(kernels.array(g), x.shape[2:], *case[1:]))
    assert np.vdot(columns, g) == np.vdot(x, back)


@given(cases())
def test_the_matrix_that_a_convolution_multiplies_is_a_view(kernels, case):
    columns = kernels.im2col(kernels.array(np.ones(case.shape, np.float32)), *case[1:])
    assert columns.transpose(1, 2, 3, 0, 4, 5).flags.c_contiguous


def test_a_window_larger_than_the_padded_input_is_refused(kernels):
    x = kernels.array(np.ones((1, 1, 3, 9), np.float32))
    with pytest.raises(ValueError, match="spans 7x3 pixels does not fit a padded input of 5x9"):
        kernels.im2col(x, (3, 3), (1, 1), ((1, 1), (0, 0)), (3, 1))


@given(cases(), seeds)
def test_im2col_and_col2im_agree_with_unfold_and_fold_of_pytorch(kernels, case, seed):
    torch = pytest.importorskip("torch")
    both_sides = tuple((max(pads), max(pads)) for pads in case.padding)
    case = case._replace(shape=(2, *case.shape[1:]), padding=both_sides)
    settings = {
        "kernel_size": case.kernel_size,
        "stride": case.stride,
        "padding": tuple(before for before, _ in case.padding),
        "dilation": case.dilation,
    }
    x = whole_numbers(case.shape, np.float32, seed)
    columns = kernels.numpy(kernels.im2col(kernels.array(x), *case[1:]))
    theirs = torch.nn.functional.unfold(torch.from_numpy(x), **settings)
    np.testing.assert_array_equal(columns, theirs.numpy().reshape(columns.shape))
    back = kernels.col2im(kernels.array(columns), x.shape[2:], *case[1:])
    np.testing.assert_array_equal(
        kernels.numpy(back), torch.nn.functional.fold(theirs, x.shape[2:], **settings).numpy()
    )
