"""Tensors made from nothing, from numbers, and from other libraries' arrays."""

import numpy as np
import pytest

import minidl
from minidl import BackendError, Tensor, tensor
from minidl.backend import import_cupy


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, np.int64),
        (1.0, np.float32),
        (True, np.bool_),
        ([1, 2], np.int64),
        ([1, 2.5], np.float32),
        ([], np.float32),
        ([[1.0], [2.0]], np.float32),
        ((1.0, 2.0), np.float32),
        (range(3), np.int64),
        ([np.float64(1), 2.0], np.float32),
        (np.float64(1), np.float64),
        (np.ones(2), np.float64),
        (np.ones(2, np.float16), np.float16),
        (np.ones(2, np.int8), np.int8),
        (Tensor(np.ones(2)), np.float64),
        ([Tensor(np.ones(2, np.float32)), Tensor(np.zeros(2, np.float32))], np.float32),
    ],
    ids=repr,
)
def test_python_numbers_are_float32_and_int64_and_arrays_keep_their_type(backend, data, dtype):
    x = tensor(data, backend=backend)
    assert (x.dtype, x.backend, x.requires_grad) == (dtype, backend, False)
    np.testing.assert_array_equal(x.numpy(), np.asarray(data))


def test_a_wanted_type_is_reached_without_a_detour():
    assert tensor(0.1, np.float64).item() == 0.1
    assert tensor([1 / 3, 2**53 + 1], np.float64).tolist() == [1 / 3, float(2**53 + 1)]
    assert tensor([2**53 + 1]).item() == 2**53 + 1
    assert tensor([1.7], np.int64).item() == 1


def test_tensor_copies_and_keeps_the_layout():
    array = np.zeros((2, 3), np.float32).T
    x = tensor(array)
    array[0, 0] = 5
    assert x[0, 0].item() == 0
    assert x.data.strides == array.strides
    y = tensor(x)
    y[0, 0] = 1
    assert x[0, 0].item() == 0
    assert not tensor(tensor([1.0], requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([[1, 2], [3]], ValueError),
        ([[1.0, 2.0], 3.0], ValueError),
        ("abc", TypeError),
        (["a"], TypeError),
        (None, TypeError),
        ({}, TypeError),
        ([1, None], TypeError),
        (2**70, TypeError),
    ],
    ids=repr,
)
def test_what_is_no_block_of_numbers_is_refused(data, error):
    with pytest.raises(error, match="tensor: expected numbers in equally long lists"):
        tensor(data)


@pytest.mark.parametrize(
    "shape", [(), ((),), (3,), ((3,),), ([3],), (2, 3), ((2, 3),), (np.int64(3),), (0, 2)], ids=repr
)
@pytest.mark.parametrize(("name", "number"), [("zeros", 0), ("ones", 1)])
def test_zeros_and_ones_take_lengths_one_by_one_or_together(backend, name, number, shape):
    x = getattr(minidl, name)(*shape, backend=backend, requires_grad=True)
    wanted = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else tuple(map(int, shape))
    assert (x.shape, x.dtype, x.backend, x.requires_grad) == (wanted, np.float32, backend, True)
    assert (x.numpy() == number).all()


def test_full_and_eye(backend):
    assert minidl.full((2, 1), 2.5, backend=backend).tolist() == [[2.5], [2.5]]
    assert minidl.full(2, 7, np.int64, backend).tolist() == [7, 7]
    assert minidl.eye(2, np.float64, backend).tolist() == [[1, 0], [0, 1]]


def test_zeros_like_and_ones_like_keep_type_layout_and_backend(backend):
    x = tensor(np.full((2, 3, 4), 5, np.float64).transpose(1, 0, 2), backend=backend, requires_grad=True)
    for like, number in [(minidl.zeros_like(x), 0), (minidl.ones_like(x), 1)]:
        assert (like.dtype, like.backend, like.requires_grad) == (np.float64, backend, False)
        assert like.data.strides == x.data.strides
        assert (like.numpy() == number).all()


@pytest.mark.parametrize("bounds", [(3,), (1, 4), (0, 10, 3), (5, 0, -2), (0.0, 1.0, 0.25), (3.0,), (0,)])
def test_arange_is_numpys_with_our_types(backend, bounds):
    x = minidl.arange(*bounds, backend=backend)
    wanted = np.arange(*bounds)
    assert x.dtype == (np.float32 if wanted.dtype.kind == "f" else np.int64)
    np.testing.assert_array_equal(x.numpy(), wanted)
    assert minidl.arange(*bounds, dtype=np.float64).dtype == np.float64


def test_random_numbers_repeat_from_a_seed_and_are_the_same_on_each_backend(backend):
    draws = []
    for place in (backend, "numpy"):
        minidl.manual_seed(3)
        draws.append([minidl.randn(1000, backend=place).numpy(), minidl.rand(10, 100, backend=place).numpy()])
    for got, wanted in zip(*draws, strict=True):
        np.testing.assert_array_equal(got, wanted)
    normal, uniform = draws[0]
    assert (normal.dtype, uniform.dtype) == (np.float32, np.float32)
    assert abs(normal.mean()) < 0.15
    assert abs(normal.std() - 1) < 0.1
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() < 1
    minidl.manual_seed([3, 1])
    assert not np.array_equal(minidl.randn(1000).numpy(), normal)


def test_an_unknown_backend_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="unknown backend 'gpu': use 'numpy' or 'cupy'"):
        minidl.zeros(2, backend="gpu")


def test_cupy_without_a_device_is_an_error_that_says_so():
    try:
        import_cupy()
    except BackendError:
        with pytest.raises(BackendError, match="backend 'cupy' needs"):
            minidl.zeros(2, backend="cupy")
