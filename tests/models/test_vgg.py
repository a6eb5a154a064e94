"""VGG beyond what holds for every model: steps of small ones, what a stack of 3×3 sees, the start, other images."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.models.vgg import VGG, features
from tests.models.agreement import count, data, distances, shake, side_by_side


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("norm", [True, False], ids=["norm", "plain"])
def test_its_convolutions_step_as_the_twins_do(backend, norm, training):
    twins = pytest.importorskip("tests.models.vgg_twin")
    twin = shake(twins.features("64 M 128 M 256 256 M 512 512 M 512 512 M", norm, 2))
    ours = nn.Sequential(*features((1, 1, 2, 2, 2), norm, 2))
    x, g = data(2, (64, 33), 1)[0], np.random.default_rng(1).standard_normal((2, 512, 2, 1))
    got, wanted = side_by_side(ours, twin, training, "float64", x, [g], backend)
    for group in map(distances, got, wanted):
        assert max(group.values(), default=0) < 1e-6


def test_a_whole_network_of_one_stage_steps_as_the_twin_does():
    twins = pytest.importorskip("tests.models.vgg_twin")
    ours = VGG((1,), num_classes=7, in_channels=2)
    twin = shake(twins.Twin("64 M", False, 7, 2))
    got, wanted = side_by_side(ours, twin, True, "float64", *data(2, (20, 14), 1))
    for group in map(distances, got, wanted):
        assert max(group.values(), default=0) < 1e-6


@pytest.mark.parametrize(("depth", "side", "weights", "square_weights"), [(2, 5, 18, 25), (3, 7, 27, 49)])
def test_a_stack_sees_as_far_as_one_larger_convolution_with_fewer_weights(depth, side, weights, square_weights):
    channels = 4
    stack = nn.Sequential(*[nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(depth)])
    x = minidl.randn(1, channels, 15, 15, requires_grad=True)
    stack(x)[0, 0, 7, 7].backward()
    seen = np.argwhere(x.grad.numpy()[0, 0])
    np.testing.assert_array_equal([seen.min(0), seen.max(0)], [[7 - side // 2] * 2, [7 + side // 2] * 2])
    assert count(stack) == weights * channels**2
    assert count(nn.Conv2d(channels, channels, side, bias=False)) == square_weights * channels**2


def test_it_starts_as_torchvisions_does():
    minidl.manual_seed(0)
    model = VGG((1, 1), batch_norm=True)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            wanted = 0.01 if isinstance(module, nn.Linear) else np.sqrt(2 / (9 * module.out_channels))
            assert abs(module.weight.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * module.weight.numel())
            assert not module.bias.numpy().any()


def test_other_images_and_settings_do(backend):
    model = VGG((1, 1), num_classes=3, in_channels=1, dropout=0.3).to(backend)
    assert [part.p for part in model.modules() if isinstance(part, nn.Dropout)] == [0.3, 0.3]
    assert model(minidl.randn(2, 1, 9, 31, backend=backend)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"expected depths of 1 to 5 stages, got \(\)"):
        VGG(())
