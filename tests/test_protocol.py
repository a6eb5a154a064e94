"""How tensors speak to Python and to other libraries."""

import copy
import pickle

import numpy as np
import pytest

from minidl import Tensor, from_dlpack, ops, tensor
from minidl.nn import Parameter


# --------------------------------------------------------------------------------------------------------------- arrays
def test_numpy_reads_a_tensor_without_a_copy():
    x = tensor([1.0, 2.0])
    array = np.asarray(x)
    assert array is x.data
    array[0] = 5
    assert x.tolist() == [5, 2]
    np.testing.assert_array_equal(np.stack([x, x]), [[5, 2], [5, 2]])


def test_what_numpy_reads_of_a_graph_it_cannot_change():
    x = tensor([1.0, 2.0], requires_grad=True)
    constant = tensor([3.0, 4.0])
    y = x * constant
    for part in (x, y, constant, y.detach(), constant[:1]):
        array = np.asarray(part)
        assert np.shares_memory(array, part.data)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5
        assert part.data.flags.writeable
    for own in (np.array(x), np.asarray(x, np.float64)):
        own[0] = 5
    assert x.tolist() == [1, 2]


def test_numpy_is_told_when_a_copy_cannot_be_avoided():
    with pytest.raises(ValueError, match=r"[Cc]opy"):
        np.array(tensor([1.0]), dtype=np.float64, copy=False)


# --------------------------------------------------------------------------------------------------------------- dlpack
def test_numpy_and_tensors_exchange_memory_by_dlpack():
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.shares_memory(np.from_dlpack(x), x.data)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::2]
    y = from_dlpack(array)
    assert np.shares_memory(y.data, array)
    np.testing.assert_array_equal(y.numpy(), array)


def test_pytorch_and_tensors_exchange_memory_by_dlpack():
    torch = pytest.importorskip("torch")
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    theirs = torch.from_dlpack(x)
    theirs[0, 0] = 9
    assert x[0, 0].item() == 9
    ours = from_dlpack(theirs.T)
    theirs[1, 0] = 7
    np.testing.assert_array_equal(ours.numpy(), [[9, 7], [2, 4]])
    assert tensor(torch.ones(2, dtype=torch.float64)).dtype == np.float64


def test_a_tensor_that_requires_grad_is_not_exported(backend):
    x = tensor([1.0], backend=backend, requires_grad=True)
    with pytest.raises(BufferError, match=r"requires grad, and others cannot follow the graph: use detach\(\)"):
        x.__dlpack__()
    assert from_dlpack(x.detach()).backend == backend


# ----------------------------------------------------------------------------------------------------------- containers
def test_a_tensor_is_a_sequence_of_its_rows(backend):
    x = tensor([[1.0, 2.0], [3.0, 4.0]], backend=backend, requires_grad=True)
    assert len(x) == 2
    first, second = x
    (first * second).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[3, 4], [1, 2]])
    assert sum(tensor([1.0, 2.0], backend=backend)).item() == 3  # 0 + the first + the second
    assert 2.0 in tensor([1.0, 2.0], backend=backend)


def test_a_tensor_without_axes_has_no_length(backend):
    with pytest.raises(TypeError, match="without axes"):
        len(tensor(1.0, backend=backend))
    with pytest.raises(TypeError, match="without axes"):
        iter(tensor(1.0, backend=backend))


# -------------------------------------------------------------------------------------------------------------- numbers
def test_one_element_is_a_number(backend):
    x = tensor([[2.5]], backend=backend, requires_grad=True)
    assert (float(x), int(x), bool(x), complex(x)) == (2.5, 2, True, 2.5)
    assert not tensor(0.0, backend=backend)
    assert f"{x:.2f} {tensor(7, backend=backend):03d}" == "2.50 007"
    assert [10, 20, 30][tensor(1, backend=backend)] == 20
    assert list(range(tensor(3, backend=backend))) == [0, 1, 2]


@pytest.mark.parametrize("convert", [float, int, bool])
def test_several_elements_are_no_number(backend, convert):
    for x in (tensor([1.0, 2.0], backend=backend), tensor([], backend=backend)):
        with pytest.raises(ValueError, match="only a tensor of one element is a number"):
            convert(x)


def test_only_integers_are_indices(backend):
    for wrong in (tensor(1.0, backend=backend), tensor(True, backend=backend)):
        with pytest.raises(TypeError, match="only an integer tensor can be an index"):
            [1, 2][wrong]


# --------------------------------------------------------------------------------------------------------------- copies
def test_a_deep_copy_is_a_leaf_with_memory_and_gradient_of_its_own(backend):
    x = tensor([1.0, 2.0], backend=backend, requires_grad=True)
    (x * 3).sum().backward()
    twin = copy.deepcopy({"a": x, "b": x})
    assert twin["a"] is twin["b"]
    x.grad.data[...] = 0
    (twin["a"] * 2).sum().backward()
    np.testing.assert_array_equal(twin["a"].grad.numpy(), [5, 5])
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0])
    assert copy.deepcopy(x.detach()).requires_grad is False
    free = copy.deepcopy(x.detach())
    free[0] = 7
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize("kind", [Tensor, Parameter])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_pickled_tensor_comes_back(kind, requires_grad):
    x = kind(np.array([1.0, 2.0])).requires_grad_(requires_grad)
    for twin in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert type(twin) is kind
        assert (twin.requires_grad, twin.dtype, twin.tolist()) == (requires_grad, np.float64, [1, 2])


def test_a_result_is_not_copied_or_pickled_with_its_graph(backend):
    y = tensor([1.0], backend=backend, requires_grad=True) * 2
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(RuntimeError, match=r"computed by an op: copy or pickle its detach\(\)"):
            attempt(y)


# ----------------------------------------------------------------------------------------------------------------- text
@pytest.mark.parametrize(
    ("x", "text"),
    [
        (tensor(3), "tensor(3)"),
        (tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (tensor([1.0], requires_grad=True) * 2, "tensor([2.], from=multiply)"),
        (ops.reshape(tensor([1.0], requires_grad=True), ()), "tensor(1., from=reshape)"),
        (tensor([1, 2], np.int32), "tensor([1, 2], dtype=int32)"),
        (tensor([1.0], np.float64), "tensor([1.], dtype=float64)"),
        (tensor([True]), "tensor([ True])"),
        (tensor(np.zeros((0, 3), np.float32)), "tensor([], shape=(0, 3))"),
        (tensor([[1.0, 2.0], [3.0, 4.0]]), "tensor([[1., 2.],\n        [3., 4.]])"),
    ],
)
def test_repr_tells_the_numbers_and_what_is_not_usual(x, text):
    assert repr(x) == text
    assert f"{x}" == str(x) == text


def test_repr_of_many_numbers_is_short_and_tells_the_shape():
    text = repr(tensor(np.zeros((100, 100), np.float32)))
    assert "..." in text
    assert text.endswith("shape=(100, 100))")
    assert len(text) < 500
