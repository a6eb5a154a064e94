"""The checker is checked: right gradients pass, and each way of being wrong is found, placed and named."""

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl import Tensor, ops, tensor
from minidl.nn import functional as F
from minidl.testing import GradientError, check_vjp, gradcheck
from tests.testing.planted import data, factors, smooth, wrong

sizes = pytest.mark.parametrize("shape", [(5,), (20, 25)], ids=["element by element", "in random directions"])


# ------------------------------------------------------------------------------------------------------ right gradients
def test_a_right_gradient_passes_to_any_order_and_the_report_has_a_row_for_each_input(backend):
    report = gradcheck(lambda x, y: ops.exp(x * y), [data(2, 3, backend=backend), data(3, backend=backend)], order=3)
    assert (report.ok, report.faults, report.broken) == (True, (), ())
    inputs = ["input 0", "input 1"]
    of_gradient = [*inputs, "upstream 0"]
    assert [row.input for row in report.rows] == [*inputs, *of_gradient, *of_gradient, "upstream 0", "upstream 1"]
    assert [row.function.count("gradient of") for row in report.rows] == [0] * 2 + [1] * 3 + [2] * 5
    assert all(row.ok and row.error < 1e-6 and row.looked_at == f"{np.prod(row.shape)} elements" for row in report.rows)


@pytest.mark.parametrize("mode", ["auto", "full", "project", "complex"])
@sizes
def test_a_right_gradient_passes_in_every_mode(mode, shape):
    report = gradcheck(ops.tanh, [data(*shape)], mode=mode, order=2)
    at_once = "8 directions" if (mode == "project" or shape != (5,)) and mode != "full" else "500 elements"
    assert report.rows[0].looked_at == ("5 elements" if shape == (5,) else at_once)


def test_integers_and_none_are_passed_on_and_several_outputs_are_all_looked_at(backend):
    picks = tensor([2, 0, 2], backend=backend)

    def several(x, nothing, i):
        assert nothing is None
        return [x[i], i, x * x]

    assert gradcheck(several, [data(3, backend=backend), None, picks], order=2).ok
    planted = wrong(lambda x: x * 2, lambda g, x: g)
    with pytest.raises(GradientError, match=r"from output 1 \[\d\]"):
        gradcheck(lambda x: [x * 3, planted(x)], [data(3, backend=backend)])


def test_numbers_arrays_lists_and_tensors_are_all_inputs():
    assert gradcheck(lambda x, y, z, t: x * y * z + t, [2.0, np.array([1.0, 2]), [3.0, 4.0], data(2)]).ok


def test_an_input_that_the_function_does_not_use_has_a_gradient_of_zeros():
    used, unused = gradcheck(lambda x, y: x * 2, [data(2), data(3)]).rows
    assert (used.analytic != 0, unused.analytic, unused.numeric) == (True, 0, 0)
    assert (used.verdict, unused.verdict) == ("ok", "unused")


def test_inputs_without_elements_have_nothing_to_be_wrong():
    assert gradcheck(ops.exp, [np.zeros((0, 3))], order=2).rows == ()


def test_params_are_checked_too_to_any_order_and_are_left_as_they_were(backend):
    weight, bias = (data(*shape, backend=backend).requires_grad_() for shape in [(3, 2), (2,)])
    arrays, before = [weight.data, bias.data], [weight.numpy().copy(), bias.numpy().copy()]
    x = data(4, 3, backend=backend)
    report = gradcheck(lambda x: ops.tanh(x @ weight + bias), [x], params=[weight, bias], order=2)
    assert [row.input for row in report.rows[3:]] == ["input 0", "param 0", "param 1", "upstream 0"]
    assert [weight.data is arrays[0], bias.data is arrays[1], weight.grad] == [True, True, None]
    assert weight.is_leaf
    assert weight.requires_grad
    np.testing.assert_array_equal(weight.numpy(), before[0])
    np.testing.assert_array_equal(bias.numpy(), before[1])
    with pytest.raises(GradientError, match="by param 0"):
        gradcheck(lambda x: x * weight[0, 0].detach(), [data(2, backend=backend)], params=[weight])
    assert weight.data is arrays[0]


