"""The squeeze-and-excitation block: equations 2 to 4 by loops, every squeeze and gate, gradients."""

import itertools
import math

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.models.squeeze_excitation import SQUEEZES, SqueezeExcitation, se_module
from minidl.testing import gradcheck

GATES = {
    nn.Sigmoid: lambda t: 1 / (1 + math.exp(-t)),
    nn.Tanh: math.tanh,
    nn.ReLU: lambda t: max(t, 0.0),
    nn.Hardsigmoid: lambda t: min(max(t / 6 + 0.5, 0.0), 1.0),
}
POOLS = {
    "avg": lambda pixels: sum(pixels) / len(pixels),
    "max": max,
    "std": lambda pixels: math.sqrt(sum((p - sum(pixels) / len(pixels)) ** 2 for p in pixels) / len(pixels) + 1e-5),
}
every_squeeze = pytest.mark.parametrize("squeeze", POOLS)
every_gate = pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.__name__)
biases = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])


def block(backend="numpy", channels=6, hidden=4, **settings):
    """A block in float64, and what it is applied to."""
    minidl.manual_seed(3)
    gate = SqueezeExcitation(channels, hidden, **settings).to(np.float64).to(backend)
    return gate, minidl.randn(2, channels, 3, 5, dtype="float64", backend=backend)


def test_there_is_a_loop_for_every_squeeze():
    assert POOLS.keys() == SQUEEZES.keys()


@biases
@every_gate
@every_squeeze
def test_it_is_what_the_equations_say(backend, squeeze, gate, bias):
    layer, u = block(backend, squeeze=squeeze, scale_activation=gate, bias=bias)
    (w1, w2), b1, b2 = (fc.weight.numpy()[:, :, 0, 0] for fc in (layer.fc1, layer.fc2)), [0] * 4, [0] * 6
    if bias:
        b1, b2 = layer.fc1.bias.numpy(), layer.fc2.bias.numpy()
    else:
        assert layer.fc1.bias is None
        assert layer.fc2.bias is None
    wanted = u.numpy().copy()
    for n in range(2):
        z = [POOLS[squeeze](u.numpy()[n, c].ravel().tolist()) for c in range(6)]
        hidden = [max(sum(w1[j, c] * z[c] for c in range(6)) + b1[j], 0) for j in range(4)]
        for c in range(6):
            wanted[n, c] *= GATES[gate](sum(w2[c, j] * hidden[j] for j in range(4)) + b2[c])
    np.testing.assert_allclose(layer(u).numpy(), wanted, rtol=1e-12, atol=1e-14)


@every_gate
@every_squeeze
def test_its_gradients_by_the_image_and_by_all_weights_are_right(backend, squeeze, gate):
    layer, u = block(backend, squeeze=squeeze, scale_activation=gate)
    report = gradcheck(layer, [u], params=list(layer.parameters()))
    assert len(report.rows) == 1 + 4
    assert not any(row.kinks for row in report.rows)


@every_squeeze
def test_so_are_gradients_of_gradients(backend, squeeze):
    layer, u = block(backend, squeeze=squeeze)
    assert gradcheck(layer, [u], params=list(layer.parameters()), order=2, mode="project").ok


@every_squeeze
def test_where_pixels_are_does_not_matter(backend, squeeze):
    layer, u = block(backend, squeeze=squeeze)
    order = np.random.default_rng(0).permutation(15)
    moved = minidl.tensor(u.numpy().reshape(2, 6, 15)[:, :, order].reshape(2, 6, 3, 5), backend=backend)
    wanted = layer(u).numpy().reshape(2, 6, 15)[:, :, order].reshape(2, 6, 3, 5)
    np.testing.assert_allclose(layer(moved).numpy(), wanted, rtol=1e-12)


def test_an_excitation_of_zero_halves_the_image(backend):
    layer, u = block(backend)
    nn.init.zeros_(layer.fc2.weight)
    nn.init.zeros_(layer.fc2.bias)
    np.testing.assert_array_equal(layer(u).numpy(), u.numpy() / 2)


@every_squeeze
def test_flat_images_and_single_pixels_have_finite_gradients(backend, squeeze):
    layer, _ = block(backend, squeeze=squeeze)
    for size in ((1, 1), (3, 3)):
        u = minidl.ones(2, 6, *size, dtype="float64", backend=backend).requires_grad_()
        layer(u).sum().backward()
        assert np.isfinite(u.grad.numpy()).all()


def test_float32_stays(backend):
    for squeeze, gate in itertools.product(POOLS, GATES):
        layer, u = block(backend, squeeze=squeeze, scale_activation=gate)
        y = layer.to(np.float32)(u.to(np.float32).requires_grad_())
        assert y.dtype == np.float32
        y.sum().backward()
        assert layer.fc1.weight.grad.dtype == np.float32


@pytest.mark.parametrize(("channels", "reduction", "hidden"), [(64, 16, 4), (64, 2, 32), (40, 16, 2), (12, 16, 1)])
def test_c_over_r_channels_are_left_but_one_at_least(channels, reduction, hidden):
    gate = se_module(channels, reduction)
    assert gate.fc1.weight.shape == (hidden, channels, 1, 1)
    assert gate.fc2.weight.shape == (channels, hidden, 1, 1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="squeeze must be one of 'avg', 'max', 'std'; got 'median'"):
        SqueezeExcitation(4, 2, squeeze="median")
    with pytest.raises(ValueError, match="reduction must be at least 1, got 0"):
        se_module(4, reduction=0)
    with pytest.raises(ValueError, match="channels"):
        SqueezeExcitation(4, 2)(minidl.ones(1, 3, 2, 2))
