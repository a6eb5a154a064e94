"""ResNeXt beyond what holds for every model: the sum over paths, published names and costs."""

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.models.residual import Bottleneck
from minidl.nn import functional as F
from tests.models.agreement import shapes
from tests.models.cost import multiply_adds


def test_the_keys_are_those_of_torchvisions_weights():
    state = shapes(models.resnext50_32x4d())
    published = {
        "conv1.weight": (64, 3, 7, 7),
        "layer1.0.conv1.weight": (128, 64, 1, 1),
        "layer1.0.conv2.weight": (128, 4, 3, 3),
        "layer1.0.conv3.weight": (256, 128, 1, 1),
        "layer1.0.downsample.1.bias": (256,),
        "layer2.0.conv2.weight": (256, 8, 3, 3),
        "layer4.2.conv2.weight": (1024, 32, 3, 3),
        "layer4.2.bn3.running_mean": (2048,),
        "fc.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published


COSTS = {"resnext50_32x4d": 4.23, "resnext101_32x8d": 16.41, "resnext101_64x4d": 15.46}


@pytest.mark.parametrize("name", COSTS)
def test_the_multiply_adds_are_those_torchvision_gives(name):
    costs = multiply_adds(getattr(models, name)(), 32)
    classifier = costs.pop("fc")
    assert round((sum(costs.values()) * 7**2 + classifier) / 1e9, 2) == COSTS[name]


def test_the_residual_is_a_sum_over_paths_that_do_not_meet():
    minidl.manual_seed(0)
    groups, share = 4, 32
    block = Bottleneck(16, 8, groups=groups, width_per_group=share).eval()
    d = 8 * share // 64
    x = minidl.randn(2, 16, 5, 6)
    wanted = 0
    for i in range(groups):
        path = slice(i * d, (i + 1) * d)
        y = F.relu(F.conv2d(x, block.conv1.weight[path]) / np.sqrt(1 + 1e-5))
        y = F.relu(F.conv2d(y, block.conv2.weight[path], padding=1) / np.sqrt(1 + 1e-5))
        wanted = wanted + F.conv2d(y, block.conv3.weight[:, path])
    wanted = wanted / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(block.residual(x).numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)
