"""SENet beyond what holds for every model: published names, Tables 2 and 10, each kind of block, settings."""

from unittest import mock

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.models.senet import SEBasicBlock, SEBottleneck, SENet, SENetBottleneck, SEResNetBottleneck
from minidl.testing import gradcheck
from tests.models.agreement import count, data, distances, shake, shapes, side_by_side
from tests.models.cost import multiply_adds
from tests.models.undrawn import Undrawn

without_drawing = mock.patch("minidl.random.generator", Undrawn)


@without_drawing
def test_the_keys_are_those_of_pretrainedmodels():
    state = shapes(models.se_resnet50())
    published = {
        "layer0.conv1.weight": (64, 3, 7, 7),
        "layer0.bn1.running_var": (64,),
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.bn3.weight": (256,),
        "layer1.0.se_module.fc1.weight": (16, 256, 1, 1),
        "layer1.0.se_module.fc1.bias": (16,),
        "layer1.0.se_module.fc2.weight": (256, 16, 1, 1),
        "layer1.0.se_module.fc2.bias": (256,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer4.2.se_module.fc1.weight": (128, 2048, 1, 1),
        "last_linear.weight": (1000, 2048),
        "last_linear.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published
    assert [key for key in state if key in published] == list(published)


def test_the_winner_has_a_deep_stem_thin_first_convolutions_and_wide_projections():
    state = shapes(SENet(SENetBottleneck, (1, 1), stem=((64, 3), (64, 3), (128, 3))))
    published = {
        "layer0.conv1.weight": (64, 3, 3, 3),
        "layer0.conv3.weight": (128, 64, 3, 3),
        "layer0.bn3.bias": (128,),
        "layer1.0.conv1.weight": (128, 128, 1, 1),
        "layer1.0.conv2.weight": (256, 2, 3, 3),
        "layer1.0.conv3.weight": (256, 256, 1, 1),
        "layer1.0.downsample.0.weight": (256, 128, 1, 1),
        "layer2.0.conv1.weight": (256, 256, 1, 1),
        "layer2.0.conv2.weight": (512, 4, 3, 3),
        "layer2.0.downsample.0.weight": (512, 256, 3, 3),
    }
    assert {key: state.get(key) for key in published} == published


TABLE_10 = {2: 45.7, 4: 35.7, 8: 30.7, 16: 28.1, 32: 26.9}  # millions, of which ResNet-50 is counted as 25.6


@without_drawing
@pytest.mark.parametrize("r", TABLE_10)
def test_reductions_cost_what_table_10_says(r):
    blocks = {256: 3, 512: 4, 1024: 6, 2048: 3}
    gates = sum(n * (2 * c * c // r + c // r + c) for c, n in blocks.items())
    model = models.se_resnet50(reduction=r)
    assert count(model) == 25_557_032 + gates
    assert abs(count(model) / 1e6 - TABLE_10[r]) < 0.11


@without_drawing
def test_without_biases_gates_take_the_weights_of_equation_5():
    gates = 2 / 16 * (3 * 256**2 + 4 * 512**2 + 6 * 1024**2 + 3 * 2048**2)
    assert count(models.se_resnet50(bias=False)) == 25_557_032 + gates


COSTS = {"se_resnet50": 3.87, "se_resnet101": 7.60, "se_resnext50_32x4d": 4.25}  # Table 2, in units of 10⁹


@without_drawing
@pytest.mark.parametrize("name", COSTS)
def test_the_multiply_adds_are_those_of_table_2(name):
    model, scales = getattr(models, name)(), []
    for part_name, part in model.named_modules():
        if part_name.endswith("se_module"):
            part.register_forward_hook(lambda _, args, y: scales.append(y.numel()))
    costs = multiply_adds(model, 32)
    once = sum(cost for part, cost in costs.items() if ".fc" in part or part == "last_linear")
    assert ((sum(costs.values()) - once + sum(scales)) * 7**2 + once) / 1e9 == pytest.approx(COSTS[name], rel=3e-3)


VARIANTS = {
    "basic": (SEBasicBlock, "basic", {}, {}),
    "ResNet": (SEResNetBottleneck, "caffe", {}, {}),
    "ResNeXt": (SEBottleneck, "resnext", {"groups": 32, "width_per_group": 4}, {}),
    "the winner": (SENetBottleneck, "winner", {"stem": ((64, 3), (64, 3), (128, 3)), "dropout": 0.2}, {"deep": True}),
}
SETTINGS = {
    "as published": ({}, {}),
    "max, r = 4": ({"squeeze": "max", "reduction": 4}, {"squeeze": "max", "reduction": 4}),
    "std, no biases": ({"squeeze": "std", "bias": False}, {"squeeze": "std", "bias": False}),
    "tanh": ({"scale_activation": nn.Tanh}, {"scale_activation": "tanh"}),
    "ReLU": ({"scale_activation": nn.ReLU}, {"scale_activation": "relu"}),
}
CASES = [(variant, "as published") for variant in VARIANTS] + [("basic", which) for which in list(SETTINGS)[1:]]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("variant", "which"), CASES)
def test_small_networks_step_as_pytorchs_do(backend, variant, which, training):
    twins = pytest.importorskip("tests.models.senet_twin")
    block, chain, ours, theirs = VARIANTS[variant]
    ablated, same = (dict(settings) for settings in SETTINGS[which])
    if "scale_activation" in same:
        same["scale_activation"] = getattr(twins.torch, same["scale_activation"])
    twins.torch.manual_seed(0)
    twin = shake(twins.Twin(getattr(twins, chain), (1, 2), classes=7, colours=2, **theirs, **same)).double()
    model = SENet(block, (1, 2), num_classes=7, in_channels=2, **ours, **ablated)
    assert list(shapes(model).items()) == list(shapes(twin).items())
    got, wanted = side_by_side(model, twin, training, "float64", *data(2, (13, 22), 1, n=3), backend)
    for group in map(distances, got, wanted):
        assert max(group.values()) < 1e-9, max(group, key=group.get)


@pytest.mark.parametrize("block", [SEBasicBlock, SEBottleneck, SEResNetBottleneck])
def test_a_block_adds_its_gated_residual_to_the_shortcut(backend, block):
    minidl.manual_seed(0)
    unit = block(8, 8, stride=2).eval().to(backend)
    x = minidl.randn(2, 8, 6, 6, backend=backend)
    u, shortcut = unit.residual(x).numpy(), unit.downsample(x).numpy()
    z = u.mean((2, 3))
    w1, w2 = (fc.weight.numpy()[:, :, 0, 0] for fc in (unit.se_module.fc1, unit.se_module.fc2))
    t = np.maximum(z @ w1.T + unit.se_module.fc1.bias.numpy(), 0) @ w2.T + unit.se_module.fc2.bias.numpy()
    wanted = np.maximum(u / (1 + np.exp(-t))[:, :, None, None] + shortcut, 0)
    np.testing.assert_allclose(unit(x).numpy(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_gradients_of_a_block_by_the_image_and_by_all_parameters_are_right(backend, training):
    minidl.manual_seed(0)
    unit = SEBasicBlock(3, 4, stride=2, reduction=2).to(np.float64).to(backend).train(training)
    x, params = minidl.randn(2, 3, 6, 6, dtype="float64", backend=backend), list(unit.parameters())
    report = gradcheck(unit, [x], params=params, mode="project", directions=3)
    assert len(report.rows) == 1 + len(params)


def test_the_image_is_halved_in_the_first_convolution_of_resnets_and_the_second_of_others():
    strides = {
        block: [conv.stride[0] for conv in (unit.conv1, unit.conv2, unit.conv3, unit.downsample[0])]
        for block in (SEResNetBottleneck, SEBottleneck, SENetBottleneck)
        for unit in [block(64, 64, stride=2)]
    }
    assert strides[SEResNetBottleneck] == [2, 1, 1, 2]
    assert strides[SEBottleneck] == strides[SENetBottleneck] == [1, 2, 1, 2]


def test_the_start_is_that_of_resnet_and_dropout_is_the_winners():
    minidl.manual_seed(0)
    model = SENet(SEBasicBlock, (1, 1), num_classes=10)
    for name, p in model.named_parameters():
        if p.ndim == 4:
            wanted = np.sqrt(2 / (p.shape[0] * np.prod(p.shape[2:])))
            assert abs(p.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * p.numel()), name
    assert model.dropout.p == 0
    with without_drawing:
        assert models.senet154(num_classes=2).dropout.p == 0.2
    small = SENet(SENetBottleneck, (1,), num_classes=3, dropout=0.2)
    x = minidl.ones(1, 3, 16, 16)
    small.eval()
    first = small(x).numpy()
    np.testing.assert_array_equal(small(x).numpy(), first)
    small.dropout.train()
    assert (small(x).numpy() != first).any()


def test_settings_that_nobody_knows_are_refused():
    with pytest.raises(TypeError, match="reductions"):
        models.se_resnet18(reductions=4)
    with pytest.raises(ValueError, match="squeeze must be one of 'avg', 'max', 'std'; got 'sum'"):
        models.se_resnet18(squeeze="sum")
    with pytest.raises(TypeError, match="squeeze"):
        models.resnet18(squeeze="max")
