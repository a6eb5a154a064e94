"""What holds for every pullback, whatever its values: it is linear, repeatable, and leaves alone what it is given."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from minidl.backend import Array, array_module, name_of, to_backend
from minidl.testing import diagnosis
from minidl.testing.function import Function, Host, host, size_of
from minidl.testing.report import Fault
from minidl.testing.settings import Settings


class Trial:
    """One pass forward through a function, two random upstream gradients, and what came back for the first of them.

    With another trial `like` it, of the function in another precision, it has the same upstream gradients.
    """

    def __init__(self, function: Function, rng: np.random.Generator, like: Trial | None = None):
        self.function, self.engine = function, function.engine
        self.xs, ys, self.pull = function.vjp()
        self.values = [self.engine.array(y) for y in ys]
        if any(y.dtype.kind == "c" for y in self.values):
            raise ValueError(f"gradcheck: {function.name} returns complex numbers: let it return real ones, or parts")
        if like is None:
            self.upstream, self.other = self._random(rng), self._random(rng)
        else:
            self.upstream, self.other = self._cast(like.upstream), self._cast(like.other)
        self.given = [self.engine.tensor(g.copy()) for g in self.upstream]
        self.parts = [None if part is None else self.engine.array(part) for part in self.pull(self.given)]
        self.gradient = [self._whole(part, point) for part, point in zip(self.parts, function.points, strict=True)]

    def pull_back(self, upstream: Sequence[Array]) -> list[Host]:
        """The gradients in float64 on the host, whichever type they had; zeros where there is no dependence."""
        parts = self.pull([self.engine.tensor(g) for g in upstream])
        arrays = [None if part is None else self.engine.array(part) for part in parts]
        return [self._whole(part, point) for part, point in zip(arrays, self.function.points, strict=True)]

    @property
    def coarsest(self) -> np.dtype[np.floating]:
        """The type of the inputs that has the least precision, which says how large errors of rounding are."""
        return max((np.dtype(point.dtype) for point in self.function.points), key=lambda dtype: np.finfo(dtype).eps)

    @property
    def epsilon(self) -> float:
        """Its rounding error; that of float64 at least, in which gradients are compared."""
        return float(max(np.finfo(self.coarsest).eps, np.finfo(np.float64).eps))

    def scale(self, point: Array) -> float:
        """How large a gradient by this input is when the outputs change as much as it does, in proportion."""
        pairs = zip(self.upstream, self.values, strict=True)
        size = math.sqrt(sum(float(np.sum((host(g) * host(y)) ** 2)) for g, y in pairs))
        return size / (size_of(point) * math.sqrt(max(point.size, 1)))

    def _random(self, rng: np.random.Generator) -> list[Array]:
        return [array_module(y).asarray(rng.standard_normal(y.shape).astype(y.dtype)) for y in self.values]

    def _cast(self, upstream: Sequence[Array]) -> list[Array]:
        return [g.astype(y.dtype) for g, y in zip(upstream, self.values, strict=True)]

    def _whole(self, part: Array | None, point: Array) -> Host:
        return np.zeros(point.shape) if part is None else host(part)


DECISIVE = ("finite", "shape", "unmodified", "deterministic")
"""Once one of these is broken nothing can be said of the rest, nor of slopes."""


def broken_laws(trial: Trial) -> list[Fault]:
    """The laws that are broken, those first that may be the cause of others."""
    faults = []
    for law in (finite, shape, dtype, aliasing, unmodified, deterministic, layout, linear, zero):
        faults += [Fault(law.__name__, f"{trial.function.name}: {message}") for message in law(trial)]
        if faults and law.__name__ in DECISIVE:
            break
    return faults


def broken_precision(trial: Trial, exact: Trial, settings: Settings) -> list[Fault]:
    """Whether in lower precision the gradients are those of float64, to rounding."""
    faults = []
    for k, (label, point) in enumerate(zip(trial.function.labels, trial.function.points, strict=True)):
        found, wanted = trial.gradient[k], exact.gradient[k]
        rtol, atol = settings.tolerance(trial.coarsest)
        floor = atol * np.abs(wanted).max(initial=0) + 100 * trial.epsilon * trial.scale(point)
        wrong = ~(np.abs(found - wanted) <= rtol * np.abs(wanted) + floor) & np.isfinite(wanted)
        if wrong.any():
            at = tuple(map(int, np.argwhere(wrong)[0]))
            numbers = f"at {list(at)} is {found[at]:.6g}, and in float64 {wanted[at]:.6g}"
            faults.append(
                Fault("precision", f"{trial.function.name}: in {trial.coarsest} the gradient of {label} {numbers}")
            )
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
        if part is not None and part.dtype.newbyteorder("=") != point.dtype.newbyteorder("="):
            yield f"{label} is {point.dtype} but its gradient is {part.dtype}"


def aliasing(trial: Trial) -> Iterator[str]:
    """Who adds to a gradient in place changes nothing else, not even what the next call returns."""
    if trial.engine.aliasing:
        return
    labels = trial.function.labels
    parts = [(f"the gradient of {x}", part) for x, part in zip(labels, trial.parts, strict=True) if part is not None]
    others = [("the upstream gradient", trial.engine.array(g)) for g in trial.given]
    others += [(x, trial.engine.array(tensor)) for x, tensor in zip(labels, trial.xs, strict=True)]
    for (what, array), (whose, other) in [*itertools.combinations(parts, 2), *itertools.product(parts, others)]:
        if _overlap(array, other):
            yield f"{what} shares memory with {whose}: adding to one in place changes the other: copy it"
            return
    for what, array in parts:
        if array.size and any(n > 1 and not stride for n, stride in zip(array.shape, array.strides, strict=True)):
            yield f"elements of {what} share memory with each other, being broadcast: copy it"
            return
    again = trial.pull([trial.engine.tensor(g.copy()) for g in trial.upstream])
    for label, part, other in zip(labels, trial.parts, again, strict=True):
        if part is not None and other is not None and _overlap(part, trial.engine.array(other)):
            yield f"the gradient of {label} is the same memory at every call: the next call changes it: copy it"


def _overlap(array: Array, other: Array) -> bool:
    module = array_module(array)
    return array is other or (module is array_module(other) and bool(module.shares_memory(array, other)))


def deterministic(trial: Trial) -> Iterator[str]:
    """The same again gives the same again: through the same graph, and from the beginning."""
    for label, first, second in _differing(trial, trial.gradient, trial.pull_back(trial.upstream)):
        guess = diagnosis.of_repetition(first, second)
        yield f"the gradient of {label} is another when the same graph is gone through again: {guess}"
        return
    rerun = Trial(trial.function, np.random.default_rng(0))
    values = zip(trial.values, rerun.values, strict=True)
    values_differ = any(not _same(host(y), host(z), float(np.finfo(y.dtype).eps)) for y, z in values)
    if values_differ or [*_differing(trial, trial.gradient, rerun.pull_back(trial.upstream))]:
        advice = "does it draw random numbers (set the seed within it), or keep something?"
        yield f"what it computes is another when it is run again: {advice}"


def layout(trial: Trial) -> Iterator[str]:
    """How the upstream gradient lies in memory makes no difference."""
    layouts: dict[str, Callable[[Host], Host]] = {"by columns": _by_columns, "with gaps": _with_gaps}
    for name, lay in layouts.items():
        upstream = [to_backend(lay(to_backend(g, "numpy")), name_of(g)) for g in trial.upstream]
        for label, *_ in _differing(trial, trial.gradient, trial.pull_back(upstream)):
            yield f"the gradient of {label} is another when the upstream gradient lies in memory {name}"
            return


def _by_columns(array: Host) -> Host:
    return array.copy(order="F")


def _with_gaps(array: Host) -> Host:
    return np.repeat(array[..., None], 2, axis=-1)[..., 0]


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
    """The inputs' labels and gradients where these are not the same, to rounding in sums of what may cancel."""
    for label, point, x, y in zip(trial.function.labels, trial.function.points, some, others, strict=True):
        finite = np.isfinite(x) & np.isfinite(y)
        largest = max(np.abs(x[finite]).max(initial=0), np.abs(y[finite]).max(initial=0), trial.scale(point))
        near = np.abs(x[finite] - y[finite]) <= 1000 * trial.epsilon * largest
        if not np.array_equal(np.isfinite(x), np.isfinite(y)) or not near.all():
            yield label, x, y


def _same(x: Host, y: Host, epsilon: float) -> bool:
    """Whether two arrays are the same but for rounding."""
    return bool(np.allclose(x, y, rtol=0, atol=1000 * epsilon * np.abs(x).max(initial=0), equal_nan=True))
