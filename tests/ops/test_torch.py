"""Every op beside PyTorch's: values and gradients, at ties, edges, infinities and NaN, over generated shapes."""

import math
import operator
import string

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl import Tensor, grad, ops, tensor
from minidl.backend import to_backend

torch = pytest.importorskip("torch")
F = torch.nn.functional

TAME = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 3.0, -3.0, 6.0, 9.0]  # kinks, and many ties
WILD = np.array([*TAME, np.inf, -np.inf, 30.0, -30.0, 1e-25, 1e25])
ANYTHING = np.array([*WILD, np.nan])
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
FULL = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)


def numbers(shapes=SHAPES):
    """Tame arrays of one of the two types of floating point."""
    return st.sampled_from(["float32", "float64"]).flatmap(
        lambda dtype: hnp.arrays(dtype, shapes, elements=st.sampled_from(TAME))
    )


def alike(backend, ours, theirs, *arrays, tolerance=1):
    """Check values, and gradients with g of all sizes, of two functions: to rounding in each element."""
    xs = [tensor(x, backend=backend, requires_grad=True) for x in arrays]
    ts = [torch.tensor(x, requires_grad=True) for x in arrays]
    with np.errstate(all="ignore"):
        got, wanted = ours(*xs), theirs(*ts)
        got = [got] if isinstance(got, Tensor) else list(got)
        wanted = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted)
        gs = [np.cos(np.arange(t.numel()), dtype=arrays[0].dtype).reshape(t.shape) for t in wanted]
        pairs = list(zip(got, wanted, strict=True))
        assert [y.requires_grad for y in got] == [t.requires_grad for t in wanted]
        sources = [(y, t, g) for (y, t), g in zip(pairs, gs, strict=True) if y.requires_grad]
        if sources:
            outputs, others, upstream = zip(*sources, strict=True)
            got += grad(outputs, xs, [tensor(g, backend=backend) for g in upstream], allow_unused=True)
            wanted += torch.autograd.grad(others, ts, [torch.tensor(g) for g in upstream], allow_unused=True)
    for y, t in zip(got, wanted, strict=True):
        if y is None or t is None:
            assert t is None or not t.any()
            assert y is None or not y.numpy().any()
            continue
        assert y.shape == tuple(t.shape)
        assert str(y.dtype) == str(t.dtype).removeprefix("torch.")
        error = tolerance * TOLERANCE[str(arrays[0].dtype)]
        np.testing.assert_allclose(to_backend(y.data, "numpy"), t.detach().numpy(), rtol=error, atol=error)


UNARY = {
    "exp": torch.exp,
    "log": torch.log,
    "negative": torch.neg,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "clone": torch.clone,
}
KINKED = {
    "absolute": torch.abs,
    "leaky_relu": F.leaky_relu,
    "relu": F.relu,
    "relu6": F.relu6,
}  # at NaN 0 or 1, who knows
BINARY = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
both_types = pytest.mark.parametrize("dtype", ["float32", "float64"])


@both_types
@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_a_number_is_pytorchs(backend, name, dtype):
    alike(backend, getattr(ops, name), UNARY[name], ANYTHING.astype(dtype))


@both_types
@pytest.mark.parametrize("name", KINKED)
def test_a_function_with_a_kink_is_pytorchs(backend, name, dtype):
    alike(backend, getattr(ops, name), KINKED[name], WILD.astype(dtype))
    assert np.isnan(getattr(ops, name)(tensor([np.nan], backend=backend)).item())


@both_types
@pytest.mark.parametrize("low", [None, -np.inf, -1.0, 2.0])
@pytest.mark.parametrize("high", [None, np.inf, -0.5, 2.0])
def test_clip_is_pytorchs_also_at_the_bounds_and_when_they_cross(backend, dtype, low, high):
    if low is not None or high is not None:
        alike(backend, lambda x: ops.clip(x, low, high), lambda x: torch.clamp(x, low, high), ANYTHING.astype(dtype))


