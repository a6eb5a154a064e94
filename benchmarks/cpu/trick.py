"""A trick on against a trick off: both compute the same, in turns, and what counts is the ratio in each round."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.cpu.record import Quartiles, quartiles
from benchmarks.cpu.turn import turn

TURN = 0.05
"""Seconds that a turn takes, or two calls if these take longer."""
REST = 0.05
"""Seconds between turns, for OpenBLAS's threads to fall asleep."""
ROUNDS = 7, 15
"""At least so many, and so many if there is time."""
SECONDS = 10.0
"""For the rounds of a trick."""
WORTH = 1.02, 2.0
"""How many times as fast a trick must be, or on how little of the memory."""
AGREEMENT = 1e-2
"""How far the two sides may be apart, as a part of the largest number: rounding may turn a ReLU on or off."""

Side = Callable[[], Any]
"""Does the work, and returns an array, or some, of what came of it."""


class Sides(NamedTuple):
    """With the trick, and without it; and what is to be done when both have been timed."""

    on: Side
    off: Side
    close: Callable[[], None] = lambda: None


Build = Callable[[int], "Sides | str"]


class Trick(NamedTuple):
    """What is done, in which file below minidl/kernels, instead of what, and where it is measured on what batch.

    `build` makes its two sides for any batch, or says why there is nothing to gain here.
    """

    build: Build
    name: str
    file: str
    instead: str
    where: str
    batch: int
    why: str
    with_memory: bool = False


TRICKS: list[Trick] = []
"""In the order of the table."""


def trick(*about: Any, **more: Any) -> Callable[[Build], Build]:
    """Put the function that builds its sides among the tricks, with what `Trick` says of it."""

    def enter(build: Build) -> Build:
        TRICKS.append(Trick(build, *about, **more))
        return build

    return enter


@dataclass
class Gain:
    """The seconds of a call in each round, and the most bytes in use; or why nothing was measured."""

    trick: Trick
    on: list[float]
    off: list[float]
    memory: tuple[int, int] | None = None
    """On, off."""
    reason: str = ""

    @property
    def ratio(self) -> Quartiles:
        """How many times as long it takes without the trick."""
        return quartiles([off / on for on, off in zip(self.on, self.off, strict=True)])

    @property
    def pays(self) -> bool:
        """Whether it is worth its lines."""
        on, off = self.memory or (1, 1)
        return self.ratio.median >= WORTH[0] or off / on >= WORTH[1]

    @property
    def idle(self) -> str:
        """Why it has no row."""
        return self.reason if self.reason or self.pays else f"it gains nothing here, {self}"

    @property
    def times(self) -> str:
        """Milliseconds without and with it, and the memory that was in use."""
        text = f"{milliseconds(self.off)} → {milliseconds(self.on)} ms"
        if self.memory is None:
            return text
        on, off = (f"{size / 1e6:.0f}" for size in self.memory)
        return f"{text}, {off} → {on} MB"

    def __str__(self) -> str:
        return self.reason or f"{self.times}: {self.ratio} times as fast"


def measure(trick: Trick) -> Gain:
    """Both sides in turns."""
    sides = trick.build(trick.batch)
    if isinstance(sides, str):
        return Gain(trick, [], [], reason=sides)
    gain = Gain(trick, [], [])
    try:
        check(trick, sides)
        start = time.monotonic()
        while len(gain.on) < ROUNDS[0] or (len(gain.on) < ROUNDS[1] and time.monotonic() - start < SECONDS):
            for side, times in ((sides.off, gain.off), (sides.on, gain.on)):
                time.sleep(REST)
                times.append(turn(side, TURN))
        if trick.with_memory:
            gain.memory = peak(sides.on), peak(sides.off)
    finally:
        sides.close()
    return gain


def check(trick: Trick, sides: Sides) -> None:
    """Whether both sides compute the same."""
    on, off = flat(sides.on()), flat(sides.off())
    if not np.allclose(on, off, rtol=0, atol=AGREEMENT * np.abs(off).max()):
        raise ArithmeticError(f"{trick.name}: with it something else is computed than without")


def flat(result: Any) -> np.ndarray:
    """All numbers of an array, or of some."""
    return np.concatenate([np.ravel(part) for part in (result if isinstance(result, (list, tuple)) else [result])])


def peak(side: Side) -> int:
    """The most bytes that Python and NumPy have in use during a call, more than before."""
    tracemalloc.start()
    side()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def milliseconds(seconds: list[float]) -> str:
    """The median."""
    median = 1000 * statistics.median(seconds)
    return f"{median:.{2 if median < 10 else 1 if median < 100 else 0}f}"