def test_float32_is_checked_in_float64_and_in_float32_to_its_rounding(backend):
    seen = set()

    def root(x):
        seen.add(str(x.dtype))
        return ops.sqrt(x)

    x = tensor([0.5, 0.7], backend=backend)
    assert gradcheck(root, [x]).rows[0].error < 1e-9
    assert seen == {"float32", "float64"}
    assert (x.dtype, x.requires_grad) == (np.float32, False)
    report = gradcheck(wrong(lambda x: x * 2, lambda g, x: g * 2.00001), [x], raise_exception=False)
    assert report.broken == ("slope",)


def test_a_gradient_that_is_wrong_in_float32_only_is_found():
    def pull(g, x):
        return g * 2 * x * (np.float32(1.001) if x.dtype == np.float32 else 1.0)

    assert check_vjp(lambda x: x * x, pull, [np.ones(3)]).ok
    report = check_vjp(lambda x: x * x, pull, [np.ones(3, np.float32)], raise_exception=False)
    assert report.broken == ("precision",)
    assert "in float32 the gradient of input 0 at [0] is" in report.faults[0].message


def test_tolerances_can_be_given():
    planted = wrong(lambda x: x * 2, lambda g, x: g * 2.001)
    assert gradcheck(planted, [data(2)], rtol=1e-2).ok
    assert gradcheck(planted, [data(2)], atol=1e-2).ok
    exact = wrong(lambda x: x * 2, lambda g, x: g * (2 + 1e-9))
    assert gradcheck(exact, [data(2)]).ok
    assert not gradcheck(exact, [data(2)], mode="complex", rtol=1e-12, atol=0, raise_exception=False).ok


@given(scale=st.sampled_from([1e-6, 1e-3, 1, 1e3, 1e6]), seed=st.integers(0, 99), shape=st.sampled_from([(3,), (150,)]))
@example(1e-6, 0, (3,))
def test_the_step_suits_the_size_of_the_input(scale, seed, shape):
    x = scale * np.random.default_rng(seed).uniform(0.5, 1.5, shape)
    assert gradcheck(ops.log, [x]).ok
    assert gradcheck(lambda x: ops.exp(x / scale), [x]).ok
    assert gradcheck(lambda x: x * x, [x]).ok


def test_fast_oscillations_and_steep_places_need_smaller_steps_and_get_them():
    rng = np.random.default_rng(0)
    assert check_vjp(lambda x: np.sin(300 * x), lambda g, x: 300 * g * np.cos(300 * x), [rng.standard_normal(5)]).ok
    assert gradcheck(lambda x: 1 / x, [np.array([1e-5, 1.0, 20])]).ok
    assert gradcheck(ops.sqrt, [np.array([1e-7, 1.0])]).ok


def test_rounding_within_a_function_is_no_false_alarm():
    """(x + 1e6) - 1e6 keeps but ten digits."""
    assert gradcheck(lambda x: (x + 1e6) - 1e6, [data(5)]).ok
    assert gradcheck(lambda x: ops.logsumexp(x + 1e4) - 1e4, [data(300)]).ok


# ------------------------------------------------------------------------------------------------------ wrong gradients
@sizes
def test_a_scaled_gradient_is_found(backend, shape):
    planted = wrong(lambda x: x**2, lambda g, x: g * x * 2.0001)
    with pytest.raises(GradientError, match=r"is wrong at \[.*the slope is .*relative error 5\.0e-05"):
        gradcheck(planted, [data(*shape, backend=backend)])


@given(function=smooth, shape=st.sampled_from([(1,), (7,), (3, 4), (2, 1, 3)]), data=st.data())
def test_an_error_of_one_in_100000_in_one_element_is_always_found_and_placed(function, shape, data):
    value, slope = function
    index = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    x = np.random.default_rng(data.draw(st.integers(0, 999))).uniform(0.5, 1.5, shape)
    factor = factors(shape, index, 1 + 1e-5)
    right = check_vjp(value, lambda g, x: g * slope(x), [x])
    assert right.ok
    report = check_vjp(value, lambda g, x: g * slope(x) * factor, [x], raise_exception=False)
    assert report.broken == ("slope",)
    assert report.rows[0].place == str(list(index))
    assert report.rows[0].error == pytest.approx(1e-5, rel=0.1)


