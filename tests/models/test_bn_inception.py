"""BN-Inception beyond what holds for every model: the sizes of Figure 5, and pooling as wide as what is beside it."""

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.models.bn_inception import HalvingMaxPool2d
from minidl.nn import functional as F


def test_modules_have_the_sizes_of_figure_5_with_channels_as_its_widths_add_up():
    model, sizes = models.bn_inception().eval(), {}
    for name, part in model.features.named_children():
        part.register_forward_hook(lambda _, args, y, name=name: sizes.update({name: (*y.shape[2:], y.shape[1])}))
    model(minidl.ones(1, 3, 224, 224))
    assert sizes == {
        "conv1": (112, 112, 64),
        "pool1": (56, 56, 64),
        "conv2_reduce": (56, 56, 64),
        "conv2": (56, 56, 192),
        "pool2": (28, 28, 192),
        "inception_3a": (28, 28, 256),
        "inception_3b": (28, 28, 320),
        "inception_3c": (14, 14, 576),
        "inception_4a": (14, 14, 576),
        "inception_4b": (14, 14, 576),
        "inception_4c": (14, 14, 608),
        "inception_4d": (14, 14, 608),
        "inception_4e": (7, 7, 1056),
        "inception_5a": (7, 7, 1024),
        "inception_5b": (7, 7, 1024),
    }


def test_its_convolutions_would_have_10_016_biases():
    layers = [module for module in models.bn_inception().modules() if isinstance(module, nn.Conv2d)]
    assert len(layers) == 69
    assert all(layer.bias is None for layer in layers)
    assert sum(layer.out_channels for layer in layers) == 10_016


@pytest.mark.parametrize("size", [(28, 28), (9, 14), (7, 7), (4, 5), (2, 1)])
def test_halving_maxima_are_as_many_as_those_of_a_convolution_with_stride_2(backend, size):
    x = minidl.randn(2, 3, *size, backend=backend)
    y = HalvingMaxPool2d()(x)
    assert y.shape[2:] == nn.Conv2d(3, 1, 3, stride=2, padding=1).to(backend)(x).shape[2:]
    if size[0] % 2 == size[1] % 2 == 0:  # as Caffe
        np.testing.assert_array_equal(y.numpy(), F.max_pool2d(x, 3, 2, ceil_mode=True).numpy())
