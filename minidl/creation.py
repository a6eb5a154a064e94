"""Tensors made from nothing, from numbers, or from other libraries' arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import random
from minidl.backend import Array, is_cupy, module_named, to_backend
from minidl.tensor import Tensor


def tensor(data: Any, dtype: Any = None, backend: str | None = None, requires_grad: bool = False) -> Tensor:
    """A copy of the data: numbers, nested lists, an array, a tensor. Python floats become float32, integers int64."""
    source = data.data if isinstance(data, Tensor) else data
    if isinstance(source, (np.ndarray, np.generic)) or is_cupy(source) or hasattr(source, "__array__"):
        array = source if is_cupy(source) else np.asarray(source)
    else:
        array = _from_lists(source)
        array = array.astype(np.float32) if dtype is None and array.dtype == np.float64 else array
    if array.dtype.kind not in "biufc":
        raise TypeError(f"tensor: expected numbers in equally long lists, got {type(data).__name__} of {array.dtype}")
    array = array.astype(array.dtype if dtype is None else dtype, copy=True)
    return Tensor(array if backend is None else to_backend(array, backend)).requires_grad_(requires_grad)


def full(
    shape: Any, fill_value: float, dtype: Any = np.float32, backend: str = "numpy", requires_grad: bool = False
) -> Tensor:
    """A tensor with one number everywhere."""
    return Tensor(module_named(backend).full(shape, fill_value, dtype)).requires_grad_(requires_grad)


def zeros(*shape: Any, dtype: Any = np.float32, backend: str = "numpy", requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return full(_shape(shape), 0, dtype, backend, requires_grad)


def ones(*shape: Any, dtype: Any = np.float32, backend: str = "numpy", requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return full(_shape(shape), 1, dtype, backend, requires_grad)


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of the same shape, type, backend and layout."""
    return Tensor(np.zeros_like(x.data))


def ones_like(x: Tensor) -> Tensor:
    """Ones of the same shape, type, backend and layout."""
    return Tensor(np.ones_like(x.data))


def randn(*shape: Any, dtype: Any = np.float32, backend: str = "numpy", requires_grad: bool = False) -> Tensor:
    """Draws from the normal distribution of mean 0 and variance 1."""
    drawn = random.generator().standard_normal(_shape(shape)).astype(dtype)
    return Tensor(to_backend(drawn, backend)).requires_grad_(requires_grad)


def rand(*shape: Any, dtype: Any = np.float32, backend: str = "numpy", requires_grad: bool = False) -> Tensor:
    """Draws from the uniform distribution on [0, 1)."""
    drawn = random.generator().random(_shape(shape)).astype(dtype)
    return Tensor(to_backend(drawn, backend)).requires_grad_(requires_grad)


def arange(
    start: float, stop: float | None = None, step: float = 1, dtype: Any = None, backend: str = "numpy"
) -> Tensor:
    """start, start + step, ..., before stop; from 0 if only one bound is given."""
    values = np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)
    wanted = dtype if dtype is not None else np.float32 if values.dtype.kind == "f" else np.int64
    return Tensor(to_backend(values.astype(wanted), backend))


def eye(n: int, dtype: Any = np.float32, backend: str = "numpy") -> Tensor:
    """The n×n identity matrix."""
    return Tensor(module_named(backend).eye(n, dtype=dtype))


def from_dlpack(source: Any) -> Tensor:
    """A tensor that shares the memory of another library's array: NumPy's, CuPy's, PyTorch's, JAX's."""
    on_host = source.__dlpack_device__()[0] == 1
    array: Array = module_named("numpy" if on_host else "cupy").from_dlpack(source)
    return Tensor(array)


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Lengths given one by one or as one tuple."""
    return tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape


def _from_lists(data: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(data)
    except ValueError as error:
        raise ValueError(f"tensor: expected numbers in equally long lists: {error}") from error
