"""Fast code on plain arrays, one folder for each library; the same names and signatures in both. Nothing here knows Tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend import Array


def table(array: Array) -> ModuleType:
    """The kernels for arrays of this kind. (CuPy's are imported when the first CuPy array comes by.)"""
    if isinstance(array, (np.ndarray, np.generic)):
        from minidl.kernels import numpy as kernels
    else:
        from minidl.kernels import cupy as kernels
    return kernels


def find(name: str, arrays: Sequence[Array | None]) -> Callable[..., Any] | None:
    """The kernel of this name for these arrays, if there is one. Kernels are for real floating-point numbers."""
    given = [array for array in arrays if array is not None]
    if any(array.dtype.kind != "f" for array in given):
        return None
    return getattr(table(given[0]), name, None)
