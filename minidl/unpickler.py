"""Pickles of data, read without running anything.

A pickle is a program for a stack machine, and Python's machine calls whatever function the program names.
This one knows only the instructions that build numbers, strings, bytes, tuples, lists and dicts, and the few names that
a reader of one kind of file admits; at anything else it stops. It allocates in proportion to the file, whatever sizes
that claims.
"""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from typing import IO, Any, ClassVar

# fmt: off
LITERALS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
})
# fmt: on
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class RefusalError(Exception):
    """The pickle asks for more than data."""


class DamageError(Exception):
    """The pickle is cut short, or no pickle."""


class Unpickler:
    """The stack machine that `pickletools` documents, with the instructions that build data and no others.

    A subclass says what stands behind the names it admits, and what may be done with it.
    """

    names: ClassVar[Mapping[str, Any]] = {}
    """What a pickle may name."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def call(self, function: Any, arguments: Any) -> Any:
        """What the call of something named makes."""
        raise RefusalError("a call")

    def build(self, thing: Any, state: Any) -> None:
        """Give something that a call made its state."""
        raise RefusalError("a state for something that has none")

    def refer(self, key: Any) -> Any:
        """What stands outside the pickle under this key."""
        raise RefusalError("the instruction BINPERSID")

    def admit(self, value: Any) -> Any:
        """What may lie in a list or dict, or be the whole."""
        return value

    def run(self, content: bytes | IO[bytes]) -> Any:
        """The value of the pickle; a file is left behind it."""
        try:
            for instruction, argument, _ in pickletools.genops(content):  # the last one is STOP
                self.step(instruction.name, argument)
            return self.admit(*self.pop(1))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise DamageError(str(error)) from error

    def step(self, name: str, argument: Any) -> None:
        """One instruction."""
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
                push([self.admit(value) for value in self.pop_to_mark()])
            case "APPEND" | "APPENDS":
                values = self.pop(1) if name == "APPEND" else self.pop_to_mark()
                self.top(list).extend(self.admit(value) for value in values)
            case "EMPTY_DICT":
                push({})
            case "DICT":
                push(self.pairs(self.pop_to_mark()))
            case "SETITEM" | "SETITEMS":
                values = self.pop(2) if name == "SETITEM" else self.pop_to_mark()
                self.top(dict).update(self.pairs(values))
            case "GLOBAL":
                push(self.named(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                push(self.named(".".join(self.pop(2))))
            case "REDUCE":
                push(self.call(*self.pop(2)))
            case "BUILD":
                state = self.pop(1)[0]
                self.build(self.top(), state)
            case "BINPERSID":
                push(self.refer(*self.pop(1)))
            case _:
                raise RefusalError(f"the instruction {name} {argument or ''}".rstrip())

    def named(self, name: str) -> Any:
        """What a name stands for, if it is admitted."""
        if name not in self.names:
            raise RefusalError(name)
        return self.names[name]

    def pairs(self, values: list[Any]) -> dict[Any, Any]:
        """Keys and values in turn, as a dict."""
        keys = values[::2]
        for key in keys:
            if not isinstance(key, int | float | str | bytes):
                raise RefusalError(f"a key of type {type(key).__name__}")
        return {key: self.admit(value) for key, value in zip(keys, values[1::2], strict=True)}

    def pop(self, count: int) -> list[Any]:
        """The last values, taken from the stack."""
        if len(self.stack) < count:
            raise ValueError("an instruction finds too little on the stack")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def pop_to_mark(self) -> list[Any]:
        """The values since the last mark, taken from the stack."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, *kinds: type) -> Any:
        """What lies on top of the stack; of such a kind, if any are given."""
        if not self.stack or (kinds and type(self.stack[-1]) not in kinds):
            raise ValueError("an instruction finds the wrong thing on the stack")
        return self.stack[-1]
