"""Fast code on plain arrays: a folder for each library, with the same names and signatures. None of it knows Tensor."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from minidl.backend import Array, name_of


def table(array: Array) -> ModuleType:
    """The kernels for arrays of this kind. (CuPy's are imported when the first CuPy array comes by.)"""
    return _module(name_of(array))


def find(name: str, arrays: Sequence[Array | None]) -> Callable[..., Any] | None:
    """The kernel of this name for these arrays, if there is one. Kernels are for real numbers of one precision."""
    given = [array for array in arrays if array is not None]
    if len({array.dtype for array in given}) > 1 or given[0].dtype.kind != "f":
        return None
    return getattr(table(given[0]), name, None)


@functools.cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"minidl.kernels.{name}")
