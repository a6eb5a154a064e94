"""The four things that the checks have to know of an automatic differentiator: minidl's, and in `adapters` others'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from minidl import ops
from minidl.autograd import grad
from minidl.backend import Array
from minidl.creation import zeros_like
from minidl.mode import enable_grad
from minidl.tensor import Tensor

Pull = Callable[[Sequence[Any]], Sequence[Any]]
"""From the gradients of a function's outputs to those of its inputs; None stands for zeros."""


class Engine(Protocol):
    """How to compute with one automatic differentiator. Its tensors are whatever it computes with.

    `aliasing` says that its gradients may share memory, since nobody ever writes to one.
    """

    aliasing: bool

    def tensor(self, array: Array) -> Any:
        """A constant of the engine with these numbers."""

    def array(self, x: Any) -> Array:
        """The numbers of a tensor: its own memory, not a copy, if it has any."""

    def vjp(self, fn: Callable[..., Any], xs: Sequence[Any]) -> tuple[list[Any], Pull]:
        """The floating-point outputs of fn(*xs), and their pullback to xs, which are of floating point too.

        The pullback may be called again. For derivatives of order 2, xs and gradients come from a vjp around this one.
        """


class Minidl:
    """minidl's own engine."""

    aliasing = False

    def tensor(self, array: Array) -> Tensor:
        return Tensor(array)

    def array(self, x: Tensor) -> Array:
        return x.data

    def vjp(self, fn: Callable[..., Any], xs: Sequence[Tensor]) -> tuple[list[Tensor], Pull]:
        with enable_grad():
            leaves = [ops.identity(x) if x.requires_grad else Tensor(x.data).requires_grad_() for x in xs]
            results = as_list(fn(*leaves))
            if wrong := [y for y in results if not isinstance(y, Tensor)]:
                raise TypeError(f"gradcheck: the function must return tensors, got {type(wrong[0]).__name__}")
            ys = [y for y in results if y.dtype.kind == "f"]

        def pull(gs: Sequence[Tensor]) -> list[Tensor]:
            record = any(x.requires_grad for x in (*xs, *gs))
            pairs = [(y, g) for y, g in zip(ys, gs, strict=True) if y.requires_grad]
            if not pairs:
                return [zeros_like(x) for x in xs]
            outputs, upstream = zip(*pairs, strict=True)
            with enable_grad():
                found = grad(outputs, leaves, upstream, retain_graph=True, create_graph=record, allow_unused=True)
            return [zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]

        return ys, pull


def as_list(result: Any) -> list[Any]:
    """What a function returns, one tensor or several, as a list."""
    return list(result) if isinstance(result, (list, tuple)) else [result]
