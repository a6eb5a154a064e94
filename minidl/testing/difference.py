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
    """How far an expected and a measured slope may be apart."""

    rtol: float
    atol: float

    def __call__(self, expected: Host, measured: Host) -> Host:
        return self.atol + self.rtol * np.fmax(np.abs(expected), np.abs(measured))


def noise_of(line: Line, unit: float) -> Host:
    """The size of the rounding errors in the values: what is left of their second differences over tiny steps.

    It is no more than 1e-8 of the values. What moves them more is no rounding but a jump.
    """
    values = np.stack([line(k * 1e-13 * unit) for k in range(-2, 3)])
    size, rest = np.abs(values).max(0), np.abs(np.diff(values, 2, axis=0)).max(0)
    return 4 * (np.minimum(rest, 1e-8 * size) + np.finfo(np.float64).eps * size)


def is_coarse(line: Line, unit: float) -> bool:
    """Whether values come in steps, having been rounded to float32 say: flat from near, with a slope from afar."""
    near, far, farther = (line(h * unit) - line(-h * unit) for h in (1e-9, STEP / SHRINK, STEP))
    has_slope = (np.abs(farther / SHRINK - far) < 0.1 * np.abs(far)) & (np.abs(far) > 1e-5 * np.abs(line(0)))
    return bool(np.any(has_slope & (near == 0)))


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
        before = now
    found = replace(found, settled=~unsettled)
    if not (found.smooth & found.settled).all():
        return found, step
    return found, h if found.agree(expected).all() else min(step, h * SHRINK)  # the last but one was as good


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
