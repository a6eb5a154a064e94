"""MobileNetV3 beyond what holds for every model: published names and costs, the tables' sizes, the start."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.models import mobilenet_v3_large, mobilenet_v3_small
from tests.models.agreement import shapes
from tests.models.cost import multiply_adds


def test_the_keys_are_those_of_torchvisions_weights():
    state = shapes(mobilenet_v3_small())
    published = {
        "features.0.0.weight": (16, 3, 3, 3),
        "features.0.1.num_batches_tracked": (),
        "features.1.block.0.0.weight": (16, 1, 3, 3),
        "features.1.block.0.1.weight": (16,),
        "features.1.block.1.fc1.weight": (8, 16, 1, 1),
        "features.1.block.1.fc1.bias": (8,),
        "features.1.block.1.fc2.weight": (16, 8, 1, 1),
        "features.1.block.2.0.weight": (16, 16, 1, 1),
        "features.2.block.0.0.weight": (72, 16, 1, 1),
        "features.2.block.1.0.weight": (72, 1, 3, 3),
        "features.2.block.2.1.running_var": (24,),
        "features.4.block.1.0.weight": (96, 1, 5, 5),
        "features.4.block.2.fc1.weight": (24, 96, 1, 1),
        "features.4.block.3.0.weight": (40, 96, 1, 1),
        "features.11.block.3.1.bias": (96,),
        "features.12.0.weight": (576, 96, 1, 1),
        "classifier.0.weight": (1024, 576),
        "classifier.3.weight": (1000, 1024),
        "classifier.3.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published
    assert [key for key in state if key in published] == list(published)


@pytest.mark.parametrize(("model", "millions"), [(mobilenet_v3_large, 219), (mobilenet_v3_small, 56)])
def test_its_multiply_adds_are_those_of_table_3(model, millions):
    assert sum(multiply_adds(model(), 224).values()) / 1e6 == pytest.approx(millions, abs=2.5)


# Tables 1 and 2: (channels, size) of what comes in, once for each.
SIZES = {
    mobilenet_v3_large: [(16, 112), (24, 56), (40, 28), (80, 14), (112, 14), (160, 7), (960, 7)],
    mobilenet_v3_small: [(16, 112), (16, 56), (24, 28), (40, 14), (48, 14), (96, 7), (576, 7)],
}


@pytest.mark.parametrize("model", SIZES)
def test_its_images_have_the_sizes_of_the_tables(model):
    x, sizes = minidl.ones(1, 3, 224, 224), []
    with minidl.no_grad():
        for part in model().eval().features:
            x = part(x)
            sizes.append((x.shape[1], x.shape[2]))
    assert list(dict.fromkeys(sizes)) == SIZES[model]


def test_a_half_width_has_channels_in_eights():
    model = mobilenet_v3_large(width_mult=0.5)
    convolutions = [m for m in model.features.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.out_channels % 8 == 0 for m in convolutions)
    assert (convolutions[0].out_channels, convolutions[-1].out_channels) == (8, 480)
    assert model.classifier[3].in_features == 640


def test_the_start_is_torchvisions():
    minidl.manual_seed(0)
    model = mobilenet_v3_small()
    for name, p in model.named_parameters():
        if p.ndim > 1:
            wanted = 0.01 if p.ndim == 2 else np.sqrt(2 / (p.shape[0] * np.prod(p.shape[2:])))
            assert abs(p.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * p.numel()), name
        elif name.endswith("bias"):
            assert not p.numpy().any(), name


def test_a_width_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="MobileNetV3: width_mult must be positive, got 0"):
        mobilenet_v3_small(width_mult=0)
