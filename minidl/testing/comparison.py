"""The gradient by one input beside the slopes of the values: element by element, or in random directions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from minidl.testing.difference import STEP, Line, Slopes, Tolerance, complex_step, differences, is_coarse, noise_of
from minidl.testing.function import Function, Host
from minidl.testing.jacobian import Jacobian
from minidl.testing.pullback import host
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
    """Looks at one input of a function along lines through its point."""

    def __init__(
        self, function: Function, index: int, jacobian: Jacobian, settings: Settings, rng: np.random.Generator
    ):
        self.function, self.index = function, index
        self.point, self.values = host(function.points[index]), function.moving(index)
        self.jacobian, self.gradients = jacobian, jacobian.by_input[index]
        self.settings, self.rng = settings, rng
        self.size = math.sqrt(np.mean(self.point**2)) or 1.0
        tolerance = settings.tolerance(point.dtype for point in function.points)
        largest = np.abs(self.gradients[np.isfinite(self.gradients)]).max(initial=1)
        self.tolerance = Tolerance(tolerance.rtol, tolerance.atol * float(largest))
        direction, unit = self._random(), self.size * math.sqrt(self.point.size)
        number = np.complex128 if settings.mode == "complex" else np.float64
        moved = self.point + STEP * unit * direction
        function.require_precision(index, self.point.astype(number), moved.astype(number))
        line = self._line(direction)
        if is_coarse(line, unit):
            raise ValueError(
                f"gradcheck: {function.name} rounds its values, to float32 say: no slope can be seen in them"
            )
        self.noise = noise_of(line, unit)
        self.step = settings.step  # the one that was small enough last

    @property
    def label(self) -> str:
        return self.function.labels[self.index]

    def elements(self) -> Iterator[Look]:
        """Along the axes, one element after the other."""
        for index in np.ndindex(self.point.shape):
            direction = np.zeros(self.point.shape)
            direction[index] = 1
            yield self.look(str(list(index)), direction, max(abs(float(self.point[index])), self.size / 100))

    def directions(self) -> Iterator[Look]:
        """Along random unit vectors."""
        for k in range(self.settings.directions):
            yield self.look(f"direction {k}", self._random(), self.size * math.sqrt(self.point.size), mixed=True)

    def look(self, place: str, direction: Host, scale: float, mixed: bool = False) -> Look:
        """Along one direction, in steps for the scale of what is moved.

        In a `mixed` direction, or for a sum of outputs, kinks add up: then the slopes to both sides are no bounds.
        """
        expected = self.gradients @ direction.ravel()
        line = self._line(direction)
        if self.settings.mode == "complex":
            slopes = complex_step(line, self.settings.step * scale, expected, self.tolerance)
        else:
            slopes, step = differences(line, scale, self.step * scale, self.noise, expected, self.tolerance)
            self.step = step / scale
        simple = np.arange(len(expected)) >= len(self.jacobian.random)
        return Look(place, direction, expected, slopes, slopes.settled & (slopes.smooth | (simple & (not mixed))))

    def narrowed(self) -> Look:
        """The look at an element where the gradient is wrong, found by halving: into the half that is more so."""
        candidates = np.arange(self.point.size)
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

    def _random(self) -> Host:
        direction = self.rng.standard_normal(self.point.shape)
        return direction / np.sqrt(np.sum(direction**2))


class Findings:
    """What the looks at one input show: the worst of them, the kinks, and the slopes of the first random sum."""

    def __init__(self, probe: Probe, one_by_one: bool, looks: Iterator[Look]):
        self.probe, self.one_by_one = probe, one_by_one
        self.worst = first = next(looks)
        self.kinks: list[Look] = []
        self.numeric: list[float] = []
        self.tied = False  # whether the worst is a look along several elements that are equal
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
        return np.reshape(self.numeric, self.probe.point.shape)

    @property
    def ok(self) -> bool:
        return bool(self.worst.severity.max() <= 1)

    @property
    def judged(self) -> bool:
        """Whether anything could be: not if every direction goes through a kink."""
        return len(self.kinks) < len(self.numeric) or any(look.judged.any() for look in self.kinks)

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
        what = "element" if self.one_by_one else "direction"
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
            looked_at=f"{len(self.numeric)} {what}{'' if len(self.numeric) == 1 else 's'}",
            kink=None if slopes.smooth[r] and slopes.settled[r] else (float(slopes.left[r]), float(slopes.right[r])),
            kinks=len(self.kinks),
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
