"""Slopes from values alone are those that calculus knows, at any scale, and kinks are told from bends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.testing.difference import STEP, Tolerance, complex_step, differences, noise_of

TOLERANCE = Tolerance(1e-6, np.array(1e-10))
FUNCTIONS = {
    "exp": (np.exp, np.exp),
    "sin": (lambda x: np.sin(50 * x), lambda x: 50 * np.cos(50 * x)),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "inverse": (lambda x: 1 / x, lambda x: -1 / x**2),
    "log": (np.log, lambda x: 1 / x),
}


def measured(line, expected=np.nan, scale=1.0):
    """The slope of a scalar function at 0, when another is expected: all steps are gone through."""
    noise = noise_of(lambda t: line(t * scale))
    slopes, _ = differences(line, scale, STEP * scale, noise, np.array([expected]), TOLERANCE)
    return slopes


@given(name=st.sampled_from(sorted(FUNCTIONS)), x=st.floats(0.5, 2), scale=st.sampled_from([1e-5, 0.1, 1.0, 100.0]))
def test_slopes_of_smooth_functions_are_exact_to_the_tolerance(name, x, scale):
    f, slope = FUNCTIONS[name]
    slopes = measured(lambda t: np.array([f(x * (1 + t / scale))]), scale=scale)
    assert slopes.smooth[0]
    assert slopes.slope[0] == pytest.approx(slope(x) * x / scale, rel=1e-6)


@given(name=st.sampled_from(["exp", "cube", "log"]), x=st.floats(0.5, 2))
def test_complex_steps_are_exact_to_rounding(name, x):
    f, slope = FUNCTIONS[name]
    slopes = complex_step(lambda t: np.array([f(x + t)]), 1e-20, np.zeros(1), TOLERANCE)
    assert slopes.slope[0] == pytest.approx(slope(x), rel=1e-15)


@given(left=st.floats(-3, 3), jump=st.floats(0.01, 3), curvature=st.floats(-50, 50))
def test_a_kink_has_the_slopes_of_both_sides(left, jump, curvature):
    slopes = measured(lambda t: np.array([left * t + jump * max(t, 0.0) + curvature * t**2]))
    assert not slopes.smooth[0]
    assert slopes.left[0] == pytest.approx(left, abs=1e-6)
    assert slopes.right[0] == pytest.approx(left + jump, abs=1e-6)


@given(distance=st.floats(1e-6, 3e-3), jump=st.sampled_from([-2.0, 0.1, 5.0]))
def test_a_kink_at_a_distance_is_none(distance, jump):
    slopes = measured(lambda t: np.array([3 * t + jump * max(t - distance, 0.0)]))
    assert slopes.smooth[0]
    assert slopes.slope[0] == pytest.approx(3, rel=1e-6)


def test_a_place_at_the_end_of_the_domain_is_measured_inside_it():
    slopes = measured(lambda t: np.array([np.log(1e-9 + t)]))
    assert slopes.slope[0] == pytest.approx(1e9, rel=1e-6)


def test_each_function_on_the_line_is_measured_for_itself():
    def line(t):
        return np.array([np.exp(t), abs(t), np.sin(1000 * t), 0.0])

    slopes = differences(line, 1.0, STEP, noise_of(line), np.full(4, np.nan), TOLERANCE)[0]
    assert slopes.smooth.tolist() == [True, False, True, True]
    np.testing.assert_allclose(slopes.slope[[0, 2, 3]], [1, 1000, 0], rtol=1e-6, atol=1e-9)


def test_rounding_is_measured():
    assert noise_of(lambda t: np.array([1e6 + t]))[0] > 1e-11
    assert noise_of(lambda t: np.array([t]))[0] < 1e-25
