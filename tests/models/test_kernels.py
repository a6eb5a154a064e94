"""Whole networks by kernels and by definitions, in float64: the same results, statistics and gradients."""

import contextlib

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.models import densenet_cifar, mobilenet_v1, resnet_cifar, vgg
from minidl.nn import functional as F

NETWORKS = {
    "DenseNet-BC-22": lambda: densenet_cifar(depth=22, growth_rate=12),
    "DenseNet-16 with dropout": lambda: densenet_cifar(depth=16, growth_rate=4, bottleneck=False, drop_rate=0.2),
    "ResNet-14, A": lambda: resnet_cifar(depth=14, shortcut="A"),
    "ResNet-14, B": lambda: resnet_cifar(depth=14, shortcut="B"),
    "VGG": lambda: nn.Sequential(
        *vgg.features([1, 2, 1], True, 3), nn.GlobalAvgPool2d(), nn.Flatten(), nn.Linear(256, 10)
    ),
    "MobileNet": lambda: mobilenet_v1(width=0.25, num_classes=10),
}


def names(y):
    """The ops that a tensor was computed by."""
    found, stack = set(), [y.node]
    while stack:
        node = stack.pop()
        if node is not None and node not in found:
            found.add(node)
            stack.extend(node.parents)
    return {node.name for node in found}


def outcome(name, backend, context):
    """The ops of one step and of one prediction from the same start, and all numbers that come out."""
    minidl.manual_seed(1)
    model = NETWORKS[name]().to(np.float64).to(backend)
    x = minidl.randn(8, 3, 16, 16, dtype="float64", backend=backend, requires_grad=True)
    labels = minidl.tensor([1, 3, 0, 2, 9, 9, 4, 5], backend=backend)
    found = {}
    with context():
        for mode in ("training", "evaluation"):
            model.train(mode == "training")
            model.zero_grad()
            x.grad = None
            y = model(x)
            loss = F.cross_entropy(y, labels)
            ops = names(loss)
            loss.backward()
            found |= {f"{mode}, y": y, f"{mode}, loss": loss, f"{mode}, image": x.grad}
            found |= {f"{mode}, {path}": p.grad for path, p in model.named_parameters()}
            found |= {f"{mode}, {path}": b.clone() for path, b in model.named_buffers()}
    return ops, {what: tensor.numpy() for what, tensor in found.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_compute_what_the_definitions_say(backend, name):
    ops, found = outcome(name, backend, contextlib.nullcontext)
    defined, expected = outcome(name, backend, minidl.definitions)
    assert "einsum" in defined - ops
    assert "conv2d" in ops - defined
    assert found.keys() == expected.keys()
    largest = {what: np.abs(array).max() for what, array in expected.items()}
    least = 1e-6 * max(largest.values())  # of a bias in front of a batch norm the gradient is 0 but for rounding
    for what, array in expected.items():
        tolerance = 1e-9 * max(largest[what], least)
        np.testing.assert_allclose(found[what], array, rtol=0, atol=tolerance, err_msg=what)
