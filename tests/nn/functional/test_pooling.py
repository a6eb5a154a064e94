"""Pooling against PyTorch's: settings, ties, NaN, infinities, grids of any size."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from minidl.nn import functional as F
from tests.kernels.windows import layouts
from tests.nn.functional.compare import accuracies, agree, distinct, normal, seeds, torch

TF = torch.nn.functional

FEW = [(1.0, 2.0, 3.0), (-np.inf, 1.0, np.inf), (np.nan, -np.inf, 0.0, 1.0), (-np.inf, np.nan), (-np.inf,)]


@st.composite
def windows(draw, dilations):
    """(size, kernel, stride, padding, dilation), each a pair, such that a window fits."""
    axes = []
    for _ in range(2):
        kernel, dilation = draw(st.integers(1, 4)), draw(dilations)
        padding = draw(st.integers(0, kernel // 2))
        least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
        axes.append((least + draw(st.integers(0, 6)), kernel, draw(st.integers(1, 5)), padding, dilation))
    return tuple(zip(*axes, strict=True))


plain = windows(st.just(1))
dilated = windows(st.integers(1, 3))
HANGS_OVER = ((5, 6), (2, 3), (2, 4), (1, 1), (1, 1))
TOO_SMALL_BUT_FOR_THE_OVERHANG = ((1, 2), (3, 4), (5, 3), (0, 1), (1, 1))


def sees_nothing(case, ceil_mode):
    """Whether a window lies on padding only; PyTorch then writes the gradient outside the array."""
    size, *settings = case
    return torch.isinf(TF.max_pool2d(torch.zeros(1, 1, *size), *settings, ceil_mode=ceil_mode)).any()


@given(dilated, st.booleans(), layouts, accuracies, seeds)
@example(HANGS_OVER, True, "contiguous", ("float32", 1), 0)
@example(TOO_SMALL_BUT_FOR_THE_OVERHANG, True, "contiguous", ("float64", 1), 0)
@example(HANGS_OVER, False, "channel-major", ("float64", 2), 0)
def test_max_pool2d_is_pytorchs(backend, case, ceil_mode, layout, accuracy, seed):
    assume(not sees_nothing(case, ceil_mode))
    size, *settings = case
    agree(
        backend,
        lambda x: F.max_pool2d(x, *settings, ceil_mode),
        lambda x: TF.max_pool2d(x, *settings, ceil_mode=ceil_mode),
        distinct(seed, 2, 3, *size),
        accuracy=accuracy,
        layout=layout,
        seed=seed,
    )


@given(dilated, st.sampled_from(FEW), st.booleans(), seeds)
def test_max_pool2d_breaks_ties_and_meets_nan_and_infinity_as_pytorch_does(backend, case, values, ceil_mode, seed):
    assume(not sees_nothing(case, ceil_mode))
    size, *settings = case
    agree(
        backend,
        lambda x: F.max_pool2d(x, *settings, ceil_mode),
        lambda x: TF.max_pool2d(x, *settings, ceil_mode=ceil_mode),
        np.random.default_rng(seed).choice(values, (2, 2, *size)),
        seed=seed,
    )


def test_a_window_on_padding_only_is_minus_infinity_and_has_no_gradient(backend):
    agree(
        backend,
        lambda x: F.max_pool2d(x, (2, 1), 1, (1, 0), (3, 1)),
        lambda x: 0 * x[:, :, :1] - torch.inf,
        normal(0, 1, 1, 2, 3),
    )


@given(plain, st.booleans(), st.booleans(), st.sampled_from([None, 1, 7, -3]), layouts, accuracies, seeds)
@example(HANGS_OVER, True, True, None, "contiguous", ("float32", 1), 0)
@example(HANGS_OVER, True, False, None, "channel-major", ("float64", 2), 0)
@example(TOO_SMALL_BUT_FOR_THE_OVERHANG, True, True, None, "contiguous", ("float64", 1), 0)
def test_avg_pool2d_is_pytorchs(backend, case, ceil_mode, count_include_pad, divisor, layout, accuracy, seed):
    size, kernel, stride, padding, _ = case
    settings = kernel, stride, padding, ceil_mode, count_include_pad, divisor
    agree(
        backend,
        lambda x: F.avg_pool2d(x, *settings),
        lambda x: TF.avg_pool2d(x, *settings),
        normal(seed, 2, 3, *size),
        accuracy=accuracy,
        layout=layout,
        seed=seed,
    )


@pytest.mark.parametrize("pool", ["max_pool2d", "avg_pool2d"])
def test_the_stride_is_the_kernels_size_unless_given(backend, pool):
    agree(backend, lambda x: getattr(F, pool)(x, (2, 3)), lambda x: getattr(TF, pool)(x, (2, 3)), normal(0, 0, 3, 7, 8))
    agree(backend, lambda x: getattr(F, pool)(x, 2), lambda x: getattr(TF, pool)(x, 2), distinct(0, 2, 3, 7, 8))


grids = st.tuples(st.none() | st.integers(1, 9), st.none() | st.integers(1, 9)) | st.integers(1, 7)


@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), grids, layouts, accuracies, seeds)
@example((4, 5), (9, 11), "contiguous", ("float32", 1), 0)
@example((7, 5), (None, 3), "channel-major", ("float64", 2), 0)
@example((5, 6), 1, "contiguous", ("float64", 2), 0)
def test_adaptive_pooling_is_pytorchs_on_grids_of_any_size(backend, size, grid, layout, accuracy, seed):
    settings = {"accuracy": accuracy, "layout": layout, "seed": seed}
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        ours, theirs = getattr(F, name), getattr(TF, name)
        agree(
            backend,
            lambda x, f=ours: f(x, grid),
            lambda x, f=theirs: f(x, grid),
            distinct(seed, 2, 3, *size),
            **settings,
        )


@given(st.sampled_from(FEW), grids, seeds)
def test_adaptive_max_pooling_breaks_ties_and_meets_infinity_as_pytorch_does(backend, values, grid, seed):
    assume(not any(np.isnan(values)))
    x = np.random.default_rng(seed).choice(values, (2, 2, 5, 6))
    agree(backend, lambda x: F.adaptive_max_pool2d(x, grid), lambda x: TF.adaptive_max_pool2d(x, grid), x, seed=seed)


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_one_odd_pixel_spoils_only_the_cells_that_see_it(backend, odd):
    x = normal(0, 1, 2, 6, 7)
    x[0, 1, 2, 3] = odd
    agree(backend, lambda x: F.adaptive_avg_pool2d(x, (3, 4)), lambda x: TF.adaptive_avg_pool2d(x, (3, 4)), x)
    agree(backend, lambda x: F.adaptive_max_pool2d(x, (3, 4)), lambda x: TF.adaptive_max_pool2d(x, (3, 4)), x)
    agree(backend, lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: TF.avg_pool2d(x, 3, 2, 1), x)


@given(st.integers(0, 3), st.tuples(st.integers(1, 5), st.integers(1, 5)), layouts, accuracies, seeds)
def test_global_avg_pool2d_averages_every_channel(backend, n, size, layout, accuracy, seed):
    x = normal(seed, n, 3, *size)
    agree(
        backend,
        F.global_avg_pool2d,
        lambda x: x.mean((2, 3), keepdim=True),
        x,
        accuracy=accuracy,
        layout=layout,
        seed=seed,
    )
