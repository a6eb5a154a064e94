"""Whether gradients are right: those of an engine beside the slopes of the values, and the laws of every pullback.

With J the Jacobian of a function, G a matrix of gradients of its outputs, and U one of directions at an input, G J U is
computed twice: (G J) U going backward, and G (J U) by differences. For small arrays G and U are unit matrices, so that
every element is looked at by itself; for large ones they are random.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.backend import Array, array_module, is_cupy
from minidl.tensor import Tensor
from minidl.testing.comparison import Probe, compare
from minidl.testing.engine import Engine, Minidl, Pull, as_list
from minidl.testing.explanation import kink_fault, slope_fault
from minidl.testing.function import Function, describe
from minidl.testing.jacobian import jacobian
from minidl.testing.pullback import DECISIVE, Trial, broken_laws, host
from minidl.testing.report import Fault, GradientError, Report, Row
from minidl.testing.settings import Settings

ATTEMPTS = 10  # at finding a point without kinks


def gradcheck(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    params: Sequence[Tensor] = (),
    order: int = 1,
    mode: str = "auto",
    directions: int = 8,
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    kinks: str = "detect",
    seed: int = 0,
    engine: Engine | None = None,
    raise_exception: bool = True,
) -> Report:
    """Compare the gradients of fn(*inputs), one tensor or several, with the slopes of its values; check the laws.

    The gradient is computed in the inputs' precision and held to that precision's tolerance, the slopes are measured in
    float64. Nothing given is changed.

    Args:
        fn: computes with the engine's tensors.
        inputs: arrays, tensors, numbers or None. There is a gradient by those of floating point.
        params: minidl tensors that fn uses besides, a model's parameters say: there are gradients by them too.
        order: 2 checks the gradient of the gradient as well, and so on.
        mode: "full" looks at every element of every input and output, "project" at random sums and directions; "auto"
            chooses by size; "complex" is "auto" with complex steps, exact to rounding, where fn takes complex numbers
            and is analytic (of order 1: slopes of gradients are differences).
        directions: how many random directions to look in at a large input.
        eps: the first step, relative to the size of the input; smaller ones follow where it does not settle.
        rtol, atol: |gradient - slope| may be atol + rtol · the larger of both, where atol is multiplied by the largest
            element of the gradient if that is above 1. By default 1e-6 and 1e-10 in float64, 1e-4 and 1e-5 in float32.
        kinks: where the slopes to the two sides differ, "detect" reports both, and takes what is between for right;
            "resample" moves the inputs away, by about 1 %; "error" reports a fault.
        seed: of the upstream gradients and directions.
        engine: minidl's, or one of `minidl.testing.adapters`.
        raise_exception: whether to raise a GradientError, which has the report, or to return the report anyway.
    """
    settings = Settings(mode, directions, eps, rtol, atol, kinks)
    if order < 1:
        raise ValueError(f"gradcheck: order must be at least 1, got {order}")
    if not all(isinstance(param, Tensor) for param in params):
        raise TypeError("gradcheck: params must be minidl tensors: those of another engine go with the inputs")
    rng = np.random.default_rng(seed)
    # A step may leave the function's domain, and what is not finite is reported.
    with _substitutable(params), np.errstate(all="ignore"):
        function = _function(fn, inputs, params, engine or Minidl())
        report = _check(function, order, settings, rng)
        for _ in range(ATTEMPTS):
            if kinks == "resample" and any(row.kinks for row in report.rows):
                function = _moved(function, rng)
                report = _check(function, order, settings, rng)
    if raise_exception and not report.ok:
        raise GradientError(report)
    return report


def check_vjp(
    f: Callable[..., Any], vjp: Callable[..., Any], inputs: Sequence[Any], *, aliasing: bool = False, **options: Any
) -> Report:
    """The same checks of a function of arrays and a backward pass that somebody wrote for it.

    f(*inputs) returns an array or several; vjp(g, *inputs) takes the gradient of the output, or a tuple of them, and
    returns one for each input: None for those that have none. `aliasing` allows gradients to share memory, for those
    who never add to one in place. The options are those of `gradcheck`.
    """
    return gradcheck(f, inputs, engine=_HandWritten(vjp, inputs, aliasing), **options)


class _HandWritten:
    """The engine that a function and its backward pass are together. It computes with arrays."""

    def __init__(self, backward: Callable[..., Any], inputs: Sequence[Any], aliasing: bool):
        self.backward, self.inputs, self.aliasing = backward, [_array(x) for x in inputs], aliasing

    def tensor(self, array: Array) -> Array:
        return array

    def array(self, x: Any) -> Array:
        return x if is_cupy(x) else np.asarray(x)

    def vjp(self, fn: Callable[..., Any], xs: Sequence[Array]) -> tuple[list[Array], Pull]:
        result = fn(*xs)
        several = isinstance(result, (list, tuple))

        def pull(gs: Sequence[Array]) -> list[Array]:
            parts = as_list(self.backward(tuple(gs) if several else gs[0], *_merge(self.inputs, self.inputs, xs)))
            if len(parts) != len(self.inputs):
                raise ValueError(f"check_vjp: got {len(parts)} gradients from vjp for {len(self.inputs)} inputs")
            return [part for part, x in zip(parts, self.inputs, strict=True) if _is_float(x)]

        return [self.array(y) for y in as_list(result)], pull


def _check(function: Function, order: int, settings: Settings, rng: np.random.Generator) -> Report:
    name = function.name
    rows: list[Row] = []
    faults: list[Fault] = []
    for _ in range(order):
        trial = Trial(function, rng)
        if not trial.values:
            raise ValueError(f"gradcheck: {function.name} returns nothing of floating point")
        faults = broken_laws(trial)
        if not any(fault.law in DECISIVE for fault in faults):
            more_rows, more_faults = _compare(function, trial, settings, rng)
            rows, faults = rows + more_rows, more_faults + faults
        if faults:
            break
        function = function.gradient(trial.upstream)
        settings = settings.for_gradients()
    return Report(name, function.source, tuple(rows), tuple(faults))


def _compare(
    function: Function, trial: Trial, settings: Settings, rng: np.random.Generator
) -> tuple[list[Row], list[Fault]]:
    """The gradient by every input beside the slopes."""
    outputs = sum(y.size for y in trial.values)
    found = jacobian(trial, settings.one_by_one(outputs))
    probes = [Probe(function, k, found, settings, rng) for k, x in enumerate(function.points) if x.size and outputs]
    findings = [compare(probe, settings.one_by_one(probe.point.size)) for probe in probes]
    faults = []
    for one in findings:
        if not one.ok:
            faults.append(slope_fault(one, trial, [other for other in findings if other is not one]))
        elif one.kinks and (settings.kinks == "error" or one.rough or not one.judged):
            faults.append(kink_fault(one))
    return [one.row() for one in findings], faults


def _function(fn: Callable[..., Any], inputs: Sequence[Any], params: Sequence[Tensor], engine: Engine) -> Function:
    """The function of the inputs of floating point, and the parameters, alone."""
    arrays = [_array(x, engine) for x in inputs]
    count = sum(map(_is_float, arrays))
    others = [x if x is None or _is_float(x) else engine.tensor(x) for x in arrays]

    def call(*args: Any) -> Any:
        for param, value in zip(params, args[count:], strict=True):
            param.data, param.node, param.memory = value.data, value.node, value.memory
        return fn(*_merge(arrays, others, args[:count]))

    labels = [f"input {k}" for k, x in enumerate(arrays) if _is_float(x)] + [f"param {k}" for k in range(len(params))]
    points = [*filter(_is_float, arrays), *(param.data for param in params)]
    if not points:
        found = ", ".join(type(x).__name__ if x is None else str(x.dtype) for x in arrays)
        raise ValueError(f"gradcheck: needs inputs of floating point or params, got {found or 'none'}")
    name, source = describe(fn)
    return Function(engine, call, name, source, tuple(labels), tuple(points))


@contextlib.contextmanager
def _substitutable(params: Sequence[Tensor]) -> Iterator[None]:
    """Within this context other tensors may stand in for the parameters; afterwards they are themselves again."""
    kept = [(param, param.data, param.node, param.memory) for param in params]
    try:
        yield
    finally:
        for param, data, node, memory in kept:
            param.data, param.node, param.memory = data, node, memory


def _moved(function: Function, rng: np.random.Generator) -> Function:
    """The function at a point nearby."""

    def moved(point: Array) -> Array:
        size = float(np.sqrt(np.mean(host(point) ** 2))) or 1.0
        step = 0.01 * size * rng.uniform(0.5, 1, point.shape) * rng.choice([-1, 1], point.shape)
        return point + array_module(point).asarray(step.astype(point.dtype))

    return dataclasses.replace(
        function, points=tuple(moved(point) if point.size else point for point in function.points)
    )


def _merge(arrays: Sequence[Any], others: Sequence[Any], floats: Sequence[Any]) -> list[Any]:
    """One for each array: the next of the floats if it is of floating point, else what stands for it in the others."""
    rest = iter(floats)
    return [next(rest) if _is_float(x) else other for x, other in zip(arrays, others, strict=True)]


def _array(x: Any, engine: Engine | None = None) -> Any:
    """The array of an input; None stays None."""
    if isinstance(x, Tensor):
        return x.data
    if x is None or isinstance(x, np.ndarray) or is_cupy(x):
        return x
    return engine.array(x) if engine and hasattr(x, "dtype") and not isinstance(x, np.generic) else np.asarray(x)


def _is_float(x: Any) -> bool:
    return x is not None and getattr(x, "dtype", None) is not None and np.dtype(x.dtype).kind == "f"