@given(seed=st.integers(0, 2**32 - 1), place=st.integers(0, 999))
def test_an_error_of_a_hundredth_in_one_element_of_1000_is_found_in_random_directions_and_placed(seed, place):
    x = np.random.default_rng(seed).uniform(0.5, 1.5, 1000)
    factor = factors((1000,), place, 1.01)
    report = check_vjp(np.exp, lambda g, x: g * np.exp(x) * factor, [x], seed=seed, raise_exception=False)
    assert report.broken == ("slope",)
    assert report.rows[0].looked_at == "8 directions"
    assert f"is wrong at [{place}]" in report.faults[0].message


def test_an_error_in_one_element_of_many_is_placed_by_halving():
    factor = factors((60, 50), (40, 7), 1.01)
    report = check_vjp(np.exp, lambda g, x: g * np.exp(x) * factor, [data(60, 50).numpy()], raise_exception=False)
    assert "is wrong at [40, 7]" in report.faults[0].message


def test_an_element_of_the_jacobian_is_found_whose_errors_cancel_in_the_sum_of_the_outputs():
    def swapped(g, x):
        return np.array([g[1] + g[0], g[0] + g[1]]) * 1.0

    report = check_vjp(lambda x: np.array([2 * x[0], 2 * x[1]]), swapped, [np.ones(2)], raise_exception=False)
    assert report.broken == ("slope",)


def test_a_transposed_gradient_is_found_because_the_upstream_gradient_is_random(backend):
    with pytest.raises(GradientError, match="transposed"):
        gradcheck(wrong(lambda x: 2 * x, lambda g, x: 2 * g.T), [data(3, 3, backend=backend)])


def test_small_gradients_are_held_to_their_own_size():
    x = np.random.default_rng(0).standard_normal(3)
    cases = [
        (lambda x: 1e-11 * x**2, lambda g, x: 0 * g, [x]),
        (lambda x: x * np.array([1e10, 0.1]), lambda g, x: g * np.array([1e10, -0.1]), [x[:2]]),
        (lambda x: (x * x).mean(), lambda g, x: 0 * g * x, [np.ones(10**5, np.float32)]),
        (lambda x: 1e12 + x, lambda g, x: 0 * g, [x]),
    ]
    for value, pull, inputs in cases:
        assert not check_vjp(value, pull, inputs, raise_exception=False).ok
    assert check_vjp(lambda x: 1e12 + x, lambda g, x: 1 * g, [x]).ok
    assert check_vjp(lambda x: 1e-11 * x**2, lambda g, x: 2e-11 * g * x, [x]).ok


def test_a_gradient_that_cancels_to_nothing_is_zero_whatever_rounding_makes_of_it():
    def net(x, w, b):
        return F.batch_norm(F.conv2d(x, w, b), None, None, training=True)

    for dtype in ("float64", "float32"):
        x, w, b = (data(*shape).to(dtype) for shape in [(4, 3, 5, 5), (4, 3, 3, 3), (4,)])
        assert gradcheck(net, [x, w, b]).ok


def test_an_element_that_cancels_to_nothing_is_rounded_as_its_neighbours_are():
    steps = np.random.default_rng([201, 12, 12]).permutation(12) + np.sqrt(0.2)  # one of them is its column's mean
    assert gradcheck(lambda x: ops.var(x, 0), [(-2 + 4 * steps / 12).reshape(3, 2, 2)], order=2, seed=201).ok


def test_what_is_kept_from_an_earlier_call_is_found():
    kept = []

    def square(x):
        kept.append(x.copy())
        return x**2

    report = check_vjp(square, lambda g, x: 2 * g * kept[0], [np.ones(3)], raise_exception=False)
    assert report.broken == ("slope",)
    assert "kept from an earlier call" in report.faults[0].guess


def test_a_forgotten_gradient_is_found(backend):
    def forgets(x, y):
        return x * y.detach()

    with pytest.raises(GradientError, match="by input 1"):
        gradcheck(forgets, [data(2, backend=backend), data(2, backend=backend)])
    with pytest.raises(GradientError, match="it is 0, the slope is"):
        gradcheck(lambda x: (x * x).detach(), [data(2, backend=backend)])


