"""The checker is checked: right gradients pass, and each way of being wrong is found and named."""

import re

import numpy as np
import pytest

import minidl
from minidl import Tensor, ops, tensor
from minidl.testing import GradientError, gradcheck


def data(*shape, backend="numpy"):
    return tensor(np.random.default_rng(len(shape)).uniform(0.5, 1.5, shape), backend=backend)


def wrong(value, pull):
    """An op of one tensor with this value and this pullback."""

    @ops.primitive
    def planted(x, /):
        return value(x.data), lambda g: pull(g, x)

    return planted


def test_a_right_gradient_passes_to_any_order_and_the_report_has_a_line_for_each_input(backend):
    report = gradcheck(lambda x, y: ops.exp(x * y), [data(2, 3, backend=backend), data(3, backend=backend)], order=3)
    assert report.ok
    lines = str(report).splitlines()
    assert len(lines) == 2 + 3 + 5  # of the gradient's inputs one more is g, and two more of the gradient's gradient
    assert all(line.startswith("ok") for line in lines)
    assert re.match(r"ok +exp: input 0 at \(\d, \d\): analytic \S+, numeric \S+, relative error \S+", lines[0])


@pytest.mark.parametrize("size", [5, 500])
def test_a_scaled_gradient_is_found(backend, size):
    planted = wrong(lambda x: x**2, lambda g, x: g * x * 2.0001)
    with pytest.raises(GradientError, match=r"WRONG planted: input 0 at .*: analytic .*, relative error 5\.0e-05"):
        gradcheck(planted, [data(size, backend=backend)])


def test_one_wrong_element_is_found_and_named(backend):
    def pull(g, x):
        factor = np.ones_like(x.data)
        factor[1, 2] = 1 + 1e-5
        return g * 2 * x * factor

    with pytest.raises(GradientError, match=r"input 0 at \(1, 2\)"):
        gradcheck(wrong(lambda x: x**2, pull), [data(3, 4, backend=backend)])


def test_a_transposed_gradient_is_found_because_the_upstream_gradient_is_random(backend):
    with pytest.raises(GradientError):
        gradcheck(wrong(lambda x: 2 * x, lambda g, x: 2 * g.T), [data(3, 3, backend=backend)])


def test_a_forgotten_gradient_is_found(backend):
    def forgets(x, y):
        return x * y.detach()

    with pytest.raises(GradientError, match="input 1"):
        gradcheck(forgets, [data(2, backend=backend), data(2, backend=backend)])
    with pytest.raises(GradientError, match="analytic 0,"):
        gradcheck(lambda x: (x * x).detach(), [data(2, backend=backend)])


def test_a_gradient_that_cannot_be_differentiated_is_found_at_order_2_only(backend):
    planted = wrong(lambda x: x**3, lambda g, x: g * 3 * x.detach() ** 2)
    gradcheck(planted, [data(2, backend=backend)])
    with pytest.raises(GradientError, match="WRONG gradient of planted: input 0"):
        gradcheck(planted, [data(2, backend=backend)], order=2)


def test_a_gradient_that_is_not_a_number_is_found(backend):
    with pytest.raises(GradientError, match="analytic nan"), np.errstate(all="ignore"):
        gradcheck(wrong(lambda x: x * 2, lambda g, x: g * np.nan), [data(2, backend=backend)])


def test_an_op_that_writes_to_its_input_is_found(backend):
    def overwrite(array):
        array += 1
        return array.copy()

    with pytest.raises(GradientError, match="wrote to an array of shape"):
        gradcheck(wrong(overwrite, lambda g, x: g), [data(2, backend=backend)])


def test_an_op_that_is_random_is_found(backend):
    draw = np.random.default_rng(0)
    with pytest.raises(GradientError, match="differs when computed twice"):
        gradcheck(lambda x: x * draw.uniform(), [data(2, backend=backend)])


def test_a_gradient_of_another_type_is_found(backend, monkeypatch):
    def narrow(*args, **settings):
        return tuple(Tensor(g.data.astype(np.float32)) for g in minidl.grad(*args, **settings))

    monkeypatch.setitem(gradcheck.__globals__, "grad", narrow)
    with pytest.raises(GradientError, match=r"input 0 is \(2,\) float64 but its gradient is \(2,\) float32"):
        gradcheck(ops.exp, [data(2, backend=backend)])


def test_params_are_checked_too_and_are_left_as_they_were(backend):
    weight, bias = (data(*shape, backend=backend).requires_grad_() for shape in [(3, 2), (2,)])
    arrays, before = [weight.data, bias.data], [weight.numpy().copy(), bias.numpy().copy()]
    report = gradcheck(
        lambda x: ops.tanh(x @ weight + bias), [data(4, 3, backend=backend)], params=[weight, bias], order=2
    )
    assert {c.input for c in report.comparisons} == {"input 0", "input 1", "param 0", "param 1"}
    assert [weight.data is arrays[0], bias.data is arrays[1]] == [True, True]
    assert weight.grad is None
    np.testing.assert_array_equal(weight.numpy(), before[0])
    np.testing.assert_array_equal(bias.numpy(), before[1])
    with pytest.raises(GradientError, match="param 0"):
        gradcheck(lambda x: x * weight[0, 0].detach(), [data(2, backend=backend)], params=[weight])


def test_integers_are_passed_on_and_several_outputs_are_all_looked_at(backend):
    picks = tensor([2, 0, 2], backend=backend)
    gradcheck(lambda x, i: [x[i], i, x * x], [data(3, backend=backend), picks], order=2)
    planted = wrong(lambda x: x * 2, lambda g, x: g)
    with pytest.raises(GradientError):
        gradcheck(lambda x: [x * 3, planted(x)], [data(3, backend=backend)])


def test_float32_inputs_are_checked_in_float64_and_are_not_touched(backend):
    x = tensor([0.5, 0.7], backend=backend)
    assert gradcheck(ops.sqrt, [x]).ok
    assert (x.dtype, x.requires_grad) == (np.float32, False)


def test_inputs_without_elements_have_nothing_to_be_wrong():
    assert gradcheck(ops.exp, [np.zeros((0, 3))], order=2).comparisons == ()


def test_there_must_be_something_to_check():
    with pytest.raises(ValueError, match="needs inputs of floating point"):
        gradcheck(lambda i: i, [np.array([1, 2])])
    with pytest.raises(ValueError, match="float64"):
        gradcheck(ops.exp, [np.ones(2)], params=[tensor([1.0], requires_grad=True)])
