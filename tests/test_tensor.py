"""What a tensor is: an array, its attributes and operators, and when its elements may change."""

import operator

import numpy as np
import pytest

import minidl
from minidl import Tensor, ops, tensor
from minidl.backend import to_backend


def graph_leaf(backend, *values):
    return tensor(list(values), backend=backend, requires_grad=True)


def test_a_tensor_shares_the_memory_of_its_array_and_tells_what_it_is(backend):
    array = to_backend(np.zeros((2, 3), np.float32), backend)
    x = Tensor(array)
    assert x.data is array
    assert (x.shape, x.dtype, x.ndim, x.numel(), x.backend) == ((2, 3), np.float32, 2, 6, backend)
    assert (x.requires_grad, x.grad, x.is_leaf) == (False, None, True)


@pytest.mark.parametrize("wrong", [[1.0], 1.0, None, "abc"])
def test_only_arrays_become_tensors_without_a_copy(wrong):
    with pytest.raises(TypeError, match=r"expected a NumPy or CuPy array, got .*: use minidl.tensor\(\) to convert"):
        Tensor(wrong)


def test_a_numpy_scalar_becomes_an_array_without_axes():
    assert isinstance(Tensor(np.float32(1)).data, np.ndarray)


# ------------------------------------------------------------------------------------------------------------ operators
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "matmul"])
def test_an_operator_takes_arrays_and_tensors_on_either_side_and_gives_a_tensor(backend, name):
    apply = getattr(operator, name)
    x, y = np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32)
    wanted = apply(x, y)
    on_device = to_backend(y, backend)
    ours, theirs = tensor(x, backend=backend, requires_grad=True), tensor(y, backend=backend)
    for result in (apply(ours, theirs), apply(ours, on_device)):
        assert isinstance(result, Tensor)
        assert result.requires_grad
        np.testing.assert_allclose(result.numpy(), wanted, rtol=1e-6)
    for result in (apply(theirs, ours), apply(on_device, ours)):
        assert isinstance(result, Tensor)
        assert result.requires_grad
        np.testing.assert_allclose(result.numpy(), apply(y, x), rtol=1e-6)


@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2)], ids=repr)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow"])
def test_an_operator_takes_numbers_on_either_side_and_they_do_not_widen(backend, name, number):
    apply = getattr(operator, name)
    x = np.array([1.0, 3.0], np.float32)
    ours = tensor(x, backend=backend)
    for result, wanted in [
        (apply(ours, number), apply(x, float(number))),
        (apply(number, ours), apply(float(number), x)),
    ]:
        assert isinstance(result, Tensor)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.numpy(), wanted, rtol=1e-6)


def test_what_integers_become_in_the_company_of_floating_point(backend):
    i, x = tensor([1, 2], backend=backend), tensor([0.5, 0.25], backend=backend)
    results = {
        "int * float number": i * 2.5,
        "int * double number": i * np.float64(2.5),
        "int / int": i / i,
        "int / number": i / 2,
        "int * tensor": i * x,
        "tensor ** int": x**i,
        "bool * tensor": (i > 1) * x,
        "exp": ops.exp(i),
        "mean": i.mean(),
        "mean of bool": (i > 1).mean(),
        "std": i.std(),
        "logsumexp": i.logsumexp(0),
    }
    assert {name: y.dtype for name, y in results.items()} == dict.fromkeys(results, np.float32)
    assert [y.dtype for y in (i + 1, i * i, i - True, i.sum(), i.max())] == [np.int64] * 5
    assert (tensor([1], np.int32, backend) + 1).dtype == np.int32
    assert (tensor([1.0], np.float16, backend) * 2.5).dtype == np.float16
    assert (tensor([1.0], np.float64, backend) * x[0]).dtype == np.float64


def test_augmented_assignment_makes_a_new_tensor(backend):
    x = graph_leaf(backend, 1.0, 2.0)
    before, y = x, x
    for augmented in (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow):
        y = augmented(y, 2.0)
        assert y is not before
    np.testing.assert_array_equal(before.numpy(), [1, 2])
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.numpy())  # ((x + 2 - 2) · 2 / 2)²


def test_an_array_does_not_swallow_a_tensor_in_place():
    array = np.ones(2, np.float32)
    with pytest.raises(TypeError):
        array += tensor([1.0, 2.0])