@both_types
@pytest.mark.parametrize("name", BINARY)
def test_a_function_of_two_numbers_is_pytorchs(backend, name, dtype):
    x, y = ANYTHING.astype(dtype)[:, None], ANYTHING.astype(dtype)
    with_all = np.broadcast_arrays(x, y)
    alike(backend, getattr(ops, name), BINARY[name], *map(np.array, with_all), tolerance=4)


@both_types
def test_power_is_pytorchs_also_at_0_and_for_negative_bases(backend, dtype):
    x, y = (np.array(array, dtype) for array in np.broadcast_arrays(WILD[:, None], WILD))
    alike(backend, ops.power, torch.pow, x, y, tolerance=8)


@both_types
@pytest.mark.parametrize("exponent", [-2, -1, 0, 1, 2, 3, 2.5])
def test_power_of_a_constant_is_pytorchs(backend, dtype, exponent):
    alike(backend, lambda x: x**exponent, lambda x: x**exponent, WILD.astype(dtype), tolerance=4)


def test_where_is_pytorchs(backend):
    holds = np.arange(len(ANYTHING) ** 2).reshape(len(ANYTHING), -1) % 2 == 0
    x, y = (np.array(array) for array in np.broadcast_arrays(ANYTHING[:, None], ANYTHING))
    condition, theirs = tensor(holds, backend=backend), torch.tensor(holds)
    alike(backend, lambda x, y: ops.where(condition, x, y), lambda x, y: torch.where(theirs, x, y), x, y)


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparisons_are_pytorchs(backend, name):
    compare, pair = getattr(operator, name), (ANYTHING[:, None], ANYTHING)
    got = compare(*(tensor(x, backend=backend) for x in pair))
    np.testing.assert_array_equal(to_backend(got.data, "numpy"), compare(*map(torch.tensor, pair)).numpy())


@st.composite
def reduced(draw, several=True):
    """An array without empty axes, one axis or several, and keepdims."""
    x = draw(numbers(FULL))
    axis = st.integers(-x.ndim, x.ndim - 1)
    chosen = axis | hnp.valid_tuple_axes(x.ndim, min_size=1) if several else axis
    return x, draw(chosen), draw(st.booleans())


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "logsumexp"])
@given(case=reduced())
@example((np.zeros((2, 3)), 1, False))
def test_a_reduction_is_pytorchs_and_ties_share(backend, name, case):
    x, axis, keepdims = case
    theirs = getattr(torch, name)
    alike(backend, lambda x: getattr(ops, name)(x, axis, keepdims), lambda x: theirs(x, axis, keepdims), x, tolerance=4)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "max", "min", "var", "std"])
@given(x=numbers(FULL.filter(lambda shape: math.prod(shape) > 1)))
def test_a_reduction_over_everything_is_pytorchs(backend, name, x):
    alike(backend, getattr(ops, name), getattr(torch, name), x, tolerance=8)


@pytest.mark.parametrize("name", ["max", "min"])
@given(case=reduced(several=False))
@example((np.array([[1, np.nan, np.nan], [-np.inf, np.inf, np.inf]]), 1, False))
def test_the_extremes_along_an_axis_are_pytorchs_and_the_first_wins(backend, name, case):
    x, axis, keepdims = case
    theirs = getattr(torch, name)
    alike(backend, lambda x: getattr(ops, name)(x, axis, keepdims), lambda x: theirs(x, axis, keepdims), x)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@given(case=reduced(several=False))
@example((np.array([[1, np.nan, np.nan], [-np.inf, np.inf, np.inf]]), 1, False))
def test_the_places_of_the_extremes_are_pytorchs(backend, name, case):
    x, axis, keepdims = case
    got = getattr(ops, name)(tensor(x, backend=backend), axis, keepdims)
    np.testing.assert_array_equal(got.numpy(), getattr(torch, name)(torch.tensor(x), axis, keepdims).numpy())


