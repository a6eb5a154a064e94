"""Every op, function and layer is held to every law, over the tables of samples; what has no row there fails."""

import inspect

import numpy as np
import pytest

from minidl import grad, nn, ops, tensor
from minidl.nn import functional as F
from minidl.testing.laws import LAWS
from tests.table import FUNCTIONS, LAYERS, OPS, SAMPLES

HELPERS = {"Methods", "accelerated", "as_tensors", "compare", "primitive"}  # make ops, or no tensors of floating point


def cases(backend):
    """Each law with each sample that it says something about there, and with no other backend."""
    return [
        pytest.param(law, sample, id=f"{law}: {sample}")
        for sample in SAMPLES
        for law in LAWS
        if law.applies(sample, backend)
    ]


@pytest.mark.parametrize(("law", "sample"), cases("numpy"))
def test_the_law(law, sample, backend):
    law(sample, backend)


@pytest.mark.parametrize("backend", ["cupy"], indirect=True)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_numpy_and_cupy_agree(sample, backend):
    next(law for law in LAWS if law.name == "backends")(sample, backend)


def test_every_op_has_a_row():
    assert {sample.name for sample in OPS} == set(ops.__all__) - HELPERS


def test_every_function_has_a_row():
    composed = {name for name in F.__all__ if getattr(F, name) is not getattr(ops, name, None)}
    assert {sample.name for sample in FUNCTIONS} == composed


def test_every_layer_with_parameters_has_a_row():
    classes = {name: cls for name in nn.__all__ if isinstance(cls := getattr(nn, name), type)}
    layers = {name: new(cls) for name, cls in classes.items() if issubclass(cls, nn.Module)}
    assert {sample.name for sample in LAYERS} == {name for name, layer in layers.items() if [*layer.parameters()]}


def new(cls):
    """A layer of any class, with the same small number for everything that must be given."""
    required = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
    return cls(*[4 for p in required if p.kind is p.POSITIONAL_OR_KEYWORD])


@pytest.mark.parametrize("name", sorted({sample.name for sample in SAMPLES}))
def test_rows_do_not_escape_a_law_by_saying_too_little(name):
    samples = [sample for sample in SAMPLES if sample.name == name]
    assert all(sample.oracle for sample in samples)
    if not any(sample.order for sample in samples):
        assert not any(y.requires_grad for sample in samples for y in sample.apply(*leaves(sample)))
    elif not any(sample.linear for sample in samples):
        assert not all(is_linear(sample) for sample in samples)


def leaves(sample, seed=0):
    """The inputs; those of floating point require a gradient."""
    return [tensor(x, requires_grad=x.dtype.kind == "f") for x in sample.arrays(seed=seed)]


def is_linear(sample):
    """Whether what is made of the middle of two points is the middle of what is made of them."""
    xs, ys = leaves(sample), leaves(sample, seed=1)
    middle = [(x + y) / 2 if x.requires_grad else x for x, y in zip(xs, ys, strict=True)]
    results = zip(*(sample.apply(*arguments) for arguments in (xs, ys, middle)), strict=True)
    return all(np.allclose(c.numpy(), (a.numpy() + b.numpy()) / 2) for a, b, c in results if c.dtype.kind == "f")


def test_every_kernel_is_held_to_its_composition():
    (law,) = (law for law in LAWS if law.name == "kernel")
    accelerated = {sample.name for sample in SAMPLES if law.applies(sample)}
    assert accelerated >= {"conv2d", "batch_norm", "max_pool2d", "avg_pool2d", "Conv2d", "BatchNorm2d"}


@pytest.mark.parametrize("number", [2, 0.5, True, np.float64(0.5), np.int64(3), np.float32(0.5), np.array(3)], ids=repr)
@pytest.mark.parametrize("op", ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum"])
def test_numbers_take_the_type_of_the_tensor_they_meet(op, number, backend):
    x = tensor([1.0, 2.0], backend=backend, requires_grad=True)
    for y in (getattr(ops, op)(x, number), getattr(ops, op)(number, x)):
        assert y.dtype == np.float32
        (g,) = grad(y.sum(), x)
        assert g.dtype == np.float32
