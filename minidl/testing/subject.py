"""What is to be checked, as the user gave it, made a function of arrays of floating point alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.backend import is_cupy
from minidl.nn.module import Module
from minidl.tensor import Tensor
from minidl.testing.engine import Engine
from minidl.testing.function import Function, describe


def as_function(fn: Callable[..., Any], inputs: Sequence[Any], params: Sequence[Tensor], engine: Engine) -> Function:
    """The function of those inputs that are of floating point, and of the parameters."""
    if isinstance(engine, type) or not all(hasattr(engine, name) for name in ("tensor", "array", "vjp")):
        raise TypeError(f"gradcheck: engine must be an adapter, such as adapters.PyTorch(torch), got {engine!r}")
    arrays = list_of_inputs(inputs, engine)
    count = sum(map(is_float, arrays))
    others = [x if x is None or is_float(x) else engine.tensor(x) for x in arrays]

    def call(*args: Any) -> Any:
        for param, value in zip(params, args[count:], strict=True):
            param.data, param.node, param.memory = value.data, value.node, value.memory
        return fn(*merge(arrays, others, args[:count]))

    labels = [f"input {k}" for k, x in enumerate(arrays) if is_float(x)] + [f"param {k}" for k in range(len(params))]
    points = [*filter(is_float, arrays), *(param.data for param in params)]
    if not points:
        found = ", ".join(type(x).__name__ if x is None else str(x.dtype) for x in arrays)
        raise ValueError(f"gradcheck: needs inputs of floating point or params, got {found or 'none'}")
    name, source = describe(fn)
    return Function(engine, call, name, source, tuple(labels), tuple(points))


@contextlib.contextmanager
def kept(fn: Callable[..., Any], params: Sequence[Tensor]) -> Iterator[None]:
    """Within this context other tensors may stand in for the parameters, and a module's buffers may change.

    Afterwards all are themselves again.
    """
    tensors = [(param, param.data, param.node, param.memory) for param in params]
    module = fn if isinstance(fn, Module) else getattr(fn, "__self__", None)
    buffers = [(b.data, b.data.copy()) for b in module.buffers()] if isinstance(module, Module) else []
    try:
        yield
    finally:
        for param, data, node, memory in tensors:
            param.data, param.node, param.memory = data, node, memory
        for array, before in buffers:
            array[...] = before


def list_of_inputs(inputs: Any, engine: Engine | None = None) -> list[Any]:
    """The inputs as arrays; None stays None."""
    if not isinstance(inputs, (list, tuple)):
        raise TypeError(
            f"gradcheck: inputs must be a list or a tuple, one for each argument, got {type(inputs).__name__}"
        )
    return [_array(x, engine) for x in inputs]


def list_of_parameters(params: Iterable[Tensor]) -> list[Tensor]:
    """The parameters, each once."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(f"gradcheck: params must be a list of tensors, got {type(params).__name__}")
    tensors = list({id(param): param for param in params}.values())
    for param in tensors:
        if not isinstance(param, Tensor):
            raise TypeError(
                f"gradcheck: params must be minidl's tensors, got {type(param).__name__}: "
                "those of another engine go with the inputs"
            )
        if not is_float(param.data):
            raise TypeError(f"gradcheck: params must be of floating point, got {param.dtype}")
    return tensors


def merge(arrays: Sequence[Any], others: Sequence[Any], floats: Sequence[Any]) -> list[Any]:
    """One for each array: the next of the floats if it is of floating point, else what stands for it in the others."""
    rest = iter(floats)
    return [next(rest) if is_float(x) else other for x, other in zip(arrays, others, strict=True)]


def is_float(x: Any) -> bool:
    """Whether this is an array of floating point."""
    return x is not None and getattr(x, "dtype", None) is not None and np.dtype(x.dtype).kind == "f"


def _array(x: Any, engine: Engine | None) -> Any:
    if isinstance(x, Tensor):
        return x.data
    if x is None or isinstance(x, np.ndarray) or is_cupy(x):
        return x
    return engine.array(x) if engine and hasattr(x, "dtype") and not isinstance(x, np.generic) else np.asarray(x)
