"""Pickled arrays, bytes, strings, numbers, lists and dicts, read without running anything.

Python 2 wrote text and bytes alike as strings; they become `str`, one character for each byte (latin-1).
"""

import math
import re
from typing import Any, ClassVar

import numpy as np

from minidl.data.error import DataError
from minidl.unpickler import DamageError, RefusalError, Unpickler


def load_pickle(content: bytes, what: object) -> Any:
    """The value of a pickle of arrays, bytes, strings, numbers, lists and dicts; DataError for any other.

    what: the name of the file, for messages. Arrays are of numbers, and read-only.
    """
    try:
        return _Unpickler().run(content)
    except RefusalError as error:
        raise DataError(
            f"{what}: refused to unpickle {error}; only arrays, bytes, strings, numbers, lists and dicts are "
            "admitted: this is no data file, do not open it with pickle either"
        ) from error
    except DamageError as error:
        raise DataError(f"{what}: damaged pickle ({error}); fetch the file again") from error


class _Dtype:
    """Stands in for `numpy.dtype` while an array is unpickled."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch("[biuf][1248]", code):
            raise RefusalError(f"an array of dtype {code!r}")
        self.dtype = np.dtype(code)

    def build(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands in for an array until its content arrives."""

    value: np.ndarray | None = None

    def build(self, state: tuple[Any, ...]) -> None:
        _, shape, stand_in, fortran, content = state
        dtype = stand_in.dtype
        if isinstance(content, str):
            content = content.encode("latin-1")
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"an array of shape {shape} and dtype {dtype} with {len(content)} bytes")
        self.value = np.ndarray(shape, dtype, content, order="F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


class _Unpickler(Unpickler):
    names: ClassVar = {
        "numpy.dtype": _Dtype,
        "numpy.ndarray": None,  # an argument of _reconstruct, never called
        "numpy.core.multiarray._reconstruct": _reconstruct,
        "numpy._core.multiarray._reconstruct": _reconstruct,
    }

    def call(self, function: Any, arguments: Any) -> _Dtype | _Array:
        if function is not _Dtype and function is not _reconstruct:
            raise RefusalError("a call of something that is no part of an array")
        return function(*arguments)

    def build(self, thing: Any, state: Any) -> None:
        self.top(_Dtype, _Array).build(state)

    def admit(self, value: Any) -> Any:
        if isinstance(value, _Array) and value.value is not None:
            return value.value
        if not isinstance(value, int | float | str | bytes | list | dict):
            raise RefusalError(f"a value of type {type(value).__name__}")
        return value
