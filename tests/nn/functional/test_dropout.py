"""Noise for training: what it drops, how it scales the rest, and that gradients see the same mask."""

import numpy as np
import pytest

import minidl
from minidl.nn import functional as F

NOISES = {"dropout": F.dropout, "dropout2d": F.dropout2d, "drop_path": F.drop_path}
SHAPE = (40, 50, 3, 4)
UNITS = {"dropout": SHAPE, "dropout2d": (40, 50, 1, 1), "drop_path": (40, 1, 1, 1)}
noises = pytest.mark.parametrize("noise", NOISES)


def ones(backend, shape=SHAPE, dtype="float32"):
    return minidl.ones(shape, dtype=dtype, backend=backend, requires_grad=True)


@noises
@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_each_unit_is_dropped_with_probability_p_and_the_rest_is_scaled(backend, noise, p):
    minidl.manual_seed(0)
    units = UNITS[noise]
    drawn = [NOISES[noise](ones(backend), p).numpy() for _ in range(20 if noise == "drop_path" else 1)]
    for y in drawn:
        np.testing.assert_array_equal(y, np.broadcast_to(y[tuple(slice(n) for n in units)], SHAPE))
        assert set(np.unique(y)) <= {np.float32(0), np.float32(1 / (1 - p))}
    count = len(drawn) * np.prod(units)
    share = np.mean([y == 0 for y in drawn])
    assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / count)


@noises
def test_every_unit_is_drawn_for_itself(backend, noise):
    minidl.manual_seed(0)
    drawn = np.concatenate([NOISES[noise](ones(backend), 0.5).numpy()[..., 0, 0].ravel() for _ in range(10)]) > 0
    runs = 1 + np.count_nonzero(drawn[1:] != drawn[:-1])
    if noise == "drop_path":
        assert runs < len(drawn) / 10  # 50 channels alike in a row
    else:
        assert abs(runs - len(drawn) / 2) < 4 * np.sqrt(len(drawn)) / 2


@noises
def test_nothing_is_dropped_in_evaluation_or_with_probability_0(backend, noise):
    x = ones(backend)
    assert NOISES[noise](x, 0.5, training=False) is x
    assert NOISES[noise](x, 0.0) is x


@noises
def test_all_is_dropped_with_probability_1(backend, noise):
    x = ones(backend)
    y = NOISES[noise](x, 1.0)
    y.sum().backward()
    assert not y.numpy().any()
    assert not x.grad.numpy().any()


@noises
def test_the_gradient_passes_where_the_signal_did(backend, noise):
    minidl.manual_seed(1)
    x = ones(backend, dtype="float64")
    y = NOISES[noise](x, 0.3)
    y.backward(minidl.full(SHAPE, 2.0, "float64", backend))
    np.testing.assert_array_equal(x.grad.numpy(), 2 * y.numpy())


@noises
def test_a_seed_repeats_the_noise_and_the_next_draw_differs(backend, noise):
    minidl.manual_seed(2)
    first, second = (NOISES[noise](ones(backend), 0.5).numpy() for _ in range(2))
    minidl.manual_seed(2)
    np.testing.assert_array_equal(NOISES[noise](ones(backend), 0.5).numpy(), first)
    assert (first != second).any()


@noises
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_stays(backend, noise, dtype):
    x = ones(backend, dtype=dtype)
    y = NOISES[noise](x, 0.3)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype


def test_dropout_takes_any_shape(backend):
    for shape in [(), (0,), (3,), (2, 0, 3)]:
        assert F.dropout(ones(backend, shape), 0.5).shape == shape
        assert shape == () or F.drop_path(ones(backend, shape), 0.5).shape == shape
