"""Gradients and gradients of gradients of every function beside central differences, which needs no other library."""

import numpy as np
import pytest

import minidl
from minidl.backend import to_backend
from minidl.nn import functional as F
from minidl.testing import gradcheck


def spread(*shape):
    """Numbers in random order, evenly spaced over ±3 without ties and off the corners at 0, ±3 and 6."""
    count = int(np.prod(shape))
    return (np.random.default_rng(0).permutation(count) + 0.5 - count / 2).reshape(shape) * (5.9 / max(count, 1))


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


X = spread(2, 3, 4, 5)
CLASSES = np.array([[0, 2], [1, -100]])
PROBABILITIES = np.random.default_rng(3).dirichlet(np.ones(3), 2)


def running(backend):
    return (minidl.Tensor(to_backend(array.copy(), backend)) for array in (normal(3), np.exp(normal(3, seed=2))))


def noise(function):
    def repeated(x):
        minidl.manual_seed(0)
        return function(x, 0.4)

    return repeated


CASES = {
    "linear": (F.linear, [normal(2, 3), normal(4, 3), normal(4)]),
    "conv2d": (lambda *xs: F.conv2d(*xs, (1, 2), (1, 0), (1, 2), 3), [X, normal(6, 1, 2, 2), normal(6)]),
    "conv2d, thin": (lambda *xs: F.conv2d(*xs, padding="same"), [X, normal(2, 3, 3, 3), normal(2)]),
    "conv2d, 1×1": (F.conv2d, [X, normal(2, 3, 1, 1), normal(2)]),
    "conv_transpose2d": (
        lambda *xs: F.conv_transpose2d(*xs, 1, 1, (1, 0), 3, 2),
        [X, normal(3, 2, 2, 2), normal(6)],
    ),
    "unfold": (lambda x: F.unfold(x, 2, (1, 2), 1, 2), [X]),
    "fold": (lambda x: F.fold(x, (3, 4), 2, padding=1, stride=(1, 2)), [normal(2, 4, 12)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1, (1, 2), True), [X]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), [X]),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), [X]),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (3, 2)), [X]),
    "global_avg_pool2d": (F.global_avg_pool2d, [X]),
    "batch_norm": (lambda x, *rest: F.batch_norm(x, None, None, *rest, training=True), [X, normal(3), normal(3)]),
    "batch_norm, evaluating": (lambda x, *rest: F.batch_norm(x, *running(x.backend), *rest), [X, normal(3), normal(3)]),
    "layer_norm": (lambda x, *rest: F.layer_norm(x, (4, 5), *rest), [X, normal(4, 5), normal(4, 5)]),
    "group_norm": (lambda x, *rest: F.group_norm(x, 3, *rest), [X, normal(3), normal(3)]),
    "local_response_norm": (lambda x: F.local_response_norm(x, 2, 0.5), [X]),
    "dropout": (noise(F.dropout), [X]),
    "dropout2d": (noise(F.dropout2d), [X]),
    "drop_path": (noise(F.drop_path), [X]),
    "softmax": (lambda x: F.softmax(x, 1), [spread(2, 4)]),
    "log_softmax": (lambda x: F.log_softmax(x, -1), [spread(2, 4)]),
    **{
        name: (getattr(F, name), [spread(3, 6)])
        for name in (
            "relu",
            "relu6",
            "leaky_relu",
            "silu",
            "gelu",
            "sigmoid",
            "hardsigmoid",
            "hardswish",
            "tanh",
            "softplus",
        )
    },
    "gelu, tanh": (lambda x: F.gelu(x, "tanh"), [spread(3, 6)]),
    "cross_entropy": (
        lambda x, t, w: F.cross_entropy(x, t, w, label_smoothing=0.1),
        [normal(2, 3, 2), CLASSES, np.array([0.5, 1.0, 2.0])],
    ),
    "cross_entropy, probabilities": (F.cross_entropy, [normal(2, 3), PROBABILITIES]),
    "nll_loss": (F.nll_loss, [normal(2, 3, 2), CLASSES, np.array([0.5, 1.0, 2.0])]),
    "mse_loss": (F.mse_loss, [normal(2, 3), normal(2, 3, seed=2)]),
    "l1_loss": (F.l1_loss, [normal(2, 3), normal(2, 3, seed=2)]),
    "binary_cross_entropy_with_logits": (
        lambda x, t, w, p: F.binary_cross_entropy_with_logits(x, t, w, "mean", p),
        [normal(2, 3), PROBABILITIES, normal(2, 3, seed=3), normal(3, seed=4)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_first_and_second_order_are_the_slopes(backend, name):
    function, arrays = CASES[name]
    gradcheck(function, [minidl.Tensor(to_backend(array, backend)) for array in arrays], order=2)


@pytest.mark.parametrize("name", CASES)
def test_so_are_those_of_the_definitions(backend, name):
    function, arrays = CASES[name]
    with minidl.definitions():
        gradcheck(function, [minidl.Tensor(to_backend(array, backend)) for array in arrays])


def test_every_function_is_checked():
    assert {name.partition(",")[0] for name in CASES} == set(F.__all__)
