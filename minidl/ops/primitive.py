"""How an op is made: a `primitive` of a value and its pullbacks, an `accelerated` one of a composition and a kernel."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np

from minidl import autograd, kernels, ops
from minidl.backend import common_backend, is_cupy
from minidl.mode import mode
from minidl.tensor import Tensor

Op = TypeVar("Op", bound=Callable[..., Any])
Parameters = ParamSpec("Parameters")


@overload
def primitive(function: Callable[Parameters, Any]) -> Callable[Parameters, Tensor]: ...
@overload
def primitive(
    *, hands_out: str = ..., of_floats: bool = ...
) -> Callable[[Callable[Parameters, Any]], Callable[Parameters, Tensor]]: ...
def primitive(function: Callable[..., Any] | None = None, *, hands_out: str = "any", of_floats: bool = False) -> Any:
    """Make an op of a function that returns its value, followed by one pullback for each of its tensors.

    The parameters before the slash (or the starred ones) are tensors; numbers and arrays given for them are
    converted. The others are settings. A pullback takes the gradient of the value (a tensor) to the gradient of its
    input, up to broadcasting, which the engine undoes. It is written in tensor arithmetic on the op's inputs and
    never mentions the op's output: that would be a reference cycle. `hands_out` is explained at `autograd.Node`;
    an op `of_floats` takes integers and booleans as float32, where NumPy would make them float64.
    """
    if function is None:
        return functools.partial(primitive, hands_out=hands_out, of_floats=of_floats)
    name, arity = function.__name__.lstrip("_"), _count_tensors(function)

    @functools.wraps(function)
    def op(*args: Any, **settings: Any) -> Tensor:
        inputs = as_tensors(name, args[:arity], optional=False, of_floats=of_floats)
        value, *pullbacks = _call(name, function, inputs, args[len(inputs) :], settings)
        for k, x in enumerate(inputs):
            if x.node is None:
                pullbacks[k] = None  # and what it would have remembered is free

        def pull(g: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
            return [pullback(g) if wants else None for pullback, wants in zip(pullbacks, wanted, strict=True)]

        return autograd.record(name, value, inputs, pull, hands_out)

    return op


def accelerated(by: str, hands_out: str = "new") -> Callable[[Op], Op]:
    """Let the kernel called `by` stand in for a composition of ops, wherever there is one for the array at hand.

    The kernel takes the arrays and the settings of the composition; it returns the value and a function `pull(g,
    wanted)` from the gradient's array to the inputs' gradient arrays, each of them new memory, if `hands_out` does not
    say otherwise (see `autograd.Node`). The composition stays the definition: it runs where there is no kernel, where
    the kernel returns None because it is not made for such a case, and within `definitions()`; and it is what gets
    differentiated when a gradient of a gradient is recorded.
    """

    def decorate(composition: Op) -> Op:
        arity = _count_tensors(composition)

        @functools.wraps(composition)
        def op(*args: Any, **settings: Any) -> Any:
            inputs, rest = as_tensors(by, args[:arity]), args[arity:]
            arrays = [None if x is None else x.data for x in inputs]
            kernel = None if mode.definitions else kernels.find(by, arrays)
            run = kernel if kernel is None or mode.profiler is None else mode.profiler.kernel(by, kernel)
            outcome = None if run is None else run(*arrays, *rest, **settings)
            if outcome is None:
                run = composition if mode.profiler is None else mode.profiler.composition(by, composition)
                return run(*inputs, *rest, **settings)
            value, first_order = outcome

            def pull(g: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
                if mode.recording:
                    return _pull_through(lambda *xs: composition(*xs, *rest, **settings), inputs, g, wanted)
                return [None if part is None else Tensor(part) for part in first_order(g.data, wanted)]

            return autograd.record(by, value, inputs, pull, hands_out)

        return op  # type: ignore[return-value]

    return decorate


def _call(
    name: str, function: Callable[..., Any], inputs: Sequence[Tensor], rest: Sequence[Any], settings: dict[str, Any]
) -> tuple[Any, ...]:
    """What the function of a primitive returns; its errors name the op and the shapes."""
    run = function if mode.profiler is None else mode.profiler.primitive(name, function)
    try:
        result = run(*inputs, *rest, **settings)
    except (IndexError, TypeError, ValueError) as error:
        if str(error).startswith(name):
            raise
        shapes = " and ".join(str(x.shape) for x in inputs)
        kind = next(kind for kind in (IndexError, TypeError, ValueError) if isinstance(error, kind))
        raise kind(f"{name} of {shapes}: {error}") from error
    if not isinstance(result, tuple) or len(result) != 1 + len(inputs):
        found = f"{len(result) - 1} pullbacks" if isinstance(result, tuple) else "a value alone"
        raise TypeError(f"{name}: must return its value and {len(inputs)} pullbacks, one a tensor; got {found}")
    return result


def _pull_through(
    composition: Callable[..., Tensor], inputs: Sequence[Tensor | None], g: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The recorded gradient of a composition, up to stand-ins: one input may have been computed from another."""
    stand_ins = [ops.identity(x) if wants else x for x, wants in zip(inputs, wanted, strict=True)]
    sources = [x for x, wants in zip(stand_ins, wanted, strict=True) if x is not None and wants]
    parts = iter(autograd.grad(composition(*stand_ins), sources, g, create_graph=True))
    return [next(parts) if wants else None for wants in wanted]