@pytest.mark.parametrize("name", ["var", "std"])
@given(case=reduced(), correction=st.sampled_from([0, 1, 2, 0.5]))
@example((np.ones((2, 3)), 1, False), 1)
def test_variance_is_pytorchs_for_any_correction(backend, name, case, correction):
    x, axis, keepdims = case
    count = math.prod(np.array(x.shape)[list(np.atleast_1d(axis))])
    if count <= correction:
        with pytest.raises(ValueError, match="needs more than"):
            getattr(ops, name)(tensor(x, backend=backend), axis, correction, keepdims)
    else:
        alike(
            backend,
            lambda x: getattr(ops, name)(x, axis, correction, keepdims),
            lambda x: getattr(torch, name)(x, axis, correction=correction, keepdim=keepdims),
            x,
            tolerance=8,
        )


@pytest.mark.parametrize(
    "row", [[-np.inf, -np.inf], [-np.inf, 1], [np.inf, 1], [1000, 999], [-1000, -999], [np.nan, 1]]
)
def test_logsumexp_is_pytorchs_at_infinities_and_far_out(backend, row):
    x = np.array([row, [1, 2]], np.float64)
    alike(backend, lambda x: ops.logsumexp(x, 1), lambda x: torch.logsumexp(x, 1), x)


def test_a_row_of_minus_infinities_is_no_reason_to_warn(backend):
    assert ops.logsumexp(tensor([-np.inf, -np.inf], backend=backend)).item() == -np.inf


@given(x=numbers(), data=st.data())
def test_rearrangements_are_pytorchs(backend, x, data):
    order = data.draw(st.permutations(range(x.ndim)))
    alike(backend, lambda x: x.permute(order), lambda x: x.permute(order), x)
    axis = data.draw(st.integers(-x.ndim - 1, x.ndim))
    alike(backend, lambda x: x.unsqueeze(axis), lambda x: x.unsqueeze(axis), x)
    alike(backend, lambda x: x.squeeze(), lambda x: x.squeeze(), x)
    wider = (2, *x.shape)
    alike(backend, lambda x: x.broadcast_to(wider), lambda x: x.broadcast_to(wider), x)
    if x.ndim:
        i, j = (data.draw(st.integers(-x.ndim, x.ndim - 1)) for _ in "ij")
        alike(backend, lambda x: x.transpose(i, j), lambda x: x.transpose(i, j), x)
        alike(backend, lambda x: x.squeeze(i), lambda x: x.squeeze(i), x)
        alike(backend, lambda x: x.flip(i), lambda x: x.flip(i), x)
        start, end = sorted((i % x.ndim, j % x.ndim))
        alike(backend, lambda x: x.flatten(start, end), lambda x: x.flatten(start, end), x)
        size = data.draw(st.integers(1, 4))
        alike(backend, lambda x: x.split(size, i), lambda x: x.split(size, i), x)
        others = [x, x + 1, x - 1][: data.draw(st.integers(1, 3))]
        alike(backend, lambda *xs: ops.stack(xs, i), lambda *xs: torch.stack(xs, i), *others)
        alike(backend, lambda *xs: ops.concatenate(xs, i), lambda *xs: torch.cat(xs, i), *others)
        widths = [(data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in x.shape]
        theirs = [n for pair in reversed(widths) for n in pair]
        alike(backend, lambda x: ops.pad(x, widths, 0.5), lambda x: F.pad(x, theirs, value=0.5), x)


@given(x=numbers(FULL), data=st.data())
def test_picking_is_pytorchs_also_when_an_index_comes_twice(backend, x, data):
    index = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True))
    if not any(isinstance(part, slice) and (part.step or 1) < 0 for part in np.atleast_1d(np.array(index, object))):
        alike(backend, lambda x: x[index], lambda x: x[index], x)
    picks = data.draw(hnp.integer_array_indices(x.shape))
    alike(backend, lambda x: x[picks], lambda x: x[tuple(map(torch.tensor, picks))], x)
    alike(
        backend,
        lambda x: x[tuple(tensor(p, backend=backend) for p in picks)],
        lambda x: x[tuple(map(torch.tensor, picks))],
        x,
    )
    mask = data.draw(hnp.arrays(bool, x.shape[: data.draw(st.integers(1, x.ndim))]))
    alike(backend, lambda x: x[mask], lambda x: x[torch.tensor(mask)], x)
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    along = np.random.default_rng(0).integers(0, x.shape[axis], x.shape)
    alike(
        backend,
        lambda x: ops.take_along_axis(x, tensor(along, backend=backend), axis),
        lambda x: torch.take_along_dim(x, torch.tensor(along), axis),
        x,
    )


