"""Which library an array belongs to: NumPy, or CuPy once somebody has asked for it. The one file that imports cupy."""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""A numpy.ndarray or a cupy.ndarray."""


class BackendError(RuntimeError):
    """The wanted array library or its device is not there, or arrays of two libraries met in one op."""


@functools.cache
def import_cupy() -> ModuleType:
    """CuPy, after a trial kernel has run on a device; BackendError says what to install otherwise."""
    try:
        import cupy
    except ImportError as error:
        raise BackendError(
            "backend 'cupy' needs CuPy, which is not installed: "
            "pip install 'minidl[cuda13]' (or 'minidl[cuda12]' for a CUDA 12 driver)"
        ) from error
    if not cupy.cuda.is_available():
        raise BackendError(
            "backend 'cupy' needs an NVIDIA GPU and its driver, and CuPy finds none: use backend 'numpy'"
        )
    try:
        cupy.arange(3).sum().get()
    except Exception as error:  # whatever a broken CUDA installation raises, the user needs the one line below
        raise BackendError(
            f"CuPy finds a GPU but cannot run a kernel on it ({error}): "
            "pip install 'minidl[cuda13]' (or 'minidl[cuda12]') brings the CUDA libraries along"
        ) from error
    return cupy


def array_module(array: Array) -> ModuleType:
    """The library whose functions take this array: numpy or cupy."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if is_cupy(array):
        return sys.modules["cupy"]
    raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}: wrap it with minidl.tensor()")


def is_cupy(array: Array) -> bool:
    """Whether this is a CuPy array (without importing CuPy to find out)."""
    return "cupy" in sys.modules and isinstance(array, sys.modules["cupy"].ndarray)


def synchronize() -> None:
    """Wait until the device, on which there are arrays, has done what it was asked to."""
    sys.modules["cupy"].cuda.Device().synchronize()


def name_of(array: Array) -> str:
    """The backend's name as users write it: "numpy" or "cupy"."""
    return array_module(array).__name__


def module_named(name: str) -> ModuleType:
    """The library behind a backend's name."""
    if name == "numpy":
        return np
    if name == "cupy":
        return import_cupy()
    raise ValueError(f"unknown backend {name!r}: use 'numpy' or 'cupy'")


def to_backend(array: Array, name: str) -> Array:
    """The same numbers as an array of the named library; the array itself if it is one already."""
    module = module_named(name)
    if array_module(array) is module:
        return array
    return module.asarray(array) if name == "cupy" else sys.modules["cupy"].asnumpy(array)


def shares_memory(x: Array, y: Array) -> bool:
    """Whether one array is a view of the other, or both are views of a third."""
    if x.base is None and y.base is None:
        return x is y
    return _owner(x) is _owner(y)


def _owner(array: Array) -> Array:
    return array.base if isinstance(array.base, type(array)) else array


def common_backend(op: str, arrays: list[Array]) -> None:
    """Refuse arrays of two libraries in one op. NumPy scalars go with either."""
    if all(type(array) is np.ndarray for array in arrays):
        return
    names = [name_of(array) for array in arrays if not isinstance(array, np.generic)]
    if len(set(names)) > 1:
        found = " and ".join(sorted(set(names)))
        raise BackendError(
            f"{op}: got tensors on {found}, but all must be on one backend: move them with .to('cupy') or .to('numpy')"
        )
