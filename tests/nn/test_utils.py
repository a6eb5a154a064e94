"""Gradient clipping, by norm and by value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import Tensor, nn
from minidl.backend import to_backend

SHAPES = [(3, 2), (4,), (), (2, 3, 4, 5)]


def leaves(seed, dtype, backend="numpy", scale=1.0):
    """Parameters with gradients, the last of them in an unusual layout, and one without."""
    rng = np.random.default_rng(seed)
    params = []
    for shape in SHAPES:
        gradient = np.asarray(scale * rng.normal(size=shape), dtype)
        if len(shape) == 4:
            gradient = np.ascontiguousarray(gradient.transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3)
        params.append(Tensor(to_backend(np.zeros(shape, dtype), backend)).requires_grad_())
        params[-1].grad = Tensor(to_backend(gradient, backend))
    return [*params, minidl.zeros(3, dtype=dtype, backend=backend, requires_grad=True)]


def gradients(params):
    return [p.grad.numpy().copy() for p in params if p.grad is not None]


norms = st.sampled_from([1.0, 2.0, 3.0, math.inf])
dtypes = st.sampled_from([np.float32, np.float64])


@given(seed=st.integers(0, 1000), max_norm=st.floats(0.01, 20.0), norm_type=norms, dtype=dtypes)
def test_clipping_scales_all_gradients_as_one_vector(backend, seed, max_norm, norm_type, dtype):
    params = leaves(seed, dtype, backend)
    before = gradients(params)
    flat = np.concatenate([g.ravel() for g in before]).astype(np.float64)
    norm = np.abs(flat).max() if norm_type == math.inf else (np.abs(flat) ** norm_type).sum() ** (1 / norm_type)
    total = nn.utils.clip_grad_norm_(params, max_norm, norm_type)
    assert total.backend == backend
    assert total.dtype == dtype
    assert total.item() == pytest.approx(norm, rel=1e-5)
    for g, old in zip(gradients(params), before, strict=True):
        assert g.dtype == dtype
        np.testing.assert_allclose(g, old * min(1.0, max_norm / (norm + 1e-6)), rtol=1e-5)


@given(seed=st.integers(0, 1000), max_norm=st.floats(0.01, 20.0), norm_type=norms)
def test_clipping_by_norm_equals_pytorch(backend, seed, max_norm, norm_type):
    torch = pytest.importorskip("torch")
    params = leaves(seed, np.float64, backend)
    theirs = [torch.zeros(p.shape, dtype=torch.float64, requires_grad=True) for p in params]
    for p, t in zip(params, theirs, strict=True):
        t.grad = None if p.grad is None else torch.tensor(p.grad.numpy().copy())
    total = nn.utils.clip_grad_norm_(params, max_norm, norm_type)
    assert total.item() == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type).item(), rel=1e-12)
    for g, t in zip(gradients(params), theirs[:-1], strict=True):
        np.testing.assert_allclose(g, t.grad.numpy(), rtol=1e-12)


def test_gradients_within_the_norm_stay_as_they_are_and_one_tensor_will_do(backend):
    p = minidl.zeros(2, backend=backend, requires_grad=True)
    p.grad = minidl.tensor([3.0, 4.0], backend=backend)
    assert nn.utils.clip_grad_norm_(p, 6.0).item() == 5
    assert p.grad.tolist() == [3.0, 4.0]
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 5
    assert p.grad.tolist() == pytest.approx([0.6, 0.8])


def test_gradients_that_are_no_numbers_are_an_error_on_request(backend):
    p = minidl.zeros(2, backend=backend, requires_grad=True)
    p.grad = minidl.tensor([math.inf, 1.0], backend=backend)
    with pytest.raises(RuntimeError, match="the norm of the gradients is inf"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    assert p.grad.tolist() == [math.inf, 1.0]


def test_without_gradients_the_norm_is_zero():
    assert nn.utils.clip_grad_norm_([minidl.zeros(2, requires_grad=True)], 1.0).item() == 0


@given(seed=st.integers(0, 1000), clip_value=st.floats(0.01, 2.0), dtype=dtypes)
def test_clipping_by_value_bounds_every_element(backend, seed, clip_value, dtype):
    params = leaves(seed, dtype, backend)
    before = gradients(params)
    nn.utils.clip_grad_value_(params, clip_value)
    for g, old in zip(gradients(params), before, strict=True):
        assert g.dtype == dtype
        np.testing.assert_array_equal(g, np.minimum(np.maximum(old, dtype(-clip_value)), dtype(clip_value)))


def test_two_parameters_may_hold_the_same_gradient():
    shared = minidl.tensor([3.0, 4.0])
    params = [minidl.zeros(2, requires_grad=True) for _ in range(2)]
    for p in params:
        p.grad = shared
    nn.utils.clip_grad_norm_(params, math.sqrt(50) / 2)
    assert [p.grad.tolist() for p in params] == [pytest.approx([1.5, 2.0])] * 2
