"""Activations and the softmax against PyTorch's, and at their exact edges."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl.nn import functional as F
from tests.kernels.windows import layouts
from tests.nn.functional.compare import accuracies, agree, normal, seeds, torch

TF = torch.nn.functional

CURVES = {
    "relu": (F.relu, TF.relu),
    "relu6": (F.relu6, TF.relu6),
    "leaky_relu": (F.leaky_relu, TF.leaky_relu),
    "leaky_relu of slope 0.2": (lambda x: F.leaky_relu(x, 0.2), lambda x: TF.leaky_relu(x, 0.2)),
    "leaky_relu of slope -1": (lambda x: F.leaky_relu(x, -1), lambda x: TF.leaky_relu(x, -1)),
    "silu": (F.silu, TF.silu),
    "gelu": (F.gelu, TF.gelu),
    "gelu by tanh": (lambda x: F.gelu(x, "tanh"), lambda x: TF.gelu(x, approximate="tanh")),
    "sigmoid": (F.sigmoid, TF.sigmoid),
    "hardsigmoid": (F.hardsigmoid, lambda x: TF.relu6(x + 3) / 6),  # theirs takes 1/6 in float32, and has no second
    "hardswish": (F.hardswish, TF.hardswish),
    "tanh": (F.tanh, TF.tanh),
    "softplus": (F.softplus, lambda x: torch.logaddexp(x, torch.zeros(()).double())),  # theirs is x beyond 20
}
curves = pytest.mark.parametrize("curve", CURVES)


@curves
@given(st.integers(0, 3), layouts, accuracies, seeds)
@example(3, "channel-major", ("float64", 2), 0)
def test_every_curve_is_pytorchs(backend, curve, n, layout, accuracy, seed):
    agree(backend, *CURVES[curve], 4 * normal(seed, n, 5, 3), accuracy=accuracy, layout=layout, seed=seed)


@curves
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_curve_has_pytorchs_value_and_slope_at_corners_and_far_out(backend, curve, dtype):
    corners = np.array([-3.0, -0.0, 0.0, 3.0, 6.0])
    agree(backend, *CURVES[curve], np.concatenate([corners, [-1e4, -100.0, -30, 30, 100, 1e4]]), accuracy=(dtype, 1))


@curves
def test_every_curve_keeps_nan_and_meets_infinity_as_pytorch_does(backend, curve):
    ours, theirs = CURVES[curve]
    x = np.array([np.nan, np.inf, -np.inf])
    with np.errstate(invalid="ignore"):
        got = ours(minidl.tensor(x, backend=backend)).numpy()
    np.testing.assert_array_equal(got, theirs(torch.from_numpy(x)).numpy())


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@given(shapes, st.data(), accuracies, seeds)
def test_softmax_is_pytorchs_along_any_axis(backend, name, shape, data, accuracy, seed):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1), "dim")
    ours, theirs = (getattr(library, name) for library in (F, TF))
    x = 3 * normal(seed, *shape)
    agree(backend, lambda x: ours(x, dim), lambda x: theirs(x, dim), x, accuracy=accuracy, seed=seed)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_neither_overflows_nor_stumbles_over_minus_infinity(backend, name, dtype):
    ours, theirs = (getattr(library, name) for library in (F, TF))
    x = np.array([[1e30, 0, -1e30], [1e4, 1e4, 9.9e3], [-np.inf, 1, 2], [0, -np.inf, -np.inf], [-1e30, -1e30, -1e30]])
    agree(backend, lambda x: ours(x, 1), lambda x: theirs(x, 1), x, accuracy=(dtype, 1))


@pytest.mark.parametrize("row", [[-np.inf, -np.inf], [np.inf, 0.0], [np.nan, 0.0]])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_what_has_none_is_nan(backend, name, row):
    with np.errstate(all="ignore"):
        got = getattr(F, name)(minidl.tensor(row, dtype="float64", backend=backend), 0)
    np.testing.assert_array_equal(got.numpy(), getattr(TF, name)(torch.tensor(row, dtype=torch.float64), 0).numpy())


@given(shapes, seeds)
def test_softmax_adds_up_to_one(backend, shape, seed):
    y = F.softmax(minidl.tensor(100 * normal(seed, *shape), backend=backend), -1)
    np.testing.assert_allclose(y.sum(-1).numpy(), 1, rtol=1e-12)
