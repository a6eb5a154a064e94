"""MobileNet beyond what holds for every model: the paper's tables, row by row, and the start."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.models import mobilenet_v1
from minidl.models.mobilenet_v1 import DepthwiseSeparable
from tests.models.cost import multiply_adds

# Table 1: kernel, channels in, channels out (None: depthwise), stride, size of the images that come in.
TABLE_1 = [
    (3, 3, 32, 2, 224),
    (3, 32, None, 1, 112),
    (1, 32, 64, 1, 112),
    (3, 64, None, 2, 112),
    (1, 64, 128, 1, 56),
    (3, 128, None, 1, 56),
    (1, 128, 128, 1, 56),
    (3, 128, None, 2, 56),
    (1, 128, 256, 1, 28),
    (3, 256, None, 1, 28),
    (1, 256, 256, 1, 28),
    (3, 256, None, 2, 28),
    (1, 256, 512, 1, 14),
    *[(3, 512, None, 1, 14), (1, 512, 512, 1, 14)] * 5,
    (3, 512, None, 2, 14),
    (1, 512, 1024, 1, 7),
    (3, 1024, None, 1, 7),
    (1, 1024, 1024, 1, 7),
]


def test_its_layers_are_those_of_table_1():
    model = mobilenet_v1().eval()
    found = []

    def note(conv, args, _):
        (kernel, _), (stride, _) = conv.kernel_size, conv.stride
        outputs = None if conv.groups == conv.in_channels else conv.out_channels
        assert outputs or conv.in_channels == conv.out_channels
        assert args[0].shape[2] == args[0].shape[3]
        found.append((kernel, conv.in_channels, outputs, stride, args[0].shape[2]))

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with minidl.no_grad():
        model(minidl.ones(1, 3, 224, 224))
    assert found == TABLE_1
    assert model.classifier.weight.shape == (1000, 1024)


MILLIONS = {(1.0, 224): 569, (0.75, 224): 325, (0.5, 224): 149, (0.25, 224): 41}  # Table 6
MILLIONS |= {(1.0, 192): 418, (1.0, 160): 290, (1.0, 128): 186}  # Table 7


@pytest.mark.parametrize(("width", "size"), MILLIONS)
def test_its_multiply_adds_are_those_of_tables_6_and_7(width, size):
    total = sum(multiply_adds(mobilenet_v1(width), size).values())
    assert total / 1e6 == pytest.approx(MILLIONS[width, size], abs=0.7)  # 290.7 became 290


# Kind of layer: percent of the multiply-adds, of the weights. The table has 1.19 for 1.91, and so adds up to 99.29.
TABLE_2 = {"1": (94.86, 74.59), "3 depthwise": (3.06, 1.06), "3": (1.91, 0.02), "linear": (0.18, 24.33)}


def test_the_shares_of_the_kinds_of_layers_are_those_of_table_2():
    model = mobilenet_v1()
    costs, found = multiply_adds(model, 224), dict.fromkeys(TABLE_2, np.zeros(2))
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            kind = f"{module.kernel_size[0]}{' depthwise' * (module.groups > 1)}"
        elif isinstance(module, nn.Linear):
            kind = "linear"
        else:
            continue
        found[kind] = found[kind] + [costs[name], module.weight.numel()]
    percent = 100 * np.array(list(found.values())) / sum(found.values())
    np.testing.assert_allclose(percent, list(TABLE_2.values()), atol=0.006)


@pytest.mark.parametrize(
    ("M", "size", "millions", "parameters"), [(512, 14, 52.3, 0.27), (384, 14, 29.6, 0.15), (384, 10, 15.1, 0.15)]
)
def test_one_layer_costs_what_table_3_says(M, size, millions, parameters):
    layer = DepthwiseSeparable(M, M)
    costs = sum(multiply_adds(layer, size, M).values())
    assert costs == (9 * M + M * M) * size**2  # equation 5
    assert costs / 1e6 == pytest.approx(millions, abs=0.06)
    assert sum(p.numel() for p in layer.parameters() if p.ndim == 4) / 1e6 == pytest.approx(parameters, abs=0.005)


def test_the_start_is_he_s_by_fan_out_and_a_small_classifier():
    minidl.manual_seed(0)
    model = mobilenet_v1(0.5)
    for name, p in model.named_parameters():
        if p.ndim > 1:
            wanted = 0.01 if p.ndim == 2 else np.sqrt(2 / (p.shape[0] * np.prod(p.shape[2:])))
            assert abs(p.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * p.numel()), name
    assert not model.classifier.bias.numpy().any()


def test_a_thin_network_keeps_eight_channels():
    assert mobilenet_v1(0.01).classifier.in_features == 10
    assert {m.out_channels for m in mobilenet_v1(0.01).modules() if isinstance(m, nn.Conv2d)} == {8, 10}


def test_a_width_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="MobileNetV1: width must be positive, got 0"):
        mobilenet_v1(0)