def test_comparisons_give_boolean_tensors_and_are_not_recorded(backend):
    x = graph_leaf(backend, 1.0, 2.0, 3.0)
    for result, wanted in [
        (x == 2, [False, True, False]),
        (x != 2.0, [True, False, True]),
        (x < to_backend(np.array([2.0, 2.0, 2.0], np.float32), backend), [True, False, False]),
        (x <= 2, [True, True, False]),
        (x > x[1], [False, False, True]),
        (2 <= x, [False, True, True]),  # noqa: SIM300
    ]:
        assert result.dtype == np.bool_
        assert not result.requires_grad
        assert result.tolist() == wanted
    assert (x == 0.1).dtype == np.bool_
    assert tensor([0.1]) == 0.1  # compared in float32


def test_equality_is_elementwise_and_identity_serves_for_hashing(backend):
    x, y = graph_leaf(backend, 1.0), graph_leaf(backend, 1.0)
    assert {x: "x", y: "y"}[y] == "y"
    assert len({x, y, x}) == 2
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "1") is False
    with pytest.raises(TypeError, match="equal: expected a tensor, an array or a number, got list"):
        _ = x == [1.0]


@pytest.mark.parametrize("other", ["a", [1, 2], None, {}, object()], ids=lambda other: type(other).__name__)
def test_an_operator_refuses_what_is_no_number(other):
    with pytest.raises(TypeError):
        _ = tensor([1.0, 2.0]) + other
    with pytest.raises(TypeError):
        _ = other * tensor([1.0, 2.0])


# ---------------------------------------------------------------------------------------------------------- to and back
def test_to_another_type_can_be_differentiated(backend):
    x = graph_leaf(backend, 1.0, 2.0)
    y = x.to(np.float64)
    assert (y.dtype, y.requires_grad) == (np.float64, True)
    (y * y).sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])
    assert x.to("float32") is x
    assert x.to(backend) is x
    assert not x.to(np.int64).requires_grad


def test_to_nowhere_is_an_error():
    with pytest.raises(TypeError, match="expected 'numpy', 'cupy' or a dtype, got 'gpu'"):
        tensor([1.0]).to("gpu")


def test_detach_shares_the_array_and_leaves_the_graph(backend):
    x = graph_leaf(backend, 1.0, 2.0)
    y = x * 2
    d = y.detach()
    assert d.data is y.data
    assert not d.requires_grad
    (d * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])


def test_item_and_tolist_give_python_numbers(backend):
    x = tensor([[1.5]], backend=backend)
    assert type(x.item()) is float
    assert x.tolist() == [[1.5]]
    assert type(tensor(3, backend=backend).item()) is int
    with pytest.raises(ValueError, match=r"only a tensor of one element is a number, this one has shape \(2,\)"):
        tensor([1, 2], backend=backend).item()


def test_methods_are_the_ops_of_the_same_name():
    functions = {"absolute": "abs"}
    methods = {name for name in vars(ops.Methods) if not name.startswith("_")} - {"T"}
    assert methods <= set(ops.__all__) | set(functions.values())


def test_methods_pass_their_arguments_on(backend):
    x = tensor(np.arange(6.0).reshape(1, 2, 3) + 1, backend=backend)
    pairs = [
        (x.sum((0, 2), True), ops.sum(x, (0, 2), True)),
        (x.mean(1, keepdims=True), ops.mean(x, 1, True)),
        (x.var(-1, 0, True), ops.var(x, -1, 0, True)),
        (x.std(-1, correction=0), ops.std(x, -1, 0)),
        (x.amax((1, 2)), ops.amax(x, (1, 2))),
        (x.amin(keepdims=True), ops.amin(x, None, True)),
        (x.max(1).values, ops.max(x, 1).values),
        (x.min(1, True).indices, ops.min(x, 1, True).indices),
        (x.argmax(2, True), ops.argmax(x, 2, True)),
        (x.argmin(), ops.argmin(x)),
        (x.logsumexp(1, True), ops.logsumexp(x, 1, True)),
        (x.reshape(3, -1), ops.reshape(x, (3, 2))),
        (x.permute(2, 0, 1), ops.permute(x, (2, 0, 1))),
        (x.transpose(0, 2), ops.transpose(x, 0, 2)),
        (x.T, ops.permute(x, 2, 1, 0)),
        (x.broadcast_to((2, 2, 3)), ops.broadcast_to(x, (2, 2, 3))),
        (x.flatten(1), ops.flatten(x, 1, -1)),
        (x.squeeze(0), ops.squeeze(x, 0)),
        (x.unsqueeze(-1), ops.unsqueeze(x, -1)),
        (x.flip((1, 2)), ops.flip(x, (1, 2))),
        (x.split([1, 2], 2)[1], ops.split(x, [1, 2], 2)[1]),
        (x.clip(2, 4), ops.clip(x, 2, 4)),
        (abs(-x), ops.absolute(x)),
        (x.exp().log(), x),
        (x.sqrt() * x.sqrt(), x),
        (x.tanh(), ops.tanh(x)),
        (x.sigmoid(), ops.sigmoid(x)),
        (x.relu(), ops.relu(x)),
        (x.abs(), x),
        (x.clone(), x),
    ]
    for got, wanted in pairs:
        assert got.shape == wanted.shape
        np.testing.assert_allclose(to_backend(got.data, "numpy"), to_backend(wanted.data, "numpy"), rtol=1e-12)