def test_a_gradient_that_cannot_be_differentiated_is_found_at_order_2_only(backend):
    planted = wrong(lambda x: x**3, lambda g, x: g * 3 * x.detach() ** 2)
    assert gradcheck(planted, [data(2, backend=backend)]).ok
    with pytest.raises(GradientError, match="the gradient of gradient of planted by input 0"):
        gradcheck(planted, [data(2, backend=backend)], order=2)


@sizes
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_a_number_is_found(bad, shape):
    with pytest.raises(GradientError, match="not finite"):
        gradcheck(wrong(lambda x: x * 2, lambda g, x: g * bad), [data(*shape)])


def test_a_value_that_is_not_a_number_has_no_slope():
    report = check_vjp(np.log, lambda g, x: g / x, [np.array([1.0, 0.0])], raise_exception=False)
    assert report.broken == ("finite",)


# ---------------------------------------------------------------------------------------------------------------- kinks
def test_a_kink_is_reported_with_the_slopes_to_both_sides(backend):
    x = tensor([-1.0, 0, 2], dtype="float64", backend=backend)
    (row,) = gradcheck(ops.relu, [x]).rows
    assert (row.verdict, row.place, row.analytic, row.kinks) == ("kink", "[1]", 0, 1)
    assert row.kink == pytest.approx((0, 1), abs=1e-9)
    (row,) = gradcheck(ops.absolute, [x]).rows
    assert row.kink == pytest.approx((-1, 1), abs=1e-9)


@pytest.mark.parametrize("slope", [-0.1, 1.1])
def test_a_slope_at_a_kink_that_is_not_between_those_of_the_sides_is_found(slope):
    def pull(g, x):
        return g * np.where(x == 0, slope, x > 0)

    report = check_vjp(lambda x: np.maximum(x, 0), pull, [np.array([-1.0, 0, 2])], raise_exception=False)
    assert report.broken == ("slope",)
    assert "is wrong at [1]: it is" in report.faults[0].message
    assert "the slopes to the two sides are 0 and 1" in report.faults[0].message


@pytest.mark.parametrize("share", [1.0, 0.75])
def test_ties_that_count_more_than_once_are_found(share):
    """Each share lies between the slopes 0 and 1, but equals that rise together make the largest rise only once."""
    report = check_vjp(
        lambda x: x.max(1),
        lambda g, x: g[:, None] * np.where((x == x.max(1, keepdims=True)).sum(1, keepdims=True) > 1, share, 1.0)
        * (x == x.max(1, keepdims=True)),
        [np.array([[3.0, 3.0, 1.0], [1.0, 2.0, 0.0]])],
        raise_exception=False,
    )  # fmt: skip
    assert report.broken == ("slope",)
    assert "at [0, 0] + [0, 1]" in report.faults[0].message
    assert "ties" in report.faults[0].guess


@pytest.mark.parametrize("op", [ops.amax, lambda x: x.max(0).values])
def test_ties_may_share_or_the_first_may_take_all(op):
    assert gradcheck(op, [np.array([3.0, 3.0, 1.0])]).rows[0].kinks == 2


def test_a_kink_nearby_is_stepped_over_by_smaller_steps():
    (row,) = gradcheck(ops.relu, [np.array([1e-6, -1e-5, 1e-4, -1e-3])]).rows
    assert (row.kinks, row.verdict) == (0, "ok")


@pytest.mark.parametrize("zeros", [1, 300])
def test_where_every_direction_goes_through_a_kink_it_looks_nearby(zeros):
    x = np.random.default_rng(0).standard_normal(300)
    x[:zeros] = 0
    (row,) = check_vjp(lambda x: np.maximum(x, 0), lambda g, x: g * (x > 0), [x]).rows
    assert (row.kinks, row.looked_at, row.ok) == (8, "8 directions nearby", True)
    report = check_vjp(np.abs, lambda g, x: g * np.sign(x) * (1 + (np.arange(300) == 7)), [x], raise_exception=False)
    assert report.broken == ("slope",)
    with pytest.raises(GradientError, match="resample"):
        gradcheck(ops.absolute, [x], kinks="error")
    assert gradcheck(ops.absolute, [x], kinks="resample").rows[0].looked_at == "8 directions"