@st.composite
def matrices(draw):
    """Two arrays that have a matrix product: vectors, matrices, or stacks of them that broadcast."""
    shapes = draw(hnp.mutually_broadcastable_shapes(signature="(m?,k),(k,n?)->(m?,n?)", max_dims=2, max_side=3))
    x = draw(numbers(shapes.input_shapes[0]))
    return x, draw(numbers(shapes.input_shapes[1])).astype(x.dtype)


@given(pair=matrices())
def test_matrix_products_are_pytorchs(backend, pair):
    alike(backend, ops.matmul, torch.matmul, *pair, tolerance=20)


@st.composite
def contractions(draw):
    """An Einstein sum with its operands: letters that repeat within and between operands, and some that are summed."""
    sizes = dict(zip("abcde", draw(st.tuples(*[st.integers(1, 3)] * 5)), strict=True))
    inputs = draw(st.lists(st.text("abcde", max_size=3), min_size=1, max_size=3))
    known = sorted(set("".join(inputs)))
    output = "".join(draw(st.permutations(known))[: draw(st.integers(0, len(known)))])
    first = draw(numbers(tuple(sizes[c] for c in inputs[0])))
    rest = [draw(numbers(tuple(sizes[c] for c in letters))).astype(first.dtype) for letters in inputs[1:]]
    return ",".join(inputs) + "->" + output, [first, *rest]


@given(case=contractions())
@example(("aba,b->", [np.ones((2, 3, 2)), np.ones(3)]))
def test_einstein_sums_are_pytorchs(backend, case):
    subscripts, arrays = case
    alike(
        backend,
        lambda *xs: ops.einsum(subscripts, *xs),
        lambda *xs: torch.einsum(subscripts, *xs),
        *arrays,
        tolerance=100,
    )


def test_einstein_sums_may_use_nearly_all_letters(backend):
    letters = string.ascii_letters[:20]
    x = np.arange(2.0).reshape([2] + [1] * 19)
    alike(backend, lambda x: ops.einsum(f"...{letters}->...", x), lambda x: x.sum(), x)


@given(
    x=numbers(st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(3, 6), st.integers(3, 6))),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_windows_are_pytorchs_unfold_and_fold(backend, x, kernel, stride, padding):
    widths = tuple((p, p) for p in padding)

    def columns(x):
        return ops.im2col(x, kernel, stride, widths, (1, 1)).flatten(-2).flatten(1, 3)

    def image(x):
        return ops.col2im(ops.im2col(x, kernel, stride, widths, (1, 1)), x.shape[2:], kernel, stride, widths, (1, 1))

    def their_image(x):
        return F.fold(F.unfold(x, kernel, 1, padding, stride), x.shape[2:], kernel, 1, padding, stride)

    alike(backend, columns, lambda x: F.unfold(x, kernel, 1, padding, stride), x)
    alike(backend, image, their_image, x, tolerance=10)


def test_erf_is_exact_to_1e15(backend):
    xs = np.concatenate([np.linspace(-7, 7, 20001), np.logspace(-20, 0, 500)])
    wanted = np.array([math.erf(x) for x in xs])
    np.testing.assert_allclose(ops.erf(tensor(xs, backend=backend)).numpy(), wanted, rtol=1e-15, atol=0)