# ------------------------------------------------------------------------------------------------------ item assignment
def test_a_tensor_outside_any_graph_can_be_assigned_to(backend):
    x = tensor([[1.0, 2.0], [3.0, 4.0]], backend=backend)
    x[0] = 7
    x[1, 1] = tensor(9.0, backend=backend)
    x[x > 8] = 0
    x[:, tensor([0], backend=backend)] = tensor([[5.0], [6.0]], backend=backend)
    assert x.tolist() == [[5, 7], [6, 0]]


REFUSED = {
    "a leaf": lambda x, w: x,
    "a result": lambda x, w: x * 2,
    "a constant that a result was computed from": lambda x, w: (w, x * w)[0],
    "a view of such a constant": lambda x, w: (w[:1], x * w)[0],
    "the constant of a view": lambda x, w: (w, x[:1] * w[:1])[0],
    "a constant that was detached before": lambda x, w: (w.detach(), x * w)[0],
    "a view of a view": lambda x, w: (w.reshape(2, 1)[0], x * w.T)[0],
    "a mask": lambda x, w: (mask := w > 1, ops.where(mask, x, 0))[0],
    "an index": lambda x, w: (index := tensor([0, 1], backend=w.backend), x[index])[0],
    "one of several indices": lambda x, w: (index := tensor([0], backend=w.backend), x.reshape(1, 2)[0, index])[0],
    "the places of the largest": lambda x, w: x.max(0).indices,
    "an index to put at": lambda x, w: (index := tensor([0, 1], backend=w.backend), ops.put(x, index, (3,)))[0],
    "what is read by a reserved concatenation": lambda x, w: (
        room := ops.reserve(w.reshape(1, 2), 4),
        x * ops.concatenate([room, room], 1)[:, :2],
    )[0],
}


@pytest.mark.parametrize("case", REFUSED)
def test_item_assignment_is_refused_where_a_graph_relies_on_the_value(backend, case):
    x, w = graph_leaf(backend, 1.0, 2.0), tensor([1.0, 2.0], backend=backend)
    kept = x * 1  # some graph, kept alive
    victim = REFUSED[case](x, w)
    with pytest.raises(RuntimeError, match=r"part of a graph, .*: use minidl.where\(\), or assign to a clone\(\)"):
        victim[...] = 0
    copy = victim.clone().detach()
    assert kept.requires_grad
    assert copy.shape == victim.shape


def test_a_gradient_cannot_get_lost_in_an_assignment(backend):
    x = tensor([1.0, 2.0], backend=backend)
    with pytest.raises(RuntimeError, match=r"the value requires grad, and no gradient would flow back to it"):
        x[0] = graph_leaf(backend, 1.0)[0]


def test_what_only_looked_at_a_graph_may_be_assigned_to(backend):
    x = graph_leaf(backend, 1.0, 2.0)
    copy = (x * 2).detach().clone()
    copy[0] = 5
    with minidl.no_grad():
        constant = tensor([1.0, 2.0], backend=backend)
        _ = x * constant
        constant[0] = 3
    assert (copy.tolist(), constant.tolist()) == ([5, 4], [3, 2])


def test_booleans_combine_as_in_numpy(backend):
    x = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 5.0]])
    t = tensor(x, backend=backend)
    for ours, numpys in [
        ((t > 0) & (t < 3), (x > 0) & (x < 3)),
        ((t > 2) | (t == 0), (x > 2) | (x == 0)),
        ((t > 0) ^ (t < 3), (x > 0) ^ (x < 3)),
        (~(t > 2), ~(x > 2)),
        (~tensor([0, 5], backend=backend), ~np.array([0, 5])),
        ((t < 5).all(), (x < 5).all()),
        ((t < 5).all(1), (x < 5).all(1)),
        ((t > 4).any(0, keepdims=True), (x > 4).any(0, keepdims=True)),
        (t.any(), x.any()),
    ]:
        assert ours.dtype == numpys.dtype
        np.testing.assert_array_equal(ours.numpy(), numpys)
