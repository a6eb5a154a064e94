"""The laws that every op obeys, over the table of samples."""

import gc
import weakref

import numpy as np
import pytest

from minidl import Tensor, grad, no_grad, ops, tensor
from minidl.backend import to_backend
from minidl.testing import gradcheck
from tests.ops.table import SAMPLES

HELPERS = {"Methods", "accelerated", "as_tensors", "compare", "primitive"}
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)
every_linear_sample = pytest.mark.parametrize("sample", [s for s in SAMPLES if s.linear], ids=str)


def leaves(sample, backend, dtype=np.float64):
    return [tensor(x, backend=backend, requires_grad=True) for x in sample.arrays(dtype)]


def floats(sample, xs):
    return [y for y in sample.apply(*xs) if y.dtype.kind == "f"]


def random_like(y):
    return tensor(np.random.default_rng(y.numel()).standard_normal(y.shape).astype(y.dtype), backend=y.backend)


def gradients(sample, xs):
    ys = [y for y in floats(sample, xs) if y.requires_grad]
    return [g.numpy() for g in grad(ys, xs, [random_like(y) for y in ys])] if ys else []


def test_every_op_has_a_row():
    assert {sample.op for sample in SAMPLES} == set(ops.__all__) - HELPERS


@every_sample
def test_the_value_is_the_oracles_and_the_inputs_stay_as_they_were(sample, backend):
    arrays = sample.arrays()
    xs = leaves(sample, backend)
    results, expected = sample.apply(*xs), sample.expected(*arrays)
    assert len(results) == len(expected)
    for y, wanted in zip(results, expected, strict=True):
        assert y.shape == np.shape(wanted)
        assert y.dtype == np.asarray(wanted).dtype
        assert y.backend == backend or sample.op == "to"
        np.testing.assert_allclose(to_backend(y.data, "numpy"), wanted, rtol=1e-13, atol=1e-14)
    for x, array in zip(xs, arrays, strict=True):
        np.testing.assert_array_equal(x.numpy(), array)


@every_sample
def test_derivatives_are_the_slopes_of_the_values(sample, backend):
    if sample.op in ("argmax", "argmin"):
        pytest.skip("steps have no slope")
    gradcheck(sample.apply, [tensor(x, backend=backend) for x in sample.arrays()], order=sample.order)


@every_sample
def test_float32_stays_float32_and_is_as_exact_as_that_allows(sample, backend):
    xs, exact = leaves(sample, backend, np.float32), leaves(sample, backend)
    if sample.keeps_dtype:
        for y, wanted in zip(floats(sample, xs), floats(sample, exact), strict=True):
            assert y.dtype == np.float32
            np.testing.assert_allclose(y.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-5)
    for g, wanted in zip(gradients(sample, xs), gradients(sample, exact), strict=True):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, wanted, rtol=1e-4, atol=1e-4)


def strange_layouts(x):
    """The array in Fortran order, every other element of a larger one, backwards, and with the channels first."""
    spread = np.repeat(x[..., None], 2, axis=-1)[..., 0]
    backwards = np.flip(np.flip(x).copy())
    channels_first = x.swapaxes(0, 1).copy().swapaxes(0, 1) if x.ndim > 1 else x
    return [x.copy(order="F"), spread, backwards, channels_first]


@every_sample
def test_the_layout_in_memory_makes_no_difference(sample, backend):
    expected = [y.numpy() for y in sample.apply(*leaves(sample, backend))]
    slopes = gradients(sample, leaves(sample, backend))
    for arrays in zip(*map(strange_layouts, sample.arrays()), strict=True):
        xs = [Tensor(to_backend(x, backend)).requires_grad_() for x in arrays]
        for y, wanted in zip(sample.apply(*xs), expected, strict=True):
            np.testing.assert_allclose(y.numpy(), wanted, rtol=1e-14, atol=1e-15)
        for g, wanted in zip(gradients(sample, xs), slopes, strict=True):
            np.testing.assert_allclose(g, wanted, rtol=1e-12, atol=1e-13)


@every_sample
def test_the_graph_is_freed_by_reference_counting_alone(sample, backend):
    gc.disable()
    try:
        for create_graph in (None, False, True):
            xs = leaves(sample, backend)
            ys = floats(sample, [x * 1 for x in xs])
            watched = [weakref.ref(y) for y in ys] + [weakref.ref(y.data) for y in ys]
            if create_graph is not None and ys:
                found = grad(ys, xs, [random_like(y) for y in ys], create_graph=create_graph)
                watched += [weakref.ref(g) for g in found]
                del found
            del xs, ys
            assert all(ref() is None for ref in watched)
    finally:
        gc.enable()


@every_linear_sample
def test_a_linear_op_and_its_pullback_are_adjoint(sample, backend):
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩."""
    xs = leaves(sample, backend)
    results = sample.apply(*xs)
    ys = [random_like(result) for result in results]
    there = sum(np.vdot(result.numpy(), y.numpy()) for result, y in zip(results, ys, strict=True))
    back = sum(np.vdot(x.numpy(), g.numpy()) for x, g in zip(xs, grad(results, xs, ys), strict=True))
    np.testing.assert_allclose(there, back, rtol=1e-12, atol=1e-12)


@every_linear_sample
def test_the_graph_of_a_linear_op_does_not_keep_its_input_alive(sample, backend):
    xs = [x * 1 for x in leaves(sample, backend)]
    ys = sample.apply(*xs)
    owners = {id(y.data if y.data.base is None else y.data.base) for y in ys}
    watched = [weakref.ref(x.data) for x in xs if id(x.data) not in owners]
    del xs
    assert all(ref() is None for ref in watched)


@pytest.mark.parametrize(
    "sample",
    [
        s
        for s in SAMPLES
        if len(s.shapes) == 2
        and s.op in {"add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "where"}
    ],
    ids=str,
)
def test_broadcasting_is_tiling(sample, backend):
    xs = leaves(sample, backend)
    shape = np.broadcast_shapes(*sample.shapes)
    tiled = [tensor(np.broadcast_to(x.numpy(), shape), requires_grad=True, backend=backend) for x in xs]
    (y,), (wanted,) = sample.apply(*xs), sample.apply(*tiled)
    np.testing.assert_array_equal(y.numpy(), wanted.numpy())
    for g, x, repeated in zip(gradients(sample, xs), xs, gradients(sample, tiled), strict=True):
        new = tuple(range(repeated.ndim - x.ndim))
        stretched = tuple(i for i, n in enumerate(x.shape, len(new)) if n == 1)
        np.testing.assert_allclose(g, repeated.sum(new + stretched).reshape(x.shape), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("number", [2, 0.5, True, np.float64(0.5), np.int64(3), np.float32(0.5), np.array(3)], ids=repr)
@pytest.mark.parametrize("op", ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum"])
def test_numbers_take_the_type_of_the_tensor_they_meet(op, number, backend):
    x = tensor([1.0, 2.0], backend=backend, requires_grad=True)
    for y in (getattr(ops, op)(x, number), getattr(ops, op)(number, x)):
        assert y.dtype == np.float32
        (g,) = grad(y.sum(), x)
        assert g.dtype == np.float32


@every_sample
def test_nothing_is_recorded_where_it_need_not_be(sample, backend):
    xs = leaves(sample, backend)
    with no_grad():
        assert not any(y.requires_grad for y in sample.apply(*xs) if not any(y is x for x in xs))
    constants = [tensor(x, backend=backend) for x in sample.arrays()]
    assert not any(y.requires_grad for y in sample.apply(*constants))
