"""EfficientNet beyond what holds for every model: scaling, published names and costs, stochastic depth, the start."""

import math
from unittest import mock

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.models import efficientnet
from minidl.models.efficientnet import EfficientNet, MBConv
from tests.models.agreement import shapes
from tests.models.cost import multiply_adds
from tests.models.undrawn import Undrawn

without_drawing = mock.patch("minidl.random.generator", Undrawn)

# φ, d, w as released by the authors.
RELEASED = [
    (0, 1.0, 1.0),
    (0.5, 1.1, 1.0),
    (1, 1.2, 1.1),
    (2, 1.4, 1.2),
    (3.5, 1.8, 1.4),
    (5, 2.2, 1.6),
    (6, 2.6, 1.8),
    (7, 3.1, 2.0),
]


def test_the_rule_gives_the_depths_and_widths_that_were_released():
    α, β = efficientnet.α, efficientnet.β
    assert (round(α, 1), round(β, 1)) == (1.2, 1.1)  # section 3.3
    for φ, d, w in RELEASED:
        assert (round(α**φ, 1), round(β**φ, 1)) == (d, w)


@without_drawing
def test_the_keys_are_those_of_torchvisions_weights():
    state = shapes(models.efficientnet_b0())
    published = {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.0.1.running_mean": (32,),
        "features.1.0.block.0.0.weight": (32, 1, 3, 3),
        "features.1.0.block.1.fc1.weight": (8, 32, 1, 1),
        "features.1.0.block.1.fc1.bias": (8,),
        "features.1.0.block.1.fc2.weight": (32, 8, 1, 1),
        "features.1.0.block.2.0.weight": (16, 32, 1, 1),
        "features.1.0.block.2.1.num_batches_tracked": (),
        "features.2.0.block.0.0.weight": (96, 16, 1, 1),
        "features.2.0.block.1.0.weight": (96, 1, 3, 3),
        "features.2.0.block.2.fc1.weight": (4, 96, 1, 1),
        "features.2.1.block.3.0.weight": (24, 144, 1, 1),
        "features.3.0.block.1.0.weight": (144, 1, 5, 5),
        "features.6.3.block.3.1.weight": (192,),
        "features.7.0.block.3.0.weight": (320, 1152, 1, 1),
        "features.8.0.weight": (1280, 320, 1, 1),
        "classifier.1.weight": (1000, 1280),
        "classifier.1.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published
    assert [key for key in state if key in published] == list(published)


def by_hand(model, size):
    """Multiply-adds from the weights alone: a gate works on 1×1, any other convolution on what the strides leave."""
    total = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            gate = module.bias is not None
            size = size if gate else math.ceil(size / module.stride[0])
            total += module.weight.numel() * (1 if gate else size**2)
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()
    return total


# Image size, G multiply-adds as torchvision documents them, as the paper's Table 2 has them (B2: of 260×260 images).
COSTS = {
    "efficientnet_b0": (224, 0.39, 0.39),
    "efficientnet_b1": (240, 0.69, 0.70),
    "efficientnet_b2": (288, 1.09, None),
    "efficientnet_b3": (300, 1.83, 1.8),
    "efficientnet_b4": (380, 4.39, 4.2),
    "efficientnet_b5": (456, 10.27, 9.9),
    "efficientnet_b6": (528, 19.07, 19),
    "efficientnet_b7": (600, 37.75, 37),
}


@pytest.mark.parametrize("name", COSTS)
@without_drawing
def test_its_multiply_adds_are_those_of_table_2_and_of_torchvision(name):
    size, torchvisions, papers = COSTS[name]
    billions = by_hand(models.create_model(name), size) / 1e9
    assert billions == pytest.approx(torchvisions, abs=0.006)
    assert papers is None or billions == pytest.approx(papers, rel=0.05)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_lite0"])
@without_drawing
def test_what_runs_costs_what_the_weights_say(name):
    model = models.create_model(name)
    assert sum(multiply_adds(model, 96).values()) == by_hand(model, 96)


@without_drawing
def test_blocks_are_left_out_more_often_the_deeper_they_are():
    model = models.efficientnet_b0(stochastic_depth_prob=0.32)
    probabilities = [module.stochastic_depth.p for module in model.modules() if isinstance(module, MBConv)]
    np.testing.assert_allclose(probabilities, 0.02 * np.arange(16))
    assert models.efficientnet_b4().classifier[0].p == 0.4
    assert models.efficientnet_b4(dropout=0.1).classifier[0].p == 0.1


def test_a_block_left_out_is_its_input_and_the_expectation_is_the_block(backend):
    settings = (4, 8, 4, 3, 1, None, nn.BatchNorm2d, nn.SiLU)
    always, never, half = (MBConv(*settings, stochastic_depth_prob=p).to(backend) for p in (1.0, 0.0, 0.5))
    half.load_state_dict(never.state_dict())
    x = minidl.randn(64, 4, 5, 5, backend=backend)
    np.testing.assert_array_equal(always(x).numpy(), x.numpy())
    whole, drawn = never(x).numpy() - x.numpy(), half(x).numpy() - x.numpy()
    kept = np.abs(drawn).max((1, 2, 3)) > 0
    assert 16 < kept.sum() < 48
    np.testing.assert_allclose(drawn[kept], 2 * whole[kept], rtol=1e-3, atol=1e-5)


@without_drawing
def test_lite_has_no_gates_and_no_swish():
    kinds = {type(module).__name__ for module in models.efficientnet_lite0().modules()}
    assert "ReLU6" in kinds
    assert not kinds & {"SiLU", "Sigmoid", "SqueezeExcitation"}


def test_the_start_is_torchvisions():
    minidl.manual_seed(0)
    model = models.efficientnet_b0()
    for name, p in model.named_parameters():
        if p.ndim > 1:
            wanted = 1 / np.sqrt(3000) if p.ndim == 2 else np.sqrt(2 / (p.shape[0] * np.prod(p.shape[2:])))
            assert abs(p.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * p.numel()), name
        elif name.endswith("bias"):
            assert not p.numpy().any(), name
    assert abs(model.classifier[1].weight.numpy()).max() <= 1 / np.sqrt(1000)


def test_a_shrunken_network_is_refused():
    with pytest.raises(ValueError, match="EfficientNet: φ must be at least 0, got -1"):
        EfficientNet(-1, 0.2)