def as_tensors(op: str, args: Sequence[Any], optional: bool = True, of_floats: bool = False) -> list[Any]:
    """The arguments of an op as tensors of one backend; numbers and integers adopt the floating type of the others.

    An optional argument may be None, and stays it; where there must be floats and are none, integers become float32.
    """
    given = [x for x in args if x is not None] if optional else args
    alike = all(isinstance(x, Tensor) for x in given) and len({x.data.dtype for x in given}) == 1
    ready = alike and not (of_floats and given[0].dtype.kind in "biu")
    tensors = list(args) if ready else _convert(op, args, optional, of_floats)
    if len(tensors) > 1 and not all(x is None or type(x.data) is np.ndarray for x in tensors):
        if any(x is not None and is_cupy(x.data) for x in tensors):
            tensors = [_as_number(x) for x in tensors]
        common_backend(op, [x.data for x in tensors if x is not None])
    return tensors


def _as_number(x: Tensor | None) -> Tensor | None:
    """A NumPy tensor of no axes and no gradient, say the exponent y - 1 in a pullback, goes with CuPy as a number."""
    if x is None or x.ndim or x.requires_grad or not isinstance(x.data, np.ndarray):
        return x
    number = Tensor(x.data)
    number.data = x.data[()]
    return number


def _convert(op: str, args: Sequence[Any], optional: bool, of_floats: bool) -> list[Any]:
    typed = [x.dtype for x in args if hasattr(x, "dtype") and not isinstance(x, float)]
    floating = [dtype for dtype in typed if dtype.kind in "fc"]
    if not floating and (of_floats or any(isinstance(x, float) for x in args)):
        floating = [np.dtype(np.float32)]
    adopted = np.result_type(*floating) if floating else None
    tensors = [x if x is None and optional else _as_tensor(op, x, typed, adopted) for x in args]
    return [ops.astype(x, adopted) if of_floats and x is not None and x.dtype.kind == "b" else x for x in tensors]


def _as_tensor(op: str, x: Any, typed: list[np.dtype[Any]], adopted: np.dtype[Any] | None) -> Tensor:
    if isinstance(x, (bool, int, float, complex)):
        constant = Tensor(np.asarray(x, _scalar_type(x, typed, adopted)))
        constant.data = constant.data[()]  # a NumPy scalar goes with arrays of either backend
        return constant
    if not isinstance(x, Tensor):
        if not hasattr(x, "dtype") or not hasattr(x, "shape"):
            raise TypeError(f"{op}: expected a tensor, an array or a number, got {type(x).__name__}")
        x = Tensor(x)
    return ops.astype(x, adopted) if adopted is not None and x.dtype.kind in "iu" else x


def _scalar_type(x: complex, typed: list[np.dtype[Any]], adopted: np.dtype[Any] | None) -> np.dtype[Any]:
    """A Python number has no precision of its own. (np.float64 is a float too: it must not widen float32 work.)"""
    number = complex(x) if isinstance(x, complex) else float(x) if isinstance(x, float) else x
    known = typed if adopted is None else [adopted]
    return np.result_type(*known, number) if known else np.result_type(number)


def _count_tensors(function: Callable[..., Any]) -> int | None:
    """How many parameters stand before the slash; None if they are starred."""
    code = function.__code__
    if not code.co_posonlyargcount and not code.co_flags & inspect.CO_VARARGS:
        raise TypeError(f"{function.__name__}: put a slash behind the parameters that are tensors: def op(x, /, axis)")
    return code.co_posonlyargcount or None