def test_with_many_outputs_a_gradient_at_a_kink_is_not_let_through():
    def many(x):
        return np.concatenate([np.maximum(x, 0), np.outer(x, np.arange(1, 31.0)).ravel()])

    def pull(g, x):
        return g[:10] * (x > 0) + (g[10:].reshape(10, 30) * np.arange(1, 31)).sum(1)

    x = np.r_[0.0, np.ones(9)]
    assert check_vjp(many, pull, [x]).rows[0].kinks == 1
    report = check_vjp(many, lambda g, x: pull(g, x) * np.where(x == 0, -100, 1), [x], raise_exception=False)
    assert report.broken == ("slope",)


def test_where_no_choice_at_a_kink_suits_all_it_is_said_that_it_is_right_nearby():
    report = gradcheck(lambda x: ops.relu(x) - ops.relu(-x), [np.array([0.0, 1.0])], raise_exception=False)
    assert "a little away it is right: is an op within at a kink" in report.faults[0].guess


def test_the_gradient_of_a_kink_is_looked_at_nearby():
    report = gradcheck(ops.relu, [np.array([0.0, 1, -1])], order=2)
    assert [row.kinks for row in report.rows] == [1, 0, 0]


def test_a_kink_next_to_the_point_is_one():
    for distance in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4):
        assert gradcheck(ops.relu, [np.array([-distance, 1, 2])]).ok
        assert gradcheck(ops.relu, [np.array([distance, 1, 2])]).ok
        assert gradcheck(lambda x, d=distance: ops.clip(x, 0, 1), [np.array([1 + distance, 0.5, 0.2])]).ok


def test_a_slope_that_is_approached_slowly_is_one():
    assert check_vjp(
        lambda x: np.abs(x) ** 1.5, lambda g, x: 1.5 * g * np.sign(x) * abs(x) ** 0.5, [np.array([0.0, 1])]
    ).ok
    report = check_vjp(lambda x: np.sqrt(np.abs(x)), lambda g, x: 0 * g, [np.array([0.0])], raise_exception=False)
    assert report.broken == ("kink",)


@pytest.mark.parametrize("function", [np.floor, np.sign, lambda x: x + (x >= 0)], ids=["floor", "sign", "step"])
def test_where_values_jump_there_is_no_slope_to_be_right(function):
    slope = function(0.75) * 2 - function(0.5) * 2 > 0
    report = check_vjp(function, lambda g, x: slope * g, [np.zeros(2)], raise_exception=False)
    assert report.broken == ("kink",)
    assert "has no slope in input 0" in report.faults[0].message
    assert "do the values jump there" in report.faults[0].guess


def test_values_that_are_rounded_are_refused():
    def rounded(x):
        return np.exp(x.astype(np.float32)).astype(np.float64)

    for pull in (lambda g, x: 0 * g, lambda g, x: g * np.exp(x)):
        with pytest.raises(ValueError, match="rounded makes numbers rounded to float32"):
            check_vjp(rounded, pull, [np.array([0.3, 0.7])])
        with pytest.raises(ValueError, match="rounded to float32"):
            check_vjp(rounded, pull, [np.linspace(0.1, 1, 300)])


def test_values_of_lower_precision_than_the_inputs_are_refused():
    with pytest.raises(ValueError, match="makes float32 of float64, too coarse to see slopes in"):
        gradcheck(lambda x: x.to("float32") * 2, [np.ones(2)])


def test_kinks_can_be_resampled_away_or_be_errors():
    x = np.array([0.0, 1.0, 1.0])
    assert gradcheck(lambda x: ops.relu(x) + ops.amax(x), [x]).rows[0].kinks == 3
    assert gradcheck(lambda x: ops.relu(x) + ops.amax(x), [x], kinks="resample").rows[0].kinks == 0
    np.testing.assert_array_equal(x, [0, 1, 1])
    with pytest.raises(GradientError, match=r"relu has a kink in input 0, at \[0\]: .* 0 and 1"):
        gradcheck(ops.relu, [x], kinks="error")


# ------------------------------------------------------------------------------------------------------- whole networks
def test_a_network_passes_in_random_directions_parameters_included():
    minidl.manual_seed(0)
    x, w, b = data(2, 3, 6, 6), data(8, 3, 3, 3), data(8)

    def net(x, w, b):
        y = F.relu(F.batch_norm(F.conv2d(x, w, padding=1), None, None, training=True) + b.reshape(8, 1, 1) - 1)
        return F.cross_entropy(F.max_pool2d(y, 2).mean((2, 3)), tensor([1, 5]))

    assert gradcheck(net, [x, w, b], mode="project", order=2).ok


