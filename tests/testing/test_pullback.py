"""The laws of every pullback: each way of breaking one is found and named."""

import numpy as np
import pytest

import minidl
from minidl import Tensor, ops
from minidl.testing import check_vjp, gradcheck
from tests.testing.planted import data, wrong


def broken(f, vjp, *inputs, **options):
    """The laws that a function with a backward pass breaks, and what is said of the first."""
    report = check_vjp(f, vjp, inputs or [np.array([[1.0, 2, 3], [4, 5, 7]])], raise_exception=False, **options)
    return report.broken, report.faults[0].message if report.faults else ""


def double(x):
    return 2 * x


def test_a_right_pullback_breaks_none():
    assert broken(double, lambda g, x: 2 * g) == ((), "")


@pytest.mark.parametrize(
    ("pull", "guess"),
    [
        (lambda g, x: np.ones((4, 2, 3)), "broadcasting not undone? sum it over axis 0"),
        (lambda g, x: 2 * g.T, "transposed?"),
        (lambda g, x: 2 * g.ravel(), "reshape it"),
        (lambda g, x: np.ones(5), "what does the pullback return?"),
    ],
)
def test_the_shape_is_the_inputs(pull, guess):
    laws, message = broken(double, pull)
    assert laws == ("shape",)
    assert "input 0 has shape (2, 3) but its gradient has shape" in message
    assert guess in message


def test_the_type_is_the_inputs():
    laws, message = broken(double, lambda g, x: (2 * g).astype(np.float64), np.ones(3, np.float32))
    assert "dtype" in laws
    assert "input 0 is float32 but its gradient is float64" in message


def test_the_type_is_the_inputs_in_minidl_too(backend, monkeypatch):
    def narrow(*args, **settings):
        return tuple(Tensor(g.data.astype(np.float32)) for g in minidl.grad(*args, **settings))

    monkeypatch.setattr("minidl.testing.engine.grad", narrow)
    assert "dtype" in gradcheck(ops.exp, [data(2, backend=backend)], raise_exception=False).broken


@pytest.mark.parametrize("pull", [lambda g, x: 2 * np.abs(g), lambda g, x: g * g, lambda g, x: 2 * g + 1e-6])
def test_it_is_linear(pull):
    assert "linear" in broken(double, pull)[0]


def test_zeros_go_to_zeros():
    laws, message = broken(double, lambda g, x: 2 * g + 0.5)
    assert laws == ("slope", "linear", "zero")
    assert "linear" in message or "slope" in message
    report = check_vjp(double, lambda g, x: 2 * g + 0.5, [np.ones(3)], raise_exception=False)
    assert "is not zero, but 0.5" in report.faults[-1].message


def test_inputs_are_not_written_to():
    def pull(g, x):
        x[0, 0] += 1
        return 2 * g

    laws, message = broken(double, pull)
    assert laws == ("unmodified",)
    assert "input 0, of shape (2, 3), was written to" in message


def test_upstream_gradients_are_not_written_to():
    def pull(g, x):
        g *= 2
        return g.copy()

    laws, _ = broken(double, pull)
    assert "unmodified" in laws


def test_an_op_of_minidl_that_writes_to_its_input_is_found(backend):
    def overwrite(array):
        array += 1
        return array.copy()

    report = gradcheck(wrong(overwrite, lambda g, x: g * 1), [data(2, backend=backend)], raise_exception=False)
    assert "unmodified" in report.broken


@pytest.mark.parametrize(
    ("pull", "message"),
    [
        (lambda g, x, y: (g, 1 * g), "gradient of input 0 shares memory with the upstream gradient"),
        (lambda g, x, y: 2 * [1 * g], "gradient of input 0 shares memory with the gradient of input 1"),
        (lambda g, x, y: (1 * g, g[:, ::-1][:, ::-1]), "gradient of input 1 shares memory with the upstream gradient"),
    ],
)
def test_gradients_share_no_memory_with_anything(pull, message):
    laws, found = broken(np.add, pull, np.ones((2, 3)), np.ones((2, 3)))
    assert laws == ("aliasing",)
    assert message in found
    assert broken(np.add, pull, np.ones((2, 3)), np.ones((2, 3)), aliasing=True)[0] == ()


def test_halves_of_one_array_share_nothing():
    def pull(g, x, y):
        g = g.copy()
        return g[:, ::2], g[:, 1::2]

    def interleave(x, y):
        return np.stack([x, y], 2).reshape(len(x), -1)

    assert broken(interleave, pull, np.ones((2, 3)), np.ones((2, 3)))[0] == ()


def test_a_gradient_whose_elements_are_one_and_the_same_is_found():
    laws, message = broken(lambda x: x.sum(), lambda g, x: np.broadcast_to(g.copy(), x.shape))
    assert laws == ("aliasing",)
    assert "being broadcast" in message


def test_what_is_random_is_found(backend):
    draw = np.random.default_rng(0)
    report = gradcheck(lambda x: x * draw.uniform(), [data(2, backend=backend)], raise_exception=False)
    assert "deterministic" in report.broken
    fault = next(fault for fault in report.faults if fault.law == "deterministic")
    assert "set the seed" in fault.message


def test_gradients_kept_from_the_pass_before_are_found():
    kept = np.zeros((2, 3))

    def pull(g, x):
        kept[...] += 2 * g
        return kept.copy()

    report = check_vjp(double, pull, [np.ones((2, 3))], raise_exception=False)
    fault = next(fault for fault in report.faults if fault.law == "deterministic")
    assert "it grows: are gradients of intermediate results kept" in fault.message


def test_sums_in_another_order_are_the_same_again():
    calls = iter(range(1000))

    def pull(g, x):
        return 2 * g * (1 + 1e-14 * next(calls))

    assert broken(double, pull)[0] == ()


def test_small_gradients_are_held_to_the_laws_too():
    x, rng = np.ones(4, np.float32), np.random.default_rng(0)
    noisy = broken(lambda x: 1e-4 * x.sum(), lambda g, x: (1e-4 * g * (1 + 0.09 * rng.random(4))).astype("f4"), x)
    assert "deterministic" in noisy[0]
    bent = broken(lambda x: 1e-4 * x.sum(), lambda g, x: (1e-4 * g * (1 + 0.03 * g) * np.ones(4)).astype("f4"), x)
    assert "linear" in bent[0]


def test_long_doubles_are_no_false_alarm():
    assert broken(double, lambda g, x: 2 * g, np.ones(3, np.longdouble))[0] == ()


def test_one_array_handed_out_again_and_again_is_found():
    buffer = np.empty((2, 3))
    laws, message = broken(double, lambda g, x: np.multiply(2, g, out=buffer))
    assert laws == ("aliasing",)
    assert "the same memory at every call" in message


def test_the_upstream_gradient_may_lie_in_memory_as_it_likes():
    laws, message = broken(double, lambda g, x: 2 * g.ravel("K").reshape(x.shape))
    assert laws == ("layout",)
    assert "lies in memory by columns" in message
