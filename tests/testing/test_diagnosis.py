"""A usual mistake is called by its name."""

import numpy as np
import pytest

from minidl.testing import check_vjp
from minidl.testing.diagnosis import Case, guess

rng = np.random.default_rng(0)
N = rng.standard_normal((4, 3))
G = rng.standard_normal((4, 3))
SQUARE = rng.standard_normal((3, 3))
CUBE = rng.standard_normal((2, 3, 4))
ONE_WRONG = N.copy()
ONE_WRONG[1:3, 2] *= 1.5


@pytest.mark.parametrize(
    ("analytic", "numeric", "sentence"),
    [
        (np.where(N > 0, N, np.nan), N, "elements are not finite"),
        (0 * N, N, "zero everywhere: is a pullback dropped"),
        (N - G, N, "missing is the upstream gradient itself: a skip connection"),
        (G, N, "it is the upstream gradient, as it came"),
        (-N, N, "factor of -1 everywhere: a sign"),
        (2 * N, N, "factor of 2 everywhere: an edge counted twice"),
        (N / 2, N, "factor of 0.5 everywhere: a square's 2"),
        (4 * N, N, "factor of 4 everywhere: summed over axis 0, of length 4, where the mean"),
        (N / 3, N, "factor of 1/3 everywhere: averaged over axis 1, of length 3, where the sum"),
        (12 * N, N, "summed over the elements, which are 12"),
        (1.7 * N, N, "off by a factor of 1.7 everywhere"),
        (np.array(3.0), np.array(2.0), ""),
        (np.array(4.0), np.array(2.0), "factor of 2 everywhere: an edge counted twice"),
        (SQUARE, SQUARE.T, "transposed?"),
        (np.where(np.eye(3) == 1, 2 * SQUARE + 1, SQUARE), SQUARE, "3 of 9 elements are wrong; the others are right"),
        (SQUARE.T, SQUARE, "transposed?"),
        (N.T.reshape(4, 3), N, "reshaped where a transpose is meant"),
        (CUBE.transpose(0, 2, 1).reshape(2, 3, 4), CUBE, "transpose by (0, 2, 1)"),
        (N[::-1], N, "flipped along axis 0"),
        (np.roll(N, 1, 0), N, "shifted by 1 along axis 0"),
        (np.broadcast_to(N.sum(0), N.shape), N, "summed over axis 0: broadcasting not undone"),
        (np.broadcast_to(N.mean(1, keepdims=True), N.shape), N, "averaged over axis 1"),
        (N + N.mean(0), N, "the same all along axis 0: is a mean over it treated as a constant"),
        (N * [1, 2, 5], N, "for each place along axis 1: 1, 2, 5"),
        (ONE_WRONG, N, "2 of 12 elements are wrong, all within [1:3, 2]; the others are right"),
        (rng.standard_normal((4, 3)), N, ""),
    ],
)
def test_what_a_gradient_has_in_common_with_the_right_one_is_said(analytic, numeric, sentence):
    found = guess(Case(analytic, numeric, [G], {}))
    assert sentence in found
    assert bool(sentence) == bool(found)


def test_the_gradient_of_another_input_is_known():
    other = rng.standard_normal((4, 3))
    assert "it is the gradient of input 1: are two inputs" in guess(Case(other, N, [], {"input 1": other}))


def test_a_right_guess_is_not_disturbed_by_the_errors_of_measured_slopes():
    noise = 1 + 1e-8 * rng.standard_normal((4, 3))
    assert "counted twice" in guess(Case(2 * N * noise, N, [], {}))


def test_a_small_error_is_not_taken_for_another():
    slightly = N.copy()
    slightly[2, 1] *= 1 + 1e-5
    assert guess(Case(slightly, N, [], {})) == "1 of 12 elements is wrong, all within [2, 1]; the others are right"


def test_a_matrix_product_with_its_factors_exchanged_is_called_transposed():
    report = check_vjp(
        np.matmul, lambda g, x, y: ((y @ g.T).T, (x.T @ g).T), [SQUARE, SQUARE @ SQUARE], raise_exception=False
    )
    assert [fault.guess for fault in report.faults] == ["transposed?"]
