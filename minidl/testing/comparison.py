"""The gradient by one input beside the slopes of the values: element by element, or in random directions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from minidl.testing.difference import (
    EPSILON,
    SHRINK,
    STEP,
    Line,
    Slopes,
    Tolerance,
    complex_step,
    differences,
    noise_of,
)
from minidl.testing.function import Function, Host, host, size_of
from minidl.testing.jacobian import Jacobian
from minidl.testing.report import Row
from minidl.testing.settings import Settings


class Look(NamedTuple):
    """What there is to see in one direction: for each row of G the slope by the engine, and by the values."""

    place: str
    direction: Host
    expected: Host
    slopes: Slopes
    judged: Host  # whether the values say what is right: at a kink they may not

    @property
    def severity(self) -> Host:
        """How far off each is, in tolerances; infinite for NaN."""
        low, high = self.slopes.range
        off = np.maximum(np.maximum(self.expected - high, low - self.expected), 0)
        relative = np.where(off == 0, 0, off / self.slopes.tolerance)
        return np.where(self.judged, np.where(np.isnan(relative), np.inf, relative), 0.0)


class Probe:
    """Looks at one input of a function along lines through its point. What is not finite there stays as it is."""

    def __init__(
        self, function: Function, index: int, jacobian: Jacobian, settings: Settings, rng: np.random.Generator
    ):
        self.function, self.index = function, index
        self.point, self.values = host(function.points[index]), function.moving(index)
        self.jacobian, self.gradients = jacobian, jacobian.by_input[index]
        self.settings, self.rng = settings, rng
        self.finite, self.size = np.isfinite(self.point), size_of(self.point)
        self.scales = np.where(self.finite, np.maximum(np.abs(self.point), self.size / 100), 0.0)
        relative = self._line(self.scales * rng.standard_normal(self.point.shape))
        here, there = self.point, self.point + STEP * self.scales * rng.uniform(0.5, 1, self.point.shape)
        number = np.complex128 if settings.mode == "complex" else np.float64
        function.require_precision(index, here.astype(number), there.astype(number))
        values = self.values(self.point)  # even where one cancels to nothing, it is rounded as those it came from
        self.noise, self.reach = noise_of(relative), np.maximum(jacobian.contract_sizes(values), np.abs(values).max())
        self.moves = bool(np.any(relative(STEP) != relative(-STEP)))
        self.step = _first_step(relative, self.noise, self.reach) if settings.eps is None else settings.step
        if settings.mode == "complex":
            self._require_analytic(relative)

    @property
    def label(self) -> str:
        return self.function.labels[self.index]

    def elements(self) -> Iterator[Look]:
        """Along the axes, one element after the other."""
        for index in np.ndindex(self.point.shape):
            if self.finite[index]:
                direction = np.zeros(self.point.shape)
                direction[index] = 1
                yield self.look(str(list(index)), direction, float(self.scales[index]))

    def directions(self) -> Iterator[Look]:
        """Along random unit vectors."""
        for k in range(self.settings.directions):
            direction = self.rng.standard_normal(self.point.shape) * self.finite
            direction /= math.sqrt(np.sum(direction**2)) or 1
            yield self.look(f"direction {k}", direction, self.size * math.sqrt(self.point.size), mixed=True)

    def look(self, place: str, direction: Host, scale: float, mixed: bool = False) -> Look:
        """Along one direction, in steps for the scale of what is moved.

        In a `mixed` direction, or for a sum of outputs, kinks add up: then the slopes to both sides are no bounds.
        """
        expected, line, tolerance = self.gradients @ direction.ravel(), self._line(direction), self._tolerance(scale)
        if self.settings.mode == "complex":
            slopes = complex_step(line, self.settings.step * scale, expected, tolerance)
        else:
            slopes, step = differences(line, scale, self.step * scale, self.noise, expected, tolerance)
            self.step = step / scale
        simple = np.arange(len(expected)) >= len(self.jacobian.random)
        return Look(place, direction, expected, slopes, slopes.settled & (slopes.smooth | (simple & (not mixed))))

    def _tolerance(self, scale: float) -> Tolerance:
        """Relative to the largest of the gradient; below what it takes to change the values by rounding all is 0."""
        rtol, atol = self.settings.tolerance(np.dtype(np.float64))
        largest = np.max(np.abs(self.gradients), axis=1, initial=0, where=np.isfinite(self.gradients))
        return Tolerance(rtol, atol * largest + 100 * EPSILON * self.reach / scale)

    def _require_analytic(self, line: Line) -> None:
        """Refuse complex steps where they do not measure what differences do."""
        slope = line(1j * self.settings.step).imag / self.settings.step
        loose = Tolerance(1e-4, 1e-8 * self.reach)
        if not differences(line, 1.0, STEP, self.noise, slope, loose)[0].agree(slope).all():
            raise ValueError(
                f"gradcheck: mode 'complex': {self.function.name} is not analytic here (has it an absolute value, "
                "a conjugate, a maximum?), and complex steps do not measure its slopes: use another mode"
            )

    def narrowed(self) -> Look:
        """The look at an element where the gradient is wrong, found by halving: into the half that is more so."""
        candidates = np.flatnonzero(self.finite)
        while True:
            halves = [half for half in np.array_split(candidates, 2) if len(half)]
            looks = [self._look_at(half) for half in halves]
            worst = int(np.argmax([look.severity.max() for look in looks]))
            candidates = halves[worst]
            if len(candidates) == 1:
                return looks[worst]

    def _look_at(self, elements: Host) -> Look:
        direction = np.zeros(self.point.size)
        direction[elements] = self.rng.choice([-1.0, 1.0], len(elements)) if len(elements) > 1 else 1
        place = list(map(int, np.unravel_index(elements[0], self.point.shape)))
        return self.look(str(place), direction.reshape(self.point.shape), self.size, mixed=True)

    def _line(self, direction: Host) -> Line:
        return lambda t: self.jacobian.contract(self.values(self.point + t * direction))


def _first_step(line: Line, noise: Host, reach: Host) -> float:
    """The step to begin with: larger where the values hardly move for their size, and rounding would hide it."""
    step = STEP
    while step < 0.1:
        rise = np.abs(line(step) - line(-step)) / 2
        if np.any((rise > 1e-7 * step * reach) | (reach == 0)) or np.all(noise <= 1e-7 * rise):
            break
        step *= SHRINK
    return step


class Findings:
    """What the looks at one input show: the worst of them, the kinks, and the slopes of the first random sum."""

    def __init__(self, probe: Probe, one_by_one: bool, looks: Iterator[Look]):
        self.probe, self.one_by_one = probe, one_by_one
        self.worst = first = next(looks)
        self.kinks: list[Look] = []
        self.numeric: list[float] = []
        self.tied = False  # whether the worst is a look along several elements that are equal
        self.left_behind: list[Look] = []  # kinks at the point itself, where these are looks nearby
        for look in itertools.chain([first], looks):
            slopes = look.slopes
            self.numeric.append(float(slopes.slope[0] if slopes.smooth[0] else look.expected[0]))
            if not (slopes.smooth & slopes.settled).all():
                self.kinks.append(look)
            if look.severity.max() > self.worst.severity.max():
                self.worst = look
        for look in _ties(probe, self.kinks) if one_by_one else ():
            if look.severity.max() > max(1, self.worst.severity.max()):
                self.worst, self.tied = look, True

    @property
    def gradient(self) -> Host:
        """By the values, for the first random sum, where every element was looked at."""
        slopes = np.zeros(self.probe.point.shape)
        slopes[self.probe.finite] = self.numeric
        return slopes

    @property
    def ok(self) -> bool:
        return bool(self.worst.severity.max() <= 1)

    @property
    def worst_is_smooth(self) -> bool:
        """Whether there was a slope to compare with."""
        return bool(self.worst.slopes.smooth[self._worst_output()])

    @property
    def judged(self) -> bool:
        """Whether everything could be: not where kinks add up, unless outputs were looked at by themselves as well."""
        sums = len(self.probe.jacobian.random)
        return all((look.judged[sums:] if look.judged[sums:].size else look.judged).all() for look in self.kinks)

    @property
    def rough(self) -> bool:
        """Whether there are places without any slope, not even one to each side."""
        return not all(look.slopes.settled.all() for look in self.kinks)

    def _worst_output(self) -> int:
        """The row of G that the worst look is worst in: rather an output by itself than a sum, if one is wrong."""
        severity, sums = self.worst.severity, len(self.probe.jacobian.random)
        single = severity[sums:]
        return sums + int(np.argmax(single)) if single.max(initial=0) > 1 else int(np.argmax(severity))

    def row(self) -> Row:
        """As a report shows it: the worst place, or if all is right and there are kinks, one of those."""
        look = self.worst
        if self.ok and self.kinks:
            look = min(self.kinks, key=lambda look: look.slopes.settled.all())
        kinks = np.flatnonzero(~(look.slopes.smooth & look.slopes.settled))
        r = self._worst_output() if look is self.worst else int(kinks[-1])
        slopes, function, index = look.slopes, self.probe.function, self.probe.index
        what = ("element" if self.one_by_one else "direction") + "s" * (len(self.numeric) != 1)
        return Row(
            function=function.name,
            input=self.probe.label,
            shape=function.points[index].shape,
            place=look.place,
            output=self.probe.jacobian.places[r],
            analytic=float(look.expected[r]),
            numeric=float(slopes.slope[r]),
            tolerance=float(slopes.tolerance[r]),
            ok=self.ok,
            looked_at=f"{len(self.numeric)} {what}" + " nearby" * bool(self.left_behind),
            kink=None if slopes.smooth[r] and slopes.settled[r] else (float(slopes.left[r]), float(slopes.right[r])),
            kinks=len(self.kinks) + len(self.left_behind),
            unused=self.ok and not self.probe.moves and not self.probe.gradients.any(),
        )


def compare(probe: Probe, one_by_one: bool) -> Findings:
    """Look at an input from all sides: along every axis, or in random directions."""
    return Findings(probe, one_by_one, probe.elements() if one_by_one else probe.directions())


def _ties(probe: Probe, kinks: Sequence[Look]) -> Iterator[Look]:
    """Along the sum of the directions in which one output has kinks: tied elements move together, which is smooth."""
    seen = set()
    for r in range(len(probe.jacobian.random), len(probe.jacobian.places)):
        tied = tuple(k for k, look in enumerate(kinks) if not look.slopes.smooth[r])
        if len(tied) > 1 and tied not in seen:
            seen.add(tied)
            places = " + ".join(kinks[k].place for k in tied)
            together = np.sum([kinks[k].direction for k in tied], axis=0)
            yield probe.look(places, together, probe.size, mixed=True)
