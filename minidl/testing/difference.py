"""Slopes from values alone: differences of five points in a row, closer together until they settle.

    F'(0) = (8 (F(h) − F(−h)) − (F(2h) − F(−2h))) / 12h + O(h⁴)

The same five points give the slope to either side, (∓3 F(0) ± 4 F(±h) ∓ F(±2h)) / 2h + O(h²), whose errors cancel in
their difference up to O(h³): where the two sides differ by more and go on doing so, F has a kink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

Host = np.ndarray[Any, Any]
Line = Callable[[complex], Host]
"""The values along a line: those of several functions of one number, as a vector."""

STEP = 1e-3  # of the input's scale: where the errors of five points in float64, truncation h⁴ and rounding ε/h, balance
COMPLEX_STEP = 1e-20  # nothing is subtracted, so nothing is lost
SHRINK = 8
EPSILON = float(np.finfo(np.float64).eps)
LAST = 1e-8  # closer together, rounding is all there is to see


@dataclass(frozen=True)
class Slopes:
    """For each function on the line: the slope at 0, that to either side, and how far off they may be.

    Where `smooth` is False the sides do not agree: at a kink, the slope means nothing. Where `settled` is False, they
    did not come to rest while steps became smaller: the values jump.
    """

    slope: Host
    left: Host
    right: Host
    tolerance: Host
    smooth: Host
    settled: Host

    @property
    def range(self) -> tuple[Host, Host]:
        """Between what the slope may be: at a kink, a line that touches is between the two sides."""
        low = np.where(self.smooth, self.slope, np.minimum(self.left, self.right))
        return low, np.where(self.smooth, self.slope, np.maximum(self.left, self.right))

    def agree(self, expected: Host) -> Host:
        """Whether these are slopes, to within the tolerance."""
        low, high = self.range
        return (low - self.tolerance <= expected) & (expected <= high + self.tolerance)

    def near(self, other: Slopes, name: str) -> Host:
        """Whether one of the slopes is the other's, to within the tolerance."""
        return np.abs(getattr(self, name) - getattr(other, name)) <= self.tolerance

    def updated(self, other: Slopes, where: Host) -> Slopes:
        """These, and some of the other's."""
        return Slopes(*(np.where(where, getattr(other, f.name), getattr(self, f.name)) for f in fields(self)))


@dataclass(frozen=True)
class Tolerance:
    """How far an expected and a measured slope may be apart: rtol of the larger, and a number for each."""

    rtol: float
    atol: Host

    def __call__(self, expected: Host, measured: Host) -> Host:
        return self.atol + self.rtol * np.fmax(np.abs(expected), np.abs(measured))


def noise_of(line: Line) -> Host:
    """The size of the rounding errors in the values: what is left of their second differences over tiny steps.

    It is no more than 1e-8 of the values. What moves them more is no rounding but a jump.
    """
    values = np.stack([line(k * 1e-13) for k in range(-2, 3)])
    size, rest = np.abs(values).max(0), np.abs(np.diff(values, 2, axis=0)).max(0)
    return 4 * (np.minimum(rest, 1e-8 * size) + EPSILON * size)


def differences(
    line: Line, scale: float, step: float, noise: Host, expected: Host, tolerance: Tolerance
) -> tuple[Slopes, float]:
    """The slopes at 0, and the step that settled the last of them, which is a good one to begin with nearby.

    Smaller steps are tried only for those that neither are as expected nor stay the same from one step to the next.
    """
    start, h = line(0), step
    found = _five_points(line, start, h, noise, expected, tolerance)
    before, unsettled = found, ~(found.smooth & found.agree(expected))
    last = LAST * scale
    while unsettled.any() and h > max(last, 1e-300):
        if not np.isfinite(before.slope[unsettled]).all():
            last = h * LAST / STEP  # out of the domain: all the steps are still to come
        h /= SHRINK
        now = _five_points(line, start, h, noise, expected, tolerance)
        stays = np.where(now.smooth, now.near(before, "slope"), now.near(before, "left") & now.near(before, "right"))
        found = found.updated(now, where=unsettled)
        unsettled &= ~(stays | (now.smooth & now.agree(expected)))
        if unsettled.any() and h <= max(last, 1e-300):
            found, unsettled = _concluded(found, before, unsettled)
        before = now
    found = replace(found, settled=~unsettled)
    if not (found.smooth & found.settled).all():
        return found, step
    return found, h if found.agree(expected).all() else min(step, h * SHRINK)  # the last but one was as good


def _concluded(found: Slopes, before: Slopes, unsettled: Host) -> tuple[Slopes, Host]:
    """What can be said after the last step of those that have not settled.

    The sides may still come together, as those of |x|^1.5 do: then there is a slope. Or they differ by much more than
    they still change: then there is a kink, next to the point if not at it.
    """
    gap, previous = np.abs(found.right - found.left), np.abs(before.right - before.left)
    together = unsettled & (gap < 0.6 * previous)
    change = np.maximum(np.abs(found.left - before.left), np.abs(found.right - before.right))
    apart = unsettled & (change < 0.1 * gap)
    tolerance = found.tolerance + np.where(together, gap, 0)
    return replace(found, tolerance=tolerance, smooth=found.smooth | together), unsettled & ~together & ~apart


def _five_points(line: Line, start: Host, h: float, noise: Host, expected: Host, tolerance: Tolerance) -> Slopes:
    with np.errstate(all="ignore"):  # a step may leave the domain: the next one is smaller
        a, b, c, d = (line(k * h) for k in (-2, -1, 1, 2))
        slope = (8 * (c - b) - (d - a)) / (12 * h)
        left, right = (3 * start - 4 * b + a) / (2 * h), (4 * c - d - 3 * start) / (2 * h)
        allowed = tolerance(expected, slope) + noise / h
        return Slopes(slope, left, right, allowed, np.abs(right - left) <= 4 * allowed, np.zeros(slope.shape, bool))


def complex_step(line: Line, step: float, expected: Host, tolerance: Tolerance) -> Slopes:
    """The slopes of analytic functions: Im F(ih) / h, exact to rounding. (Squire and Trapp, SIAM Review 40, 1998.)"""
    slope = line(1j * step).imag / step
    yes = np.ones(slope.shape, bool)
    return Slopes(slope, slope, slope, tolerance(expected, slope), yes, yes)