# ------------------------------------------------------------------------------------------------------ written by hand
def test_a_backward_pass_written_by_hand_is_checked():
    def linear(x, w, b):
        return x @ w + b

    def backward(g, x, w, b):
        return g @ w.T, x.T @ g, g.sum(0)

    inputs = [data(4, 3).numpy(), data(3, 2).numpy(), data(2).numpy()]
    report = check_vjp(linear, backward, inputs)
    assert [row.input for row in report.rows] == ["input 0", "input 1", "input 2"]
    assert re.search(r"gradients of linear \(tests.testing.test_gradcheck\.py:\d+\): all right", str(report))
    with pytest.raises(GradientError, match="broadcasting not undone"):
        check_vjp(linear, lambda g, x, w, b: (g @ w.T, x.T @ g, g.copy()), inputs)
    with pytest.raises(ValueError, match="got 2 gradients from vjp for 3 inputs"):
        check_vjp(linear, lambda g, x, w, b: (g @ w.T, x.T @ g), inputs)


def test_by_hand_several_outputs_come_with_a_tuple_of_gradients_and_integers_have_none():
    def pick(x, i):
        return x[i], 2 * x

    def backward(g, x, i):
        picked, doubled = g
        result = 2 * doubled
        np.add.at(result, i, picked)
        return result, None

    assert check_vjp(pick, backward, [data(3).numpy(), np.array([2, 2])]).ok


# -------------------------------------------------------------------------------------------------------- bad arguments
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "mode must be one of 'auto', 'full', 'project', 'complex', got 'fast'"),
        ({"kinks": "ignore"}, "kinks must be one of 'detect', 'resample', 'error', got 'ignore'"),
        ({"directions": 1}, "directions must be at least 2, got 1"),
        ({"eps": 0.0}, "eps must be positive, got 0.0"),
        ({"rtol": -1.0}, "rtol must not be negative, got -1.0"),
        ({"order": 0}, "order must be a whole number from 1, got 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        gradcheck(ops.exp, [np.ones(2)], **options)


def test_numbers_that_are_not_finite_are_left_where_they_are():
    mask = np.array([0, 0, -np.inf])
    report = check_vjp(
        lambda x, m: np.where(np.isinf(m), 0, x),
        lambda g, x, m: (np.where(np.isinf(m), 0, g), None),
        [np.ones(3), mask],
    )
    assert [row.looked_at for row in report.rows] == ["3 elements", "2 elements"]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([ops.exp, np.ones(3)], {}, "inputs must be a list or a tuple, one for each argument, got ndarray"),
        ([ops.exp, [np.ones(3)]], {"engine": dict}, "engine must be an adapter"),
        ([ops.exp, [np.ones(3)]], {"params": tensor([1.0])}, "params must be a list of tensors, got Tensor"),
        ([ops.exp, [np.ones(3)]], {"params": [tensor([1])]}, "params must be of floating point, got int64"),
        ([lambda x: None, [np.ones(3)]], {}, "must return tensors, got NoneType"),
        ([lambda x: {"y": x}, [np.ones(3)]], {}, "must return tensors, got dict"),
    ],
)
def test_bad_arguments_are_named(arguments, options, message):
    with pytest.raises(TypeError, match=message):
        gradcheck(*arguments, **options)


def test_bad_functions_by_hand_are_named():
    with pytest.raises(TypeError, match="f must return arrays of numbers, got NoneType"):
        check_vjp(lambda x: None, lambda g, x: g, [np.ones(2)])
    with pytest.raises(TypeError, match="vjp must return arrays of numbers, got str"):
        check_vjp(np.exp, lambda g, x: "no", [np.ones(2)])
    with pytest.raises(ValueError, match="returns complex numbers"):
        check_vjp(np.fft.fft, lambda g, x: g.real, [np.ones(2)])
    with pytest.raises(ValueError, match="order must be 1"):
        check_vjp(np.exp, lambda g, x: g * np.exp(x), [np.ones(2)], order=2)


