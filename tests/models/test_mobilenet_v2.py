"""MobileNetV2 beyond what holds for every model: published names and costs, widths, what one block is."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.models import mobilenet_v2
from minidl.models.mobilenet_v2 import InvertedResidual, round_to_eight
from tests.models.agreement import count, shapes
from tests.models.cost import multiply_adds


def test_the_keys_are_those_of_torchvisions_weights():
    state = shapes(mobilenet_v2())
    published = {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.0.1.weight": (32,),
        "features.0.1.num_batches_tracked": (),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.1.conv.0.1.running_var": (32,),
        "features.1.conv.1.weight": (16, 32, 1, 1),
        "features.1.conv.2.bias": (16,),
        "features.2.conv.0.0.weight": (96, 16, 1, 1),
        "features.2.conv.1.0.weight": (96, 1, 3, 3),
        "features.2.conv.2.weight": (24, 96, 1, 1),
        "features.2.conv.3.running_mean": (24,),
        "features.14.conv.0.0.weight": (576, 96, 1, 1),
        "features.17.conv.2.weight": (320, 960, 1, 1),
        "features.18.0.weight": (1280, 320, 1, 1),
        "features.18.1.bias": (1280,),
        "classifier.1.weight": (1000, 1280),
        "classifier.1.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published
    assert [key for key in state if key in published] == list(published)
    assert len(state) == 52 + 5 * 52 + 2


def test_its_images_have_the_sizes_of_table_2():
    x, sizes = minidl.ones(1, 3, 224, 224), []
    with minidl.no_grad():
        for part in mobilenet_v2().eval().features:
            x = part(x)
            sizes.append((x.shape[1], x.shape[2]))
    table = [(32, 112), (16, 112), (24, 56), (32, 28), (64, 14), (96, 14), (160, 7), (320, 7), (1280, 7)]
    assert list(dict.fromkeys(sizes)) == table


# Width, size: parameters without batch norm's and multiply-adds, in millions, from the authors' table.
COSTS = {
    (1.0, 224): (3.47, 300),
    (1.0, 192): (3.47, 221),
    (1.0, 96): (3.47, 56),
    (1.4, 224): (6.06, 582),
    (0.75, 224): (2.61, 209),
    (0.5, 224): (1.95, 97),
    (0.35, 224): (1.66, 59),
}


@pytest.mark.parametrize(("width", "size"), COSTS)
def test_it_costs_what_the_authors_say(width, size):
    model = mobilenet_v2(width_mult=width)
    learned = count(model) - sum(count(module) for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    parameters, millions = COSTS[width, size]
    assert learned / 1e6 == pytest.approx(parameters, abs=0.006)
    assert sum(multiply_adds(model, size).values()) / 1e6 == pytest.approx(millions, abs=0.9)


@pytest.mark.parametrize("width", [0.35, 1.4])
def test_other_widths_are_rounded_as_torchvision_does(width):
    torch = pytest.importorskip("torch")
    twins = pytest.importorskip("tests.models.mobilenet_v2_twin")
    with torch.device("meta"):
        twin = twins.mobilenet_v2(width_mult=width)
    assert list(shapes(mobilenet_v2(width_mult=width)).items()) == list(shapes(twin).items())


def test_channels_are_rounded_to_multiples_of_eight_and_lose_at_most_a_tenth():
    assert [round_to_eight(c) for c in (1, 8, 11, 12, 19.9, 20, 24, 33.6)] == [8, 8, 16, 16, 24, 24, 24, 32]
    for tenth in range(10, 5000):
        rounded = round_to_eight(tenth / 10)
        assert rounded % 8 == 0
        assert rounded >= max(8, 0.9 * tenth / 10)


@pytest.mark.parametrize(("channels", "out_channels", "t"), [(4, 6, 3), (6, 6, 6)])
def test_a_block_costs_what_section_3_3_says(channels, out_channels, t):
    block = InvertedResidual(channels, out_channels, 1, t)
    costs = sum(multiply_adds(block, 10, channels).values())
    assert costs == 10 * 10 * channels * t * (channels + 9 + out_channels)


@pytest.mark.parametrize(("stride", "out_channels", "residual"), [(1, 4, True), (2, 4, False), (1, 6, False)])
def test_a_block_adds_its_input_where_the_shapes_agree(backend, stride, out_channels, residual):
    block = InvertedResidual(4, out_channels, stride, 2).to(backend).eval()
    nn.init.zeros_(block.conv[-1].weight)
    x = minidl.randn(2, 4, 6, 6, backend=backend)
    y = block(x).numpy()
    np.testing.assert_array_equal(y, x.numpy() if residual else np.zeros_like(y))


def test_the_start_is_torchvisions():
    minidl.manual_seed(0)
    model = mobilenet_v2()
    for name, p in model.named_parameters():
        if p.ndim > 1:
            wanted = 0.01 if p.ndim == 2 else np.sqrt(2 / (p.shape[0] * np.prod(p.shape[2:])))
            assert abs(p.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * p.numel()), name
    assert not model.classifier[1].bias.numpy().any()


def test_a_width_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="MobileNetV2: width_mult must be positive, got -1"):
        mobilenet_v2(width_mult=-1)
