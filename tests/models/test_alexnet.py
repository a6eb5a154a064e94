"""AlexNet beyond what holds for every model: the paper's sizes, the two GPUs, a step of the convolutions, the start."""

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.models.alexnet import ALEXNET_2012, ALEXNET_2014, features
from tests.models.agreement import count, distances, shake, side_by_side


@pytest.fixture(scope="module")
def published():
    """The network of 2012; it is built only once."""
    minidl.manual_seed(0)
    return models.alexnet_2012()


def layers(model):
    """The convolutions and the linear layers, in order."""
    return [layer for layer in model.modules() if isinstance(layer, (minidl.nn.Conv2d, minidl.nn.Linear))]


def test_each_layer_has_the_papers_parameters_and_neurons(published):
    neurons = []
    handles = [
        layer.register_forward_hook(lambda _, args, y: neurons.append(y[0].numel())) for layer in layers(published)
    ]
    published.eval()(minidl.ones(1, 3, 224, 224))
    for handle in handles:
        handle.remove()
    # Section 3.5; conv1 has 96 maps of 55×55, though the paper prints 253,440
    assert neurons == [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    parameters = [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]
    assert [count(layer) for layer in layers(published)] == parameters


def test_it_starts_as_the_paper_says(published):
    for layer, bias in zip(layers(published), (0, 1, 0, 1, 1, 1, 1, 0), strict=True):
        assert abs(layer.weight.numpy().std() / 0.01 - 1) < 0.02
        assert (layer.bias.numpy() == bias).all()


def test_the_gpus_meet_only_in_the_third_convolution(published):
    conv2, conv3, conv4 = (layer for layer in layers(published)[1:4])
    for conv, apart in ((conv2, True), (conv3, False), (conv4, True)):
        channels = conv.in_channels
        x = minidl.zeros(1, channels, 5, 5)
        quiet = conv(x).numpy()
        x.data[:, : channels // 2] = 1
        heard = (conv(x).numpy() != quiet).any(axis=(0, 2, 3))
        assert heard[: len(heard) // 2].all()
        assert heard[len(heard) // 2 :].any() != apart


@pytest.mark.parametrize("year", [2012, 2014])
def test_its_convolutions_step_as_the_twins_do(backend, year):
    twins = pytest.importorskip("tests.models.alexnet_twin")
    twin = shake(twins.nn.Sequential(*getattr(twins, f"features_{year}")()))
    ours = minidl.nn.Sequential(*features(ALEXNET_2012 if year == 2012 else ALEXNET_2014, 3))
    draw = np.random.default_rng(0).standard_normal
    x, g = 20 * draw((2, 3, 96, 72)), draw((2, 256, 2, 1))  # large, so that responses are normalised
    got, wanted = side_by_side(ours, twin, True, "float64", x, [g], backend)
    for group in map(distances, got, wanted):
        assert max(group.values(), default=0) < 1e-12


def test_dropout_has_its_place(published):
    assert [type(part).__name__ for part in published.classifier] == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
    assert published.classifier[2].p == 0.5
    tower = models.AlexNet([(4, 11, 4, 1, False, True)], num_classes=2, dropout=0.3)
    assert [type(part).__name__ for part in tower.classifier] == ["Dropout", "Linear", "ReLU"] * 2 + ["Linear"]
    assert tower.classifier[0].p == 0.3
    assert tower(minidl.ones(1, 3, 32, 32)).shape == (1, 2)
