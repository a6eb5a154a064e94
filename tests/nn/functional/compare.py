"""Our functions beside PyTorch's: the same numbers go through both, then values and derivatives must be the same."""

import numpy as np
import pytest
from hypothesis import strategies as st

import minidl
from minidl.backend import to_backend
from tests.kernels.windows import LAYOUTS

torch = pytest.importorskip("torch")

TOLERANCE = {"float32": 3e-5, "float64": 1e-10}

accuracies = st.sampled_from([("float32", 1), ("float64", 1), ("float64", 2)])
seeds = st.integers(0, 2**32 - 1)


def follow(differentiate, wrap, function, arrays, order, seed):
    """y = function(*arrays), the gradients by the floating ones from a random g, and at order 2 the gradients of those.

    Both libraries take these same steps. The second derivatives are those of Σ ⟨gradient, random⟩, by g and the arrays.
    """
    draw = np.random.default_rng(seed).standard_normal
    xs = [None if array is None else wrap(array) for array in arrays]
    leaves = [x for x in xs if x is not None and x.requires_grad]
    y = function(*xs)
    g = wrap(draw(y.shape))
    first = differentiate(y, leaves, grad_outputs=g, create_graph=order == 2, allow_unused=True)
    if order == 1:
        return [y, *first]
    total = sum((part * wrap(draw(part.shape))).sum() for part in first if part is not None)
    return [y, *first, *differentiate(total, [g, *leaves], allow_unused=True)]


def agree(backend, ours, theirs, *arrays, accuracy=("float64", 1), layout="contiguous", seed=0):
    """Check that two functions have the same value and gradients at the arrays; integers and None have no gradient.

    The accuracy is our dtype and the order of the derivatives. What ours returns is of the dtype, and the arrays, in
    this layout in memory, stay as they were. Theirs works in float64.
    """
    dtype, order = accuracy
    given = []

    def arrange(array):
        array = array.astype(dtype) if array.dtype.kind == "f" else array
        return LAYOUTS[layout](array) if array.ndim > (2 if layout == "broadcast" else 1) else array

    def wrap_ours(array):
        x = minidl.Tensor(arrange(to_backend(array, backend)))
        given.append((x, x.numpy().copy()))
        return x.requires_grad_() if x.dtype.kind == "f" else x

    def wrap_theirs(array):
        x = torch.from_numpy(np.array(arrange(array)))
        return x.double().requires_grad_() if x.is_floating_point() else x

    got = follow(minidl.grad, wrap_ours, ours, arrays, order, seed)
    wanted = follow(torch.autograd.grad, wrap_theirs, theirs, arrays, order, seed)
    for x, before in given:
        np.testing.assert_array_equal(x.numpy(), before, err_msg="an argument was written to")
    for i, (a, b) in enumerate(zip(got, wanted, strict=True)):
        close(a, b, dtype, f"{'value' if i == 0 else f'derivative {i}'}, order {order}")


def close(got, wanted, dtype="float64", what=""):
    """Check a tensor of ours against one of theirs, to rounding in its largest element; None stands for zeros."""
    if got is None or wanted is None:
        nothing = got if wanted is None else wanted
        assert nothing is None or float(abs(nothing).sum()) == 0, f"{what}: one is None, the other {nothing}"
        return
    wanted = wanted.detach().numpy(force=True)
    assert got.dtype == dtype, what
    assert got.shape == wanted.shape, what
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = max(1.0, float(finite.max(initial=0)))
    np.testing.assert_allclose(got.numpy(), wanted, rtol=0, atol=TOLERANCE[str(np.dtype(dtype))] * scale, err_msg=what)


def normal(seed, *shape):
    """Numbers of the normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape)


def distinct(seed, *shape):
    """Numbers that are evenly spaced over about [-3, 3], none of them 0, in random order: no ties, no kinks."""
    count = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(count) + 0.5 - count / 2).reshape(shape) * (6 / max(count, 1))
