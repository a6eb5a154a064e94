"""Convolutions, their windows and linear maps against PyTorch's, over shapes and settings of every kind."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from minidl.nn import functional as F
from tests.kernels.windows import layouts
from tests.nn.functional.compare import accuracies, agree, normal, seeds, torch

TF = torch.nn.functional

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")


class Case(NamedTuple):
    """Shapes of x and weight, and the settings."""

    x: tuple
    weight: tuple
    stride: int | tuple = 1
    padding: int | tuple | str = 0
    dilation: int | tuple = 1
    groups: int = 1
    output_padding: int | tuple = 0


def numbers(low, high):
    """One for both axes, or a pair."""
    return st.integers(low, high) | st.tuples(st.integers(low, high), st.integers(low, high))


def both(value):
    return (value, value) if isinstance(value, int) else value


@st.composite
def convolutions(draw):
    groups = draw(st.integers(1, 3))
    c, o = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    kernel, dilation = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(numbers(1, 3))
    padding = draw(numbers(0, 3) | st.sampled_from(["same", "valid"]))
    stride = 1 if padding == "same" else draw(numbers(1, 3))
    border = (0, 0) if isinstance(padding, str) else both(padding)
    spans = [1 if padding == "same" else d * (k - 1) + 1 for k, d in zip(kernel, both(dilation), strict=True)]
    size = [max(1, span - 2 * p) + draw(st.integers(0, 5)) for span, p in zip(spans, border, strict=True)]
    n = draw(st.integers(0, 3))
    return Case((n, c, *size), (o, c // groups, *kernel), stride, padding, dilation, groups)


@st.composite
def transposed_convolutions(draw):
    groups = draw(st.integers(1, 3))
    c, o = groups * draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel, dilation = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(numbers(1, 3))
    stride, padding = draw(numbers(1, 3)), draw(numbers(0, 2))
    most = [max(pair) - 1 for pair in zip(both(stride), both(dilation), strict=True)]
    extra = tuple(draw(st.integers(0, m)) for m in most)
    x = (draw(st.integers(0, 2)), c, draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    axes = zip(x[2:], both(stride), kernel, both(dilation), both(padding), extra, strict=True)
    assume(all(s * (h - 1) + d * (k - 1) + 1 - 2 * p + e >= 1 for h, s, k, d, p, e in axes))
    return Case(x, (c, o, *kernel), stride, padding, dilation, groups, extra)


KERNEL_OF_THE_PADDED_IMAGE = Case((2, 3, 3, 2), (4, 3, 5, 6), padding=(1, 2))
DEPTHWISE = Case((2, 4, 5, 6), (8, 1, 3, 2), stride=(1, 2), padding=(2, 0), groups=4)
POINTWISE = Case((3, 5, 4, 3), (2, 5, 1, 1))
POINTWISE_STRIDED = Case((3, 4, 5, 6), (6, 2, 1, 1), stride=(2, 3), groups=2)
POINTWISE_PADDED = Case((2, 3, 2, 3), (2, 3, 1, 1), padding=(1, 0))
STRIDE_BEYOND_THE_KERNEL = Case((1, 2, 9, 8), (3, 2, 2, 1), stride=(4, 3))
EVEN_AND_SAME = Case((2, 2, 4, 5), (2, 2, 4, 2), padding="same", dilation=(1, 3))
STEM = Case((2, 3, 32, 32), (8, 3, 7, 7), stride=2, padding=3)
NO_IMAGES = Case((0, 2, 3, 3), (3, 2, 2, 2))


@given(convolutions(), st.booleans(), layouts, accuracies, seeds)
@example(KERNEL_OF_THE_PADDED_IMAGE, True, "contiguous", ("float64", 1), 0)
@example(DEPTHWISE, True, "channel-major", ("float32", 1), 0)
@example(POINTWISE, True, "every other", ("float64", 1), 0)
@example(POINTWISE_STRIDED, True, "channel-major", ("float64", 1), 0)
@example(POINTWISE_PADDED, True, "contiguous", ("float64", 1), 0)
@example(STRIDE_BEYOND_THE_KERNEL, False, "backwards", ("float64", 1), 0)
@example(EVEN_AND_SAME, True, "contiguous", ("float64", 1), 0)
@example(STEM, False, "contiguous", ("float32", 1), 0)
@example(NO_IMAGES, True, "contiguous", ("float64", 1), 0)
@example(POINTWISE, True, "channel-major", ("float64", 2), 0)
@example(DEPTHWISE, True, "contiguous", ("float64", 2), 0)
def test_conv2d_is_pytorchs(backend, case, has_bias, layout, accuracy, seed):
    x, weight, *settings, _ = case
    arrays = normal(seed, *x), normal(seed + 1, *weight), normal(seed + 2, weight[0]) if has_bias else None
    agree(
        backend,
        lambda *xs: F.conv2d(*xs, *settings),
        lambda *xs: TF.conv2d(*xs, *settings),
        *arrays,
        accuracy=accuracy,
        layout=layout,
        seed=seed,
    )


@given(transposed_convolutions(), st.booleans(), layouts, accuracies, seeds)
@example(Case((2, 2, 3, 4), (2, 2, 3, 2), dilation=2, output_padding=1), True, "contiguous", ("float64", 1), 0)
@example(Case((2, 2, 3, 1), (2, 2, 3, 2), 2, 1, 3, output_padding=(2, 1)), True, "contiguous", ("float64", 2), 0)
@example(Case((2, 4, 3, 5), (4, 1, 3, 3), 2, 1, 1, 4, 1), True, "channel-major", ("float32", 1), 0)
@example(Case((0, 2, 3, 1), (2, 2, 3, 2)), True, "contiguous", ("float64", 1), 0)
def test_conv_transpose2d_is_pytorchs(backend, case, has_bias, layout, accuracy, seed):
    o = case.weight[1] * case.groups
    arrays = normal(seed, *case.x), normal(seed + 1, *case.weight), normal(seed + 2, o) if has_bias else None
    settings = case.stride, case.padding, case.output_padding, case.groups, case.dilation
    agree(
        backend,
        lambda *xs: F.conv_transpose2d(*xs, *settings),
        lambda *xs: TF.conv_transpose2d(*xs, *settings),
        *arrays,
        accuracy=accuracy,
        layout=layout,
        seed=seed,
    )


@given(convolutions(), layouts, accuracies, seeds)
@example(KERNEL_OF_THE_PADDED_IMAGE, "contiguous", ("float64", 1), 0)
def test_unfold_and_fold_are_pytorchs(backend, case, layout, accuracy, seed):
    assume(not isinstance(case.padding, str) and case.x[0])
    kernel, settings = case.weight[2:], (case.dilation, case.padding, case.stride)
    x = normal(seed, *case.x)
    shared = {"accuracy": accuracy, "layout": layout, "seed": seed}
    agree(backend, lambda x: F.unfold(x, kernel, *settings), lambda x: TF.unfold(x, kernel, *settings), x, **shared)
    columns = TF.unfold(torch.from_numpy(x), kernel, *settings).numpy()
    size = case.x[2:]
    agree(
        backend,
        lambda x: F.fold(x, size, kernel, *settings),
        lambda x: TF.fold(x, size, kernel, *settings),
        normal(seed, *columns.shape),
        **shared,
    )


def test_fold_adds_up_what_unfold_took(backend):
    x = np.ones((1, 1, 3, 4))
    seen = F.fold(F.unfold(x, 2), (3, 4), 2).numpy()[0, 0]
    np.testing.assert_array_equal(seen, [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]])


@given(st.lists(st.integers(0, 4), max_size=3), st.integers(1, 4), st.integers(1, 4), st.booleans(), accuracies, seeds)
@example([], 3, 2, True, ("float64", 1), 0)
@example([2, 3], 3, 2, True, ("float32", 1), 0)
def test_linear_is_pytorchs(backend, batch, features, outputs, has_bias, accuracy, seed):
    arrays = normal(seed, *batch, features), normal(seed + 1, outputs, features)
    bias = normal(seed + 2, outputs) if has_bias else None
    agree(backend, F.linear, TF.linear, *arrays, bias, accuracy=accuracy, seed=seed)