def test_by_hand_outputs_that_are_integers_have_no_gradient():
    def pull(g, x):
        assert g[1] is None
        return 2 * g[0]

    assert check_vjp(lambda x: (x * 2, x.argmax()), pull, [np.array([1.0, 3.0])]).ok


def test_tied_parameters_count_once_and_a_generator_of_them_will_do():
    w = data(2)
    report = gradcheck(lambda x: x * w * w, [data(2)], params=(p for p in [w, w]))
    assert [row.input for row in report.rows] == ["input 0", "param 0"]


def test_running_statistics_of_a_module_stay_as_they_were():
    module = minidl.nn.BatchNorm2d(3)
    before = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    gradcheck(module, [data(2, 3, 2, 2)], params=list(module.parameters()))
    assert all(np.array_equal(before[name], value.numpy()) for name, value in module.state_dict().items())


def test_there_must_be_something_to_check():
    with pytest.raises(ValueError, match="needs inputs of floating point or params, got int64"):
        gradcheck(lambda i: i, [np.array([1, 2])])
    with pytest.raises(ValueError, match="returns nothing of floating point"):
        gradcheck(lambda x: ops.argmax(x), [np.ones(2)])
    with pytest.raises(TypeError, match="params"):
        gradcheck(ops.exp, [np.ones(2)], params=[np.ones(2)])


@pytest.mark.parametrize(
    ("value", "pull"),
    [
        (lambda x: np.abs(x) * x, lambda g, x: g * np.abs(x)),
        (lambda x: x * x.real, lambda g, x: g * x),
        (lambda x: (x * x.conj()).sum(), lambda g, x: 0 * x),
    ],
)
def test_complex_steps_are_not_believed_where_a_function_is_not_analytic(value, pull):
    with pytest.raises(ValueError, match="is not analytic here"):
        check_vjp(value, pull, [np.array([1.0, -2.0])], mode="complex")


def test_complex_steps_need_a_function_that_takes_them():
    with pytest.raises(ValueError, match=r"mode 'complex'.*absolute"):
        gradcheck(ops.absolute, [np.array([1.0, -2])], mode="complex")
    with pytest.raises(TypeError, match="logaddexp"):
        gradcheck(ops.softplus, [np.array([1.0, -2])], mode="complex")


def test_outputs_that_an_input_does_not_change_may_be_of_any_precision():
    def several(x, y):
        return [x * x, y * 3, ops.astype(x.detach() > 0, "float32")]

    for mode in ("auto", "complex"):
        assert gradcheck(several, [np.ones(2), np.ones(3)], mode=mode).ok


def test_a_report_is_a_table_and_the_error_has_it():
    planted = wrong(lambda x: x**2, lambda g, x: g * x)
    with pytest.raises(GradientError) as caught:
        gradcheck(planted, [np.array([1.0, 2.0, 4.0])])
    lines = str(caught.value).splitlines()
    assert re.fullmatch(r"gradcheck: gradients of planted \(tests.testing.planted\.py:\d+\): WRONG", lines[0])
    assert lines[1].split() == ["function", "by", "looked", "at", "worst", "at", "analytic", "numeric", "error"]
    assert re.match(r"WRONG  planted   input 0 \(3,\)  3 elements  \[\d\] ", lines[2])
    assert re.match(r"slope: the gradient of planted by input 0, of shape \(3,\), is wrong at \[\d\]: it is", lines[3])
    assert "off by a factor of 0.5 everywhere" in lines[4]
    assert caught.value.report.broken == ("slope",)


def test_of_many_inputs_those_that_are_wrong_are_shown():
    def last_forgotten(*xs):
        return sum(xs[1:], xs[0]) * xs[-1].detach()

    report = gradcheck(last_forgotten, [data(1) for _ in range(20)], raise_exception=False)
    lines = str(report).splitlines()
    assert [line[:5] for line in lines[2:4]] == ["WRONG", "(and "]
    assert lines[3] == "(and 19 inputs that are ok)"


def test_the_seed_chooses_the_directions():
    rows = [gradcheck(ops.exp, [data(300)], seed=seed).rows[0].analytic for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


def test_gradients_are_checked_also_within_no_grad():
    with minidl.no_grad():
        assert gradcheck(lambda x: x * x, [Tensor(np.ones(3))]).ok
