"""Gates in other networks beyond what holds for every model: where they are, what they cost, and open ones."""

import functools
from unittest import mock

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.models.squeeze_excitation import SqueezeExcitation
from tests.models.agreement import shapes
from tests.models.cost import multiply_adds
from tests.models.undrawn import Undrawn

without_drawing = mock.patch("minidl.random.generator", Undrawn)


@functools.cache
@without_drawing
def undrawn(name):
    """A network of which only names and shapes matter."""
    return getattr(models, name)()


def gates(model):
    """The gates by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, SqueezeExcitation)}


PLACES = {
    "se_inception": [
        f"features.inception_{row}.se_module" for row in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    ],
    "se_mobilenet_v1": [f"features.{i}.se_module" for i in range(1, 14)],
    "se_vgg16_bn": [f"features.{i}.se_module" for i in (2, 5, 9, 12, 16, 19, 22, 26, 29, 32, 36, 39, 42)],
    "se_densenet121": [
        f"features.denseblock{i}.denselayer{j + 1}.se_module"
        for i, depth in enumerate((6, 12, 24, 16), start=1)
        for j in range(depth)
    ],
}


@pytest.mark.parametrize("name", PLACES)
def test_there_is_a_gate_at_the_end_of_every_part(name):
    assert list(gates(undrawn(name))) == PLACES[name]


def open_wide(model):
    """Let all through."""
    for gate in gates(model).values():
        nn.init.zeros_(gate.fc2.weight)
        nn.init.constant_(gate.fc2.bias, 100)


@pytest.mark.parametrize(
    ("name", "without"),
    [("se_inception", "bn_inception"), ("se_mobilenet_v1", "mobilenet_v1"), ("se_densenet121", "densenet121")],
)
def test_with_open_gates_it_is_the_network_without(backend, name, without):
    minidl.manual_seed(0)
    plain, gated = (getattr(models, function)(num_classes=3).to(backend) for function in (without, name))
    found = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert {key.rsplit(".", 2)[0] for key in found.missing_keys} == set(gates(gated))
    x = minidl.randn(2, 3, 64, 64, backend=backend)
    wanted = plain(x).numpy()
    assert np.abs(gated(x).numpy() - wanted).max() > 1e-3 * np.abs(wanted).max()
    open_wide(gated)
    np.testing.assert_array_equal(gated(x).numpy(), wanted)


COSTS = {"se_inception": 2.04, "se_mobilenet_v1": 0.572, "se_vgg16_bn": 15.48}  # Tables 2 and 3, in units of 10⁹


@pytest.mark.parametrize("name", COSTS)
def test_the_multiply_adds_are_those_of_tables_2_and_3(name):
    model, scales = undrawn(name), []
    for gate in gates(model).values():
        gate.register_forward_hook(lambda _, args, y: scales.append(y.numel()))
    costs = multiply_adds(model, 32)
    once = sum(cost for part, cost in costs.items() if "fc" in part or "classifier" in part)
    total = (sum(costs.values()) - once + sum(scales)) * 7**2 + once
    assert total / 1e9 == pytest.approx(COSTS[name], rel=3e-3)


@without_drawing
def test_the_settings_are_those_of_the_gates():
    model = models.se_mobilenet_v1(width=0.5, num_classes=10, in_channels=1, reduction=8, bias=False)
    assert shapes(model)["features.13.se_module.fc1.weight"] == (64, 512, 1, 1)
    assert not any(key.endswith("fc1.bias") for key in shapes(model))
    tanh = models.se_densenet121(num_classes=2, squeeze="max", scale_activation=nn.Tanh, drop_rate=0.1)
    assert {type(gate.scale_activation) for gate in gates(tanh).values()} == {nn.Tanh}
    assert {gate.squeeze for gate in gates(tanh).values()} == {"max"}
    with pytest.raises(TypeError, match="ratio"):
        models.se_mobilenet_v1(ratio=4)
