"""NASNet beyond what holds for every model: published names and costs, the cells, odd and even sizes."""

import functools
from unittest import mock

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.models.nasnet import NASNet
from minidl.models.nasnet_cell import Cell, Pool, SeparableConv2d
from minidl.nn import functional as F
from tests.models.agreement import distances, shake, shapes
from tests.models.cost import multiply_adds
from tests.models.undrawn import Undrawn


@functools.cache
@mock.patch("minidl.random.generator", Undrawn)
def undrawn():
    """The network, where only names and shapes matter."""
    return models.nasnet_a_mobile()


def test_the_keys_are_those_of_published_weights():
    state = shapes(undrawn())
    published = {
        "conv0.conv.weight": (32, 3, 3, 3),
        "conv0.bn.running_var": (32,),
        "cell_stem_0.conv_1x1.conv.weight": (11, 32, 1, 1),
        "cell_stem_0.conv_1x1.bn.weight": (11,),
        "cell_stem_0.comb_iter_0_left.separable_1.depthwise_conv2d.weight": (11, 1, 5, 5),
        "cell_stem_0.comb_iter_0_left.separable_1.pointwise_conv2d.weight": (11, 11, 1, 1),
        "cell_stem_0.comb_iter_0_left.bn_sep_1.weight": (11,),
        "cell_stem_0.comb_iter_0_right.separable_1.depthwise_conv2d.weight": (32, 1, 7, 7),
        "cell_stem_0.comb_iter_0_right.separable_1.pointwise_conv2d.weight": (11, 32, 1, 1),
        "cell_stem_1.conv_1x1.conv.weight": (22, 44, 1, 1),
        "cell_stem_1.path_1.conv.weight": (11, 32, 1, 1),
        "cell_stem_1.path_2.conv.weight": (11, 32, 1, 1),
        "cell_stem_1.final_path_bn.bias": (22,),
        "cell_0.path_1.conv.weight": (22, 44, 1, 1),
        "cell_1.conv_prev_1x1.conv.weight": (44, 88, 1, 1),
        "cell_1.conv_1x1.conv.weight": (44, 264, 1, 1),
        "cell_3.comb_iter_4_left.bn_sep_2.weight": (44,),
        "reduction_cell_0.comb_iter_1_right.separable_2.depthwise_conv2d.weight": (88, 1, 7, 7),
        "cell_6.conv_1x1.conv.weight": (88, 352, 1, 1),
        "cell_15.conv_1x1.conv.weight": (176, 1056, 1, 1),
        "last_linear.weight": (1000, 1056),
        "last_linear.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published
    assert [key for key in state if key in published] == list(published)


def test_its_multiply_adds_are_those_of_table_3():
    assert sum(multiply_adds(undrawn(), 224).values()) / 1e6 == pytest.approx(564, abs=0.5)


WAYS = {
    ("normal", "pointwise"): "squeeze",
    ("normal", "halved"): "halve",
    ("reduction", "pointwise"): "squeeze",
    ("reduction", "halved"): "halve",
    ("reduction", "nothing"): "alone",
}


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (5, 8), (2, 3)])
@pytest.mark.parametrize(("kind", "fit"), WAYS)
def test_a_cell_steps_as_pytorchs_does(backend, kind, fit, size):
    twins = pytest.importorskip("tests.models.nasnet_twin")
    twin = shake(getattr(twins, kind.title())(6, 10, 4, WAYS[kind, fit])).double()
    ours = Cell(kind, 6, 10, 4, fit).to("float64").to(backend)
    ours.load_state_dict(twin.state_dict())
    rng = np.random.default_rng(0)
    larger = tuple(2 * n - 1 for n in size) if fit == "halved" else size
    before, h = rng.standard_normal((2, 6, *larger)), rng.standard_normal((2, 10, *size))
    y = ours(*(minidl.tensor(a, backend=backend) for a in (before, h)))
    wanted = twin(*map(twins.torch.from_numpy, (before, h)))
    g = rng.standard_normal(wanted.shape)
    minidl.backward([y], [minidl.tensor(g, backend=backend)])
    wanted.backward(twins.torch.from_numpy(g))
    np.testing.assert_allclose(y.numpy(), wanted.detach().numpy(), rtol=1e-9, atol=1e-9)
    got = {name: p.grad.numpy() for name, p in ours.named_parameters()}
    assert max(distances(got, {name: p.grad.numpy() for name, p in twin.named_parameters()}).values()) < 1e-6


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2])
def test_windows_are_as_many_as_strides_fit(backend, stride, n):
    x = minidl.ones(1, 2, n, n, backend=backend)
    count = -(-n // stride)
    for layer in (Pool(stride, F.avg_pool2d, count_include_pad=False), Pool(stride, F.max_pool2d)):
        assert (layer(x).numpy() == np.ones((1, 2, count, count))).all()
    for kernel_size in (3, 5, 7):
        assert SeparableConv2d(2, 3, kernel_size, stride).to(backend)(x).shape == (1, 3, count, count)


def test_a_small_one_learns_images_of_any_channels(backend):
    model = NASNet(1, 4, 8, num_classes=5, in_channels=1).to(backend)
    y = model(minidl.randn(4, 1, 33, 40, backend=backend))
    assert y.shape == (4, 5)
    y.sum().backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


def test_the_start_is_he_s_by_fan_out():
    minidl.manual_seed(0)
    for name, p in NASNet(1, 16, 32).named_parameters():
        if p.ndim > 1:
            wanted = np.sqrt(2 / (p.shape[0] * np.prod(p.shape[2:])))
            assert abs(p.numpy().std() / wanted - 1) < 5 / np.sqrt(2 * p.numel()), name
        elif name.endswith("bias"):
            assert not p.numpy().any(), name


def test_filters_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(ValueError, match="NASNet: filters must be a multiple of 4, got 6"):
        NASNet(1, 6, 8)
