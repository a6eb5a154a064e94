"""The engine that a function and a backward pass for it are together. It computes with arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.backend import Array, is_cupy
from minidl.testing.engine import Pull, as_list
from minidl.testing.subject import is_float, list_of_inputs, merge


class HandWritten:
    """What `check_vjp` is given: vjp(g, *inputs) returns the gradient of each input."""

    def __init__(self, backward: Callable[..., Any], inputs: Sequence[Any], aliasing: bool):
        self.backward, self.inputs, self.aliasing = backward, list_of_inputs(inputs), aliasing

    def tensor(self, array: Array) -> Array:
        return array

    def array(self, x: Any) -> Array:
        return x if is_cupy(x) else np.asarray(x)

    def vjp(self, fn: Callable[..., Any], xs: Sequence[Array]) -> tuple[list[Array], Pull]:
        result = fn(*xs)
        several = isinstance(result, (list, tuple))
        outputs = [self._numbers("f", y) for y in as_list(result)]

        def pull(gs: Sequence[Array]) -> list[Array]:
            upstream = iter(gs)
            full = tuple(next(upstream) if y.dtype.kind == "f" else None for y in outputs)
            parts = as_list(self.backward(full if several else full[0], *merge(self.inputs, self.inputs, xs)))
            if len(parts) != len(self.inputs):
                raise ValueError(
                    f"check_vjp: got {len(parts)} gradients from vjp for {len(self.inputs)} inputs: "
                    "return an array, or a tuple with one for each input, which may be None"
                )
            given = [part for part, x in zip(parts, self.inputs, strict=True) if is_float(x)]
            return [None if part is None else self._numbers("vjp", part) for part in given]

        return [y for y in outputs if y.dtype.kind in "fc"], pull

    def _numbers(self, who: str, x: Any) -> Array:
        array = self.array(x)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"check_vjp: {who} must return arrays of numbers, got {type(x).__name__}")
        return array
