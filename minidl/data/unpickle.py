"""Pickled data, read without running anything.

A pickle is a program for a stack machine, and Python's machine calls whatever function the program names.
This one knows only the instructions that build numbers, strings, bytes, lists and dicts, and the few names
that make up an array; at anything else it stops. It allocates in proportion to the file, whatever sizes
that claims.

Python 2 wrote text and bytes alike as strings; they become `str`, one character for each byte (latin-1).
"""

import math
import pickletools
import re
from typing import Any

import numpy as np

from minidl.data.error import DataError

# fmt: off
LITERALS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
})
# fmt: on
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


def load_pickle(content: bytes, what: object) -> Any:
    """The value of a pickle of arrays, bytes, strings, numbers, lists and dicts; DataError for any other.

    what: the name of the file, for messages. Arrays are of numbers, and read-only.
    """
    try:
        return _Machine().run(content)
    except _RefusalError as error:
        raise DataError(
            f"{what}: refused to unpickle {error}; only arrays, bytes, strings, numbers, lists and dicts are "
            "admitted: this is no data file, do not open it with pickle either"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{what}: damaged pickle ({error}); fetch the file again") from error


class _RefusalError(Exception):
    """The pickle asks for more than data."""


class _Dtype:
    """Stands in for `numpy.dtype` while an array is unpickled."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch("[biuf][1248]", code):
            raise _RefusalError(f"an array of dtype {code!r}")
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


NAMES = {
    "numpy.dtype": _Dtype,
    "numpy.ndarray": None,  # an argument of _reconstruct, never called
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
}


class _Machine:
    """The stack machine that `pickletools` documents, with the instructions that build data and no others."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        for instruction, argument, _ in pickletools.genops(content):  # the last one is STOP
            self.step(instruction.name, argument)
        return _admit(*self.pop(1))

    def step(self, name: str, argument: Any) -> None:
        push = self.stack.append
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _ if name in LITERALS:
                push(argument)
            case _ if name in CONSTANTS:
                push(CONSTANTS[name])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "MARK":
                self.marks.append(len(self.stack))
            case "EMPTY_TUPLE":
                push(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(self.pop(int(name[-1]))))
            case "TUPLE":
                push(tuple(self.pop_to_mark()))
            case "EMPTY_LIST":
                push([])
            case "LIST":
                push([_admit(value) for value in self.pop_to_mark()])
            case "APPEND" | "APPENDS":
                values = self.pop(1) if name == "APPEND" else self.pop_to_mark()
                self.top(list).extend(_admit(value) for value in values)
            case "EMPTY_DICT":
                push({})
            case "DICT":
                push(_pairs(self.pop_to_mark()))
            case "SETITEM" | "SETITEMS":
                values = self.pop(2) if name == "SETITEM" else self.pop_to_mark()
                self.top(dict).update(_pairs(values))
            case "GLOBAL":
                push(_named(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                push(_named(".".join(self.pop(2))))
            case "REDUCE":
                push(_called(*self.pop(2)))
            case "BUILD":
                state = self.pop(1)[0]
                self.top(_Dtype, _Array).build(state)
            case _:
                raise _RefusalError(f"the instruction {name} {argument or ''}".rstrip())

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("an instruction finds too little on the stack")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_to_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, *kinds: type) -> Any:
        """What lies on top of the stack, if it is of such a kind."""
        if not self.stack or type(self.stack[-1]) not in kinds:
            raise ValueError("an instruction finds the wrong thing on the stack")
        return self.stack[-1]


def _named(name: str) -> Any:
    if name not in NAMES:
        raise _RefusalError(name)
    return NAMES[name]


def _called(function: Any, arguments: Any) -> _Dtype | _Array:
    if function is not _Dtype and function is not _reconstruct:
        raise _RefusalError("a call of something that is no part of an array")
    return function(*arguments)


def _admit(value: Any) -> Any:
    """What may lie in a list or dict, or be the whole."""
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    if not isinstance(value, int | float | str | bytes | list | dict):
        raise _RefusalError(f"a value of type {type(value).__name__}")
    return value


def _pairs(values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    for key in keys:
        if not isinstance(key, int | float | str | bytes):
            raise _RefusalError(f"a key of type {type(key).__name__}")
    return {key: _admit(value) for key, value in zip(keys, values[1::2], strict=True)}
