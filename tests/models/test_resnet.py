"""ResNet beyond what holds for every model: published names, the cost of Table 1, shortcuts, the start."""

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.models.residual import BasicBlock, Bottleneck, ResidualBlock, make_shortcut
from minidl.models.resnet import ResNet
from tests.models.agreement import data, distances, shake, shapes, side_by_side
from tests.models.cost import multiply_adds


def test_the_keys_are_those_of_torchvisions_weights():
    state = shapes(models.resnet50())
    published = {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.weight": (64,),
        "bn1.bias": (64,),
        "bn1.running_mean": (64,),
        "bn1.running_var": (64,),
        "bn1.num_batches_tracked": (),
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.conv2.weight": (64, 64, 3, 3),
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer1.0.bn3.weight": (256,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.running_var": (256,),
        "layer1.1.conv1.weight": (64, 256, 1, 1),
        "layer2.0.conv1.weight": (128, 256, 1, 1),
        "layer2.0.downsample.0.weight": (512, 256, 1, 1),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.2.bn3.bias": (2048,),
        "fc.weight": (1000, 2048),
        "fc.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published
    assert [key for key in state if key in published] == list(published)
    assert len(state) == 320
    assert shapes(models.resnet18())["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert "layer1.0.downsample.0.weight" not in shapes(models.resnet18())


# In units of 10⁹. Table 1's are 1.8, 3.6, 3.8, 7.6, 11.3; a bottleneck that halves the image later costs a little more.
COSTS = {"resnet18": 1.81, "resnet34": 3.66, "resnet50": 4.09, "resnet101": 7.80, "resnet152": 11.51}


@pytest.mark.parametrize("name", COSTS)
def test_the_multiply_adds_are_those_torchvision_gives(name):
    costs = multiply_adds(getattr(models, name)(), 32)
    classifier = costs.pop("fc")
    assert round((sum(costs.values()) * 7**2 + classifier) / 1e9, 2) == COSTS[name]


def test_stages_make_images_of_the_sizes_in_table_1():
    sizes, model = {}, models.resnet18().eval()
    for name, part in model.named_children():
        part.register_forward_hook(lambda _, args, output, name=name: sizes.update({name: output.shape[1:]}))
    with minidl.no_grad():
        model(minidl.ones(1, 3, 224, 224))
    assert sizes["conv1"] == (64, 112, 112)
    assert [sizes[f"layer{i}"] for i in (1, 2, 3, 4)] == [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]


@pytest.mark.parametrize("depth", [20, 32, 56, 110])
def test_cifar_networks_have_the_stages_of_section_4_2(depth):
    model, n = models.resnet_cifar(depth), (depth - 2) // 6
    widths = [shapes(model)[f"layer{i}.{n - 1}.conv2.weight"] for i in (1, 2, 3)]
    assert widths == [(16, 16, 3, 3), (32, 32, 3, 3), (64, 64, 3, 3)]
    assert f"layer3.{n}.conv1.weight" not in shapes(model)
    assert sum(name.endswith("weight") and len(shape) > 1 for name, shape in shapes(model).items()) == depth


VARIANTS = {
    "A": (BasicBlock, {"shortcut": "A"}),
    "B": (BasicBlock, {"shortcut": "B"}),
    "bottleneck": (Bottleneck, {}),
    "bottleneck A": (Bottleneck, {"shortcut": "A"}),
    "groups": (Bottleneck, {"groups": 8, "width_per_group": 16}),
}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(16, 16), (9, 14)], ids=str)
def test_small_networks_step_as_pytorchs_do(backend, variant, size, training):
    twins = pytest.importorskip("tests.models.resnet_twin")
    block, settings = VARIANTS[variant]
    groups, share = settings.get("groups", 1), settings.get("width_per_group", 64)
    rows = twins.basic if block is BasicBlock else twins.bottleneck(groups, share)
    option = settings.get("shortcut", "B")
    twin = shake(twins.Twin(rows, (1, 2, 1), classes=7, colours=2, width=16, large=False, option=option)).double()
    ours = ResNet(block, (1, 2, 1), num_classes=7, in_channels=2, large_images=False, **settings)
    got, wanted = side_by_side(ours, twin, training, "float64", *data(2, size, 1, n=3), backend)
    for group in map(distances, got, wanted):
        assert max(group.values()) < 1e-9, max(group, key=group.get)


@pytest.mark.parametrize("size", [(4, 6), (5, 7)], ids=str)
def test_shortcut_a_keeps_every_second_pixel_and_fills_new_channels_with_zeros(backend, size):
    x = minidl.randn(2, 3, *size, backend=backend)
    shortcut = make_shortcut(3, 5, 2, "A")
    assert not list(shortcut.parameters())
    y = shortcut(x)
    assert y.shape == (2, 5, -(-size[0] // 2), -(-size[1] // 2))
    for (n, c, i, j), value in np.ndenumerate(y.numpy()):
        assert value == (x.numpy()[n, c, 2 * i, 2 * j] if c < 3 else 0)


def test_a_block_whose_shape_stays_adds_its_input_as_it_is():
    for option in "AB":
        assert isinstance(make_shortcut(8, 8, 1, option), nn.Identity)
        block = BasicBlock(8, 8, shortcut=option)
        block.residual = lambda x: -2 * x
        x = minidl.randn(2, 8, 3, 3)
        np.testing.assert_array_equal(block(x).numpy(), np.maximum(-x.numpy(), 0))


def test_the_start_is_he_s_by_fan_out_and_torchvisions_elsewhere():
    minidl.manual_seed(0)
    for name, p in models.resnet18(num_classes=10).named_parameters():
        if p.ndim == 4:
            wanted = np.sqrt(2 / (p.shape[0] * np.prod(p.shape[2:])))
            assert abs(p.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * p.numel()), name
        elif not name.startswith("fc"):
            assert (p.numpy() == name.endswith("weight")).all(), name


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_with_zero_init_residual_every_block_starts_as_its_shortcut(block):
    minidl.manual_seed(0)
    model = ResNet(block, (1, 1), zero_init_residual=True, large_images=False)
    blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == 2
    x = minidl.randn(2, 16, 8, 8)
    for module in blocks:
        np.testing.assert_array_equal(module(x).numpy(), np.maximum(module.downsample(x).numpy(), 0))
        x = module(x)
    assert (model[0].weight.numpy() != 0).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"resnet_cifar: depth must be 6n \+ 2 .* got 18"):
        models.resnet_cifar(18)
    with pytest.raises(ValueError, match=r"got 2$"):
        models.resnet_cifar(2)
    with pytest.raises(ValueError, match=r"shortcut must be 'A' \(zero padding\) or 'B' \(projection\), got 'C'"):
        models.resnet_cifar(20, shortcut="C")
    with pytest.raises(ValueError, match="x has 1 channels but weight expects 3"):
        models.resnet_cifar(8)(minidl.ones(1, 1, 8, 8))
    with pytest.raises(NotImplementedError, match="ResidualBlock has no residual"):
        ResidualBlock(4, 4)(minidl.ones(1, 4, 2, 2))
