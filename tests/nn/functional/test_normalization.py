"""Normalisation against PyTorch's: values, running statistics, gradients and gradients of gradients."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import minidl
from minidl.backend import to_backend
from minidl.nn import functional as F
from tests.kernels.windows import layouts
from tests.nn.functional.compare import accuracies, agree, close, distinct, normal, seeds, torch

TF = torch.nn.functional

lengths = st.lists(st.integers(1, 4), max_size=3)
# PyTorch's own derivatives fail for a bias without a weight; that has its own test.
given_or_not = st.sampled_from([(True, True), (True, False), (False, False)])


def scale_and_shift(seed, shape, given):
    """A weight and a bias, or None for either."""
    return [normal(seed + i, *shape) if there else None for i, there in enumerate(given, start=1)]


@given(st.integers(1, 5), st.integers(1, 5), lengths, given_or_not, layouts, accuracies, seeds)
@example(4, 3, [], (True, True), "contiguous", ("float32", 1), 0)
@example(4, 3, [5], (True, True), "channel-major", ("float64", 2), 0)
@example(3, 4, [5, 6], (True, True), "channel-major", ("float64", 2), 0)
@example(3, 4, [2, 3, 2], (True, False), "every other", ("float64", 2), 0)
def test_batch_norm_in_training_is_pytorchs(backend, n, c, image, given, layout, accuracy, seed):
    # Two values become ±1 whatever they are: their derivatives are all rounding.
    assume(n * np.prod(image) > (1 if accuracy == ("float64", 1) else 2))
    layout = "contiguous" if layout == "broadcast" else layout  # which would make all values of a channel equal
    agree(
        backend,
        lambda x, weight, bias: F.batch_norm(x, None, None, weight, bias, training=True),
        lambda x, weight, bias: TF.batch_norm(x, None, None, weight, bias, training=True),
        3 + distinct(seed, n, c, *image),
        *scale_and_shift(seed, (c,), given),
        accuracy=accuracy,
        layout=layout,
        seed=seed,
    )


@given(lengths, given_or_not, layouts, accuracies, seeds)
@example([], (True, True), "contiguous", ("float32", 1), 0)
def test_batch_norm_in_evaluation_is_pytorchs(backend, image, given, layout, accuracy, seed):
    agree(
        backend,
        lambda x, mean, var, *rest: F.batch_norm(x, mean, var * var, *rest),
        # PyTorch gives running statistics no gradient: the same formula does
        lambda x, mean, var, weight, bias: _affine(
            (x - _wide(mean, x)) / (_wide(var * var, x) + 1e-5).sqrt(), weight, bias
        ),
        normal(seed, 2, 3, *image),
        normal(seed + 1, 3),
        1 + np.abs(normal(seed + 2, 3)),
        *scale_and_shift(seed + 2, (3,), given),
        accuracy=accuracy,
        layout=layout,
        seed=seed,
    )


def _wide(parameter, x):
    return parameter.reshape(1, -1, *[1] * (x.ndim - 2))


def _affine(y, weight, bias):
    y = y if weight is None else y * _wide(weight, y)
    return y if bias is None else y + _wide(bias, y)


@given(lengths, st.floats(0, 1), st.floats(1e-6, 1), layouts, accuracies, seeds)
@example([], 0.1, 1e-5, "contiguous", ("float32", 1), 0)
@example([4, 5], 1.0, 1e-3, "channel-major", ("float64", 1), 0)
def test_running_statistics_move_as_pytorchs_do_and_serve_in_evaluation(
    backend, image, momentum, eps, layout, accuracy, seed
):
    dtype, _ = accuracy
    running = normal(seed, 2).astype(dtype), np.exp(normal(seed + 1, 2)).astype(dtype)
    ours = [minidl.Tensor(to_backend(array.copy(), backend)) for array in running]
    theirs = [torch.from_numpy(array.astype("float64")) for array in running]
    settings = {"momentum": momentum, "eps": eps}
    for step in range(3):
        agree(
            backend,
            lambda x: F.batch_norm(x, *ours, training=True, **settings),
            lambda x: TF.batch_norm(x, *theirs, training=True, **settings),
            2 + normal(seed + step, 4, 2, *image),
            accuracy=accuracy,
            layout=layout if image else "contiguous",
            seed=seed,
        )
    for got, wanted in zip(ours, theirs, strict=True):
        close(got, wanted, dtype)
        assert not got.requires_grad
    x = normal(seed + 9, 3, 2, *image)
    agree(
        backend,
        lambda x: F.batch_norm(x, *ours, **settings),
        lambda x: TF.batch_norm(x, *theirs, **settings),
        x,
        accuracy=accuracy,
    )
    close(ours[0], theirs[0], dtype, "evaluation moved them")


@pytest.mark.parametrize("kept", [0, 1])
def test_one_of_the_running_statistics_is_enough_in_training(backend, kept):
    x = to_backend(normal(0, 4, 3), backend)
    running = [minidl.Tensor(to_backend(np.ones(3), backend)) if i == kept else None for i in range(2)]
    F.batch_norm(minidl.Tensor(x), *running, training=True, momentum=1.0)
    wanted = [normal(0, 4, 3).mean(0), normal(0, 4, 3).var(0, ddof=1)][kept]
    np.testing.assert_allclose(running[kept].numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("shape", [(64, 3), (8, 3, 8, 8)])
def test_batch_norm_loses_no_more_of_a_large_mean_than_its_last_digits(backend, shape):
    x = (1000 + normal(0, *shape)).astype(np.float32)
    wanted = TF.batch_norm(torch.from_numpy(x).double(), None, None, training=True).numpy()
    got = F.batch_norm(minidl.Tensor(to_backend(x, backend)), None, None, training=True).numpy()
    assert np.abs(got - wanted).max() < 4 * np.spacing(np.float32(1000))


@pytest.mark.parametrize("norm", ["batch_norm", "layer_norm", "group_norm"])
@pytest.mark.parametrize("order", [1, 2])
def test_a_bias_alone_only_shifts(backend, norm, order):
    leading = {"batch_norm": (None, None, None), "layer_norm": (6, None), "group_norm": (2, None)}[norm]
    settings = {"training": True} if norm == "batch_norm" else {}

    def theirs(x, bias):
        axes, x = {"batch_norm": ((0,), x), "layer_norm": ((1,), x), "group_norm": ((2,), x.reshape(5, 2, 3))}[norm]
        deviation = x - x.mean(axes, keepdim=True)
        return (deviation / ((deviation**2).mean(axes, keepdim=True) + 1e-5).sqrt()).reshape(5, 6) + bias

    def ours(x, bias):
        return getattr(F, norm)(x, *leading, bias, **settings)

    agree(backend, ours, theirs, normal(0, 5, 6), normal(1, 6), accuracy=("float64", order))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data(), given_or_not, accuracies, seeds)
def test_layer_norm_is_pytorchs(backend, shape, data, given, accuracy, seed):
    last = data.draw(st.integers(1, len(shape)), "normalized axes")
    normalized = shape[-last:]
    assume(accuracy == ("float64", 1) or np.prod(normalized) > 2)
    agree(
        backend,
        lambda x, *rest: F.layer_norm(x, normalized, *rest, eps=1e-3),
        lambda x, *rest: TF.layer_norm(x, normalized, *rest, eps=1e-3),
        normal(seed, *shape),
        *scale_and_shift(seed, normalized, given),
        accuracy=accuracy,
        seed=seed,
    )


def test_layer_norm_takes_one_length_as_a_number(backend):
    agree(backend, lambda x: F.layer_norm(x, 5), lambda x: TF.layer_norm(x, [5]), normal(0, 2, 3, 5))


@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 3), lengths, given_or_not, accuracies, seeds)
@example(2, 3, 2, [4, 5], (True, True), ("float64", 2), 0)
def test_group_norm_is_pytorchs(backend, n, groups, share, image, given, accuracy, seed):
    assume(share * np.prod(image) > (1 if accuracy == ("float64", 1) else 2))
    agree(
        backend,
        lambda x, *rest: F.group_norm(x, groups, *rest, eps=1e-3),
        lambda x, *rest: TF.group_norm(x, groups, *rest, eps=1e-3),
        normal(seed, n, groups * share, *image),
        *scale_and_shift(seed, (groups * share,), given),
        accuracy=accuracy,
        seed=seed,
    )


@given(st.integers(1, 6), st.integers(1, 7), lengths, accuracies, seeds)
@example(3, 5, [4, 5], ("float64", 2), 0)
@example(5, 2, [3], ("float32", 1), 0)
def test_local_response_norm_is_pytorchs(backend, c, size, image, accuracy, seed):
    assume(image)
    agree(
        backend,
        lambda x: F.local_response_norm(x, size, alpha=0.5, beta=0.6, k=1.5),
        lambda x: TF.local_response_norm(x, size, alpha=0.5, beta=0.6, k=1.5),
        normal(seed, 2, c, *image),
        accuracy=accuracy,
        seed=seed,
    )
