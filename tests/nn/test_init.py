"""Initial weights: bounds, means and variances by the papers' formulas, gains and fans by PyTorch's."""

import math
from statistics import NormalDist

import numpy as np
import pytest

import minidl
from minidl import nn

SHAPE = (60, 20, 5, 5)  # 60 output channels in some number of groups, each with 20 inputs: fan in 500, fan out 1500


def filled(name, *args, backend="numpy", shape=SHAPE, **settings):
    minidl.manual_seed(0)
    return getattr(nn.init, name)(minidl.zeros(shape, backend=backend), *args, **settings).numpy()


def assert_moments(x, mean, variance, fourth):
    """Mean and variance within 5 standard deviations of what they are for draws with this fourth central moment."""
    x = x.astype(np.float64)
    assert abs(x.mean() - mean) < 5 * math.sqrt(variance / x.size)
    assert abs(x.var() - variance) < 5 * math.sqrt((fourth - variance**2) / x.size)


def assert_normal(x, mean, std):
    assert_moments(x, mean, std**2, 3 * std**4)
    fifth = NormalDist(mean, std).inv_cdf(0.2)
    assert abs((x < fifth).mean() - 0.2) < 5 * math.sqrt(0.16 / x.size)


def assert_uniform(x, low, high):
    width = high - low
    assert_moments(x, (low + high) / 2, width**2 / 12, width**4 / 80)
    assert low <= x.min() < low + 1e-3 * width
    assert high - 1e-3 * width < x.max() <= high


def test_uniform_and_normal(backend):
    assert_uniform(filled("uniform_", -1.0, 3.0, backend=backend), -1.0, 3.0)
    assert_normal(filled("normal_", 2.0, 0.5, backend=backend), 2.0, 0.5)


def test_xavier_keeps_the_variance_between_fan_in_and_fan_out(backend):
    bound = 2 * math.sqrt(6 / (500 + 1500))
    assert_uniform(filled("xavier_uniform_", gain=2.0, backend=backend), -bound, bound)
    assert_normal(filled("xavier_normal_", gain=2.0, backend=backend), 0.0, 2 * math.sqrt(2 / (500 + 1500)))


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 500), ("fan_out", 1500)])
@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_kaiming_makes_up_for_the_rectifier(backend, mode, fan, slope):
    std = math.sqrt(2 / (1 + slope**2) / fan)
    assert_normal(filled("kaiming_normal_", slope, mode, backend=backend), 0.0, std)
    bound = math.sqrt(3) * std
    assert_uniform(filled("kaiming_uniform_", slope, mode, backend=backend), -bound, bound)


def test_kaiming_keeps_the_size_of_activations_through_twenty_layers():
    x = minidl.randn(64, 128)
    for _ in range(20):
        weight = nn.init.kaiming_normal_(minidl.zeros(128, 128), nonlinearity="relu")
        x = (x @ weight.transpose(0, 1)).relu()
    assert 0.1 < (x * x).mean().item() < 10


def test_a_truncated_normal_is_one_without_its_tails(backend):
    x = filled("trunc_normal_", 1.0, 2.0, -1.0, 4.0, backend=backend)
    assert x.min() >= -1
    assert x.max() <= 4
    law = NormalDist(1.0, 2.0)
    for point in (0.0, 1.0, 2.0, 3.5):
        share = (law.cdf(point) - law.cdf(-1.0)) / (law.cdf(4.0) - law.cdf(-1.0))
        assert abs((x < point).mean() - share) < 5 * math.sqrt(share * (1 - share) / x.size)
    with pytest.raises(ValueError, match=r"less than 1 % of the draws with mean 0.0 and std 1.0"):
        filled("trunc_normal_", 0.0, 1.0, 4.0, 5.0)


def test_constants(backend):
    assert (filled("constant_", 0.5, backend=backend) == 0.5).all()
    assert (filled("ones_", backend=backend) == 1).all()
    weight = minidl.ones(3, backend=backend)
    assert nn.init.zeros_(weight) is weight
    assert weight.tolist() == [0, 0, 0]


def test_draws_follow_the_seed_and_are_the_same_on_every_backend(backend):
    first, again = filled("kaiming_normal_"), filled("kaiming_normal_", backend=backend)
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert (nn.init.normal_(minidl.zeros(SHAPE)).numpy() != first).all()


def test_weights_are_written_where_they_are():
    weight = nn.Parameter(np.zeros((3, 3), np.float32))
    array = weight.data
    assert nn.init.xavier_uniform_(weight) is weight
    assert weight.data is array
    assert weight.is_leaf
    assert weight.requires_grad


@pytest.mark.parametrize(
    ("nonlinearity", "param"),
    [
        ("linear", None),
        ("sigmoid", None),
        ("tanh", None),
        ("relu", None),
        ("selu", None),
        ("leaky_relu", None),
        ("leaky_relu", 0.3),
    ],
)
def test_gains_are_pytorchs(nonlinearity, param):
    torch = pytest.importorskip("torch")
    assert nn.init.calculate_gain(nonlinearity, param) == pytest.approx(
        torch.nn.init.calculate_gain(nonlinearity, param), rel=1e-12
    )


@pytest.mark.parametrize("layer", [lambda lib: lib.Linear(64, 32), lambda lib: lib.Conv2d(64, 32, (3, 5), groups=4)])
def test_layers_start_with_the_spread_of_pytorchs(layer):
    torch = pytest.importorskip("torch")
    mine, theirs = layer(nn), layer(torch.nn)
    for name in ("weight", "bias"):
        bound = getattr(theirs, name).abs().max().item()
        assert np.abs(getattr(mine, name).numpy()).max() == pytest.approx(bound, rel=0.2)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda: nn.init.calculate_gain("step"), "unknown nonlinearity 'step': use one of linear, .*leaky_relu"),
        (lambda: filled("kaiming_normal_", mode="fan_avg"), "unknown mode 'fan_avg': use 'fan_in' or 'fan_out'"),
        (lambda: filled("xavier_normal_", shape=(3,)), r"need a weight of shape \(out, in, \*kernel\).*got \(3,\)"),
        (lambda: filled("kaiming_uniform_", shape=(0, 3)), r"got \(0, 3\)"),
    ],
)
def test_what_has_no_answer_is_an_error(fill, message):
    with pytest.raises(ValueError, match=message):
        fill()
