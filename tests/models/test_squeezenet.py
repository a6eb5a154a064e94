"""SqueezeNet beyond what holds for every model: Table 1 by row, the cost of 1.1, the start."""

import numpy as np

import minidl
from minidl import models, nn
from minidl.models.squeezenet import Fire
from tests.models.agreement import count
from tests.models.cost import multiply_adds


def test_each_layer_has_the_parameters_of_table_1():
    model = models.squeezenet1_0()
    parts = [part for part in [*model.features, *model.classifier] if isinstance(part, (nn.Conv2d, Fire))]
    table = [14_208, 11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184, 513_000]
    assert [count(part) for part in parts] == table


def test_maps_have_the_sizes_of_table_1():
    model, sizes = models.squeezenet1_0(), []
    for part in model.features:
        if not isinstance(part, nn.ReLU):
            part.register_forward_hook(lambda _, args, y: sizes.append(y.shape[1:]))
    model.eval()(minidl.ones(1, 3, 227, 227))
    early = [(96, 111, 111), (96, 55, 55), (128, 55, 55), (128, 55, 55), (256, 55, 55), (256, 27, 27)]
    late = [(256, 27, 27), (384, 27, 27), (384, 27, 27), (512, 27, 27), (512, 13, 13), (512, 13, 13)]
    assert sizes == early + late


def test_its_multiply_adds_are_those_torchvision_documents():
    billions = [
        sum(multiply_adds(build(), 224).values()) / 1e9 for build in (models.squeezenet1_0, models.squeezenet1_1)
    ]
    assert [round(number, 2) for number in billions] == [0.82, 0.35]


def test_it_starts_as_torchvisions_does():
    minidl.manual_seed(0)
    model = models.squeezenet1_1()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            wanted = 0.01 if module is model.classifier[1] else np.sqrt(2 / module.weight[0].numel())
            assert abs(module.weight.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * module.weight.numel())
            assert not module.bias.numpy().any()


def test_dropout_is_before_the_last_convolution():
    model = models.squeezenet1_1(dropout=0.2)
    assert isinstance(model.classifier[0], nn.Dropout)
    assert model.classifier[0].p == 0.2
