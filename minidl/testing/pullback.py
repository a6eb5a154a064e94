"""What holds for every pullback, whatever its values: it is linear, repeatable, and leaves alone what it is given."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from minidl.backend import Array, array_module, to_backend
from minidl.testing import diagnosis
from minidl.testing.function import Function, Host
from minidl.testing.report import Fault


class Trial:
    """One pass forward through a function, two random upstream gradients, and what came back for the first of them."""

    def __init__(self, function: Function, rng: np.random.Generator):
        self.function, self.engine = function, function.engine
        self.xs, ys, self.pull = function.vjp()
        self.values = [self.engine.array(y) for y in ys]
        self.upstream, self.other = self._random(rng), self._random(rng)
        self.given = [self.engine.tensor(g.copy()) for g in self.upstream]
        self.parts = [None if part is None else self.engine.array(part) for part in self.pull(self.given)]
        self.gradient = [self._whole(part, point) for part, point in zip(self.parts, function.points, strict=True)]

    def pull_back(self, upstream: Sequence[Array]) -> list[Host]:
        """The gradients in float64 on the host, whichever type they had; zeros where there is no dependence."""
        parts = self.pull([self.engine.tensor(g) for g in upstream])
        arrays = [None if part is None else self.engine.array(part) for part in parts]
        return [self._whole(part, point) for part, point in zip(arrays, self.function.points, strict=True)]

    def _random(self, rng: np.random.Generator) -> list[Array]:
        return [array_module(y).asarray(rng.standard_normal(y.shape).astype(y.dtype)) for y in self.values]

    def _whole(self, part: Array | None, point: Array) -> Host:
        return np.zeros(point.shape) if part is None else host(part)


def host(array: Array) -> Host:
    """The array on the host, in float64, in memory of its own."""
    return np.array(to_backend(array, "numpy"), np.float64)


DECISIVE = ("finite", "shape", "unmodified", "deterministic")
"""Once one of these is broken nothing can be said of the rest, nor of slopes."""


def broken_laws(trial: Trial) -> list[Fault]:
    """The laws that are broken, those first that may be the cause of others."""
    faults = []
    for law in (finite, shape, dtype, aliasing, unmodified, deterministic, linear, zero):
        faults += [Fault(law.__name__, f"{trial.function.name}: {message}") for message in law(trial)]
        if faults and law.__name__ in DECISIVE:
            break
    return faults


def finite(trial: Trial) -> Iterator[str]:
    """Where a slope is asked for there is a value."""
    for k, y in enumerate(trial.values):
        if not np.isfinite(host(y)).all():
            yield f"output {k} is not finite at these inputs, so it has no slope there: choose others"


def shape(trial: Trial) -> Iterator[str]:
    """A gradient has the shape of its input."""
    for label, part, point in zip(trial.function.labels, trial.parts, trial.function.points, strict=True):
        if part is not None and part.shape != point.shape:
            found = f"{label} has shape {point.shape} but its gradient has shape {part.shape}"
            yield f"{found}: {diagnosis.of_shape(part.shape, point.shape)}"


def dtype(trial: Trial) -> Iterator[str]:
    """A gradient has the type of its input."""
    for label, part, point in zip(trial.function.labels, trial.parts, trial.function.points, strict=True):
        if part is not None and part.dtype != point.dtype:
            yield f"{label} is {point.dtype} but its gradient is {part.dtype}"


def aliasing(trial: Trial) -> Iterator[str]:
    """Who adds to a gradient in place changes nothing else."""
    if trial.engine.aliasing:
        return
    labels = trial.function.labels
    parts = [(f"the gradient of {x}", part) for x, part in zip(labels, trial.parts, strict=True) if part is not None]
    others = [("the upstream gradient", trial.engine.array(g)) for g in trial.given]
    others += [(x, trial.engine.array(tensor)) for x, tensor in zip(labels, trial.xs, strict=True)]
    pairs = [*itertools.combinations(parts, 2), *itertools.product(parts, others)]
    for (what, array), (whose, other) in pairs:
        module = array_module(array)
        if array is other or (module is array_module(other) and module.shares_memory(array, other)):
            yield f"{what} shares memory with {whose}: adding to one in place changes the other: copy it"
    for what, array in parts:
        if array.size and any(n > 1 and not stride for n, stride in zip(array.shape, array.strides, strict=True)):
            yield f"elements of {what} share memory with each other, being broadcast: copy it"


def deterministic(trial: Trial) -> Iterator[str]:
    """The same again gives the same again: through the same graph, and from the beginning."""
    for label, first, second in _differing(trial, trial.gradient, trial.pull_back(trial.upstream)):
        guess = diagnosis.of_repetition(first, second)
        yield f"the gradient of {label} is another when the same graph is gone through again: {guess}"
        return
    rerun = Trial(trial.function, np.random.default_rng(0))
    values = zip(trial.values, rerun.values, strict=True)
    values_differ = any(not _same(host(y), host(z), y.dtype) for y, z in values)
    if values_differ or [*_differing(trial, trial.gradient, rerun.pull_back(trial.upstream))]:
        yield "what it computes is another when it is run again: does it draw random numbers? set the seed within it"


def linear(trial: Trial) -> Iterator[str]:
    """The gradient of a weighted sum is the weighted sum of the gradients."""
    other = trial.pull_back(trial.other)
    both = trial.pull_back([2 * g - 3 * h for g, h in zip(trial.upstream, trial.other, strict=True)])
    wanted = [2 * a - 3 * b for a, b in zip(trial.gradient, other, strict=True)]
    for label, *_ in _differing(trial, both, wanted):
        yield f"the gradient of {label} is not linear in the upstream gradient: each pullback is to multiply by it once"


def zero(trial: Trial) -> Iterator[str]:
    """No gradient comes out where none goes in."""
    for label, part in zip(trial.function.labels, trial.pull_back([0 * g for g in trial.upstream]), strict=True):
        if not np.all(part == 0):
            yield f"from an upstream gradient of zeros that of {label} is not zero, but {part[part != 0].flat[0]:.3g}"


def unmodified(trial: Trial) -> Iterator[str]:
    """Inputs and upstream gradients stay as they were."""
    named = zip(trial.function.labels, trial.xs, trial.function.points, strict=True)
    upstream = (("the upstream gradient", g, before) for g, before in zip(trial.given, trial.upstream, strict=True))
    for label, x, before in itertools.chain(named, upstream):
        if not np.array_equal(host(trial.engine.array(x)), host(before), equal_nan=True):
            yield f"{label}, of shape {before.shape}, was written to: change a copy"


def _differing(trial: Trial, some: Sequence[Host], others: Sequence[Host]) -> Iterator[tuple[str, Host, Host]]:
    """The inputs' labels and gradients where these are not the same, to the rounding of the coarsest input."""
    coarsest = max((point.dtype for point in trial.function.points), key=lambda dtype: float(np.finfo(dtype).eps))
    for label, x, y in zip(trial.function.labels, some, others, strict=True):
        if not _same(x, y, coarsest):
            yield label, x, y


def _same(x: Host, y: Host, dtype: np.dtype[np.floating]) -> bool:
    """Whether two arrays differ by rounding at most, in sums of numbers up to 1 or more, and are finite alike."""
    finite = np.isfinite(x) & np.isfinite(y)
    allowed = 1000 * np.finfo(dtype).eps * max(np.abs(x[finite]).max(initial=1), np.abs(y[finite]).max(initial=1))
    return np.array_equal(np.isfinite(x), np.isfinite(y)) and bool(np.all(np.abs(x[finite] - y[finite]) <= allowed))
