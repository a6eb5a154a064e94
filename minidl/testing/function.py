"""A function at a point, which is what is checked: its values, its gradients, and its gradient as a function again."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backend import Array, array_module, name_of, to_backend
from minidl.testing.engine import Engine, Pull, as_list

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Function:
    """A function of an engine's tensors, and the arrays, all of floating point, at which to look at it."""

    engine: Engine
    call: Callable[..., Any]
    name: str
    source: str  # file and line
    labels: tuple[str, ...]  # of the inputs
    points: tuple[Array, ...]

    def vjp(self) -> tuple[list[Any], list[Any], Pull]:
        """The inputs as new tensors, the outputs, and the pullback."""
        xs = [self.engine.tensor(point.copy(order="K")) for point in self.points]
        ys, pull = self.engine.vjp(self.call, xs)

        def checked_pull(gs: Sequence[Any]) -> Sequence[Any]:
            parts = as_list(pull(gs))
            if len(parts) != len(xs):
                raise ValueError(f"{self.name}: the pullback returned {len(parts)} gradients for {len(xs)} inputs")
            return parts

        return xs, ys, checked_pull

    def exact(self) -> Function:
        """The function at the same point in float64; itself if it is there."""
        if all(point.dtype == np.float64 for point in self.points):
            return self
        return replace(self, points=tuple(point.astype(np.float64, order="K") for point in self.points))

    def nearby(self, rng: np.random.Generator) -> Function:
        """The function at a point about 1 % away."""

        def moved(point: Array) -> Array:
            step = 0.01 * size_of(point) * rng.uniform(0.5, 1, point.shape) * rng.choice([-1, 1], point.shape)
            return point + array_module(point).asarray(step.astype(point.dtype))

        return replace(self, points=tuple(moved(point) for point in self.points))

    def moving(self, index: int) -> Callable[[Host], Host]:
        """The values, flat, as a function of one input alone, in float64, or in complex128 if that is what comes in."""
        outputs = self._outputs(index)
        return lambda point: flatten(outputs(point))

    def moving_all(self) -> Callable[[Sequence[Host]], Host]:
        """The values, flat, as a function of all inputs."""
        places = [name_of(point) for point in self.points]

        def values(points: Sequence[Host]) -> Host:
            xs = [self.engine.tensor(to_backend(x, place)) for x, place in zip(points, places, strict=True)]
            return flatten(self._arrays(self.call(*xs)))

        return values

    def require_precision(self, index: int, here: Host, there: Host) -> None:
        """Refuse a function that of one input makes less precise values, or real ones of complex ones.

        Of the outputs those count that are not the same here and there; all may be complex to begin with.
        """
        outputs = self._outputs(index)
        for before, after in zip(map(np.copy, outputs(here)), outputs(there), strict=True):
            if np.array_equal(before, after, equal_nan=True):
                continue
            if np.iscomplexobj(there) and not np.iscomplexobj(after):
                raise ValueError(
                    f"gradcheck: mode 'complex': {self.name} makes {after.dtype} of {there.dtype}: use another mode"
                )
            coarse = after.dtype.itemsize < there.dtype.itemsize
            if coarse or (not np.iscomplexobj(there) and _is_rounded(before) and _is_rounded(after)):
                advice = "too coarse to see slopes in: let it compute in the precision of its inputs"
                found = after.dtype if coarse else "numbers rounded to float32"
                raise ValueError(f"gradcheck: {self.name} makes {found} of {there.dtype}, {advice}")

    def _outputs(self, index: int) -> Callable[[Host], list[Host]]:
        fixed = [self.engine.tensor(point) for point in self.points]
        place = name_of(self.points[index])

        def outputs(point: Host) -> list[Host]:
            moved = self.engine.tensor(to_backend(point, place))
            return self._arrays(self.call(*fixed[:index], moved, *fixed[index + 1 :]))

        return outputs

    def _arrays(self, result: Any) -> list[Host]:
        arrays = [to_backend(self.engine.array(y), "numpy") for y in as_list(result)]
        return [array for array in arrays if array.dtype.kind in "fc"]

    def gradient(self, upstream: Sequence[Array]) -> Function:
        """The gradient as a function of the inputs and of the upstream gradients, which are further inputs."""
        count = len(self.points)

        def gradient(*args: Any) -> Sequence[Any]:
            return self.engine.vjp(self.call, args[:count])[1](args[count:])

        labels = (*self.labels, *(f"upstream {k}" for k in range(len(upstream))))
        return Function(
            self.engine, gradient, f"gradient of {self.name}", self.source, labels, (*self.points, *upstream)
        )


def host(array: Array) -> Host:
    """The array on the host, in float64, in memory of its own."""
    return np.array(to_backend(array, "numpy"), np.float64)


def flatten(arrays: Sequence[Array]) -> Host:
    """The elements of all, on the host, in one row."""
    flat = [to_backend(array, "numpy").ravel() for array in arrays]
    return np.concatenate(flat) if flat else np.zeros(0)


def size_of(point: Array) -> float:
    """The root of the mean square of what is finite and not 0, or 1."""
    numbers = host(point)
    numbers = numbers[np.isfinite(numbers) & (numbers != 0)]
    largest = np.abs(numbers).max(initial=0)  # whose square may overflow
    return float(largest * np.sqrt(np.mean((numbers / largest) ** 2))) if numbers.size else 1.0


def _is_rounded(values: Host) -> bool:
    """Whether all values are such as float32 can hold, and not just whole numbers."""
    single = values.astype(np.float32).astype(np.float64)
    return bool(np.array_equal(values, single, equal_nan=True) and np.any(values != np.round(values)))


def describe(fn: Any) -> tuple[str, str]:
    """A function's name and where it is defined: "gate", "net.py:12"; for an object, those of its class."""
    while isinstance(fn, functools.partial) or hasattr(fn, "_is_autograd_primitive"):  # this is how HIPS autograd wraps
        fn = fn.func if isinstance(fn, functools.partial) else fn.fun
    if isinstance(owner := getattr(fn, "__self__", None), type):  # a method of a class: PyTorch's Function.apply
        name, function = owner.__name__, getattr(owner, "forward", fn)
    else:
        name = getattr(fn, "__name__", type(fn).__name__)
        function = fn if hasattr(fn, "__name__") else getattr(type(fn), "forward", type(fn).__call__)
    function = inspect.unwrap(function)
    if (code := getattr(function, "__code__", None)) is None:
        return name, ""  # written in C
    file, here = Path(code.co_filename), Path.cwd()
    return name, f"{file.relative_to(here) if file.is_relative_to(here) else file}:{code.co_firstlineno}"
