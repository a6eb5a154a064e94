"""The cross entropy of scores in one kernel: the definition, example by example, and PyTorch's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.kernels.numpy.loss import cross_entropy
from tests.kernels.windows import LAYOUTS, layouts

shapes = (
    st.tuples(st.integers(1, 5), st.integers(1, 4)) | st.tuples(*[st.integers(1, 3)] * 4) | st.tuples(st.integers(1, 4))
)
ROUNDING = {np.float32: 1e-5, np.float64: 1e-13}


def cases(shape, dtype, seed, share=1.0):
    """Scores, some of them -∞ but never that of the label, labels, and whether each counts."""
    rng = np.random.default_rng(seed)
    axis = min(1, len(shape) - 1)
    x = rng.normal(size=shape).astype(dtype) * 3
    labels = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    is_label = np.expand_dims(labels, axis) == np.arange(shape[axis]).reshape(-1, *[1] * (len(shape) - 1 - axis))
    x[(rng.random(shape) < 0.2) & ~is_label] = -np.inf
    return x, labels, np.asarray(rng.random(labels.shape) < share), axis


@given(shapes, layouts, st.sampled_from([np.float32, np.float64]), st.sampled_from(["mean", "sum"]), st.integers(0, 99))
def test_cross_entropy_adds_up_what_each_example_loses(shape, layout, dtype, reduction, seed):
    x, labels, counts, axis = cases(shape, dtype, seed, share=0.7)
    if len(shape) > 2 and layout != "broadcast":
        x = LAYOUTS[layout](x)
    before = x.copy()
    divisor = counts.sum() if reduction == "mean" else 1
    if divisor == 0:
        counts, divisor = np.ones_like(counts), labels.size
    total, expected = 0.0, np.zeros(shape)
    for place in np.ndindex(labels.shape):
        row = (*place[:axis], slice(None), *place[axis:])
        if counts[place]:
            p = [math.exp(score) for score in x[row]]
            total -= math.log(p[labels[place]] / sum(p)) / divisor
            expected[row] = np.array(p) / sum(p) / divisor
            expected[(*place[:axis], labels[place], *place[axis:])] -= 1 / divisor
    y, pull = cross_entropy(x, labels, counts, axis, reduction)
    (dx,) = pull(np.array(3, dtype), (True,))
    assert y.dtype == dx.dtype == dtype
    assert y.shape == ()
    np.testing.assert_allclose(y, total, ROUNDING[dtype], ROUNDING[dtype])
    np.testing.assert_allclose(dx, 3 * expected, ROUNDING[dtype], ROUNDING[dtype])
    np.testing.assert_array_equal(x, before)


def test_scores_may_be_so_large_that_exponentials_overflow():
    x = np.array([[1000, 0], [-1000, 1000]], np.float32)
    y, pull = cross_entropy(x, np.array([1, 1]), np.ones(2, bool), 1, "sum")
    assert y == 1000
    np.testing.assert_array_equal(pull(np.float32(1), (True,))[0], [[1, -1], [0, 0]])


@given(st.integers(0, 99))
def test_cross_entropy_agrees_with_pytorch(seed):
    torch = pytest.importorskip("torch")
    x, labels, counts, axis = cases((6, 5), np.float32, seed, share=0.8)
    counts[0] = True
    y, pull = cross_entropy(x, labels, counts, axis, "mean")
    theirs = torch.from_numpy(x).requires_grad_()
    loss = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(np.where(counts, labels, -100)))
    loss.backward()
    np.testing.assert_allclose(y, loss.item(), 1e-5)
    np.testing.assert_allclose(pull(np.float32(1), (True,))[0], theirs.grad, 1e-4, 1e-6)
