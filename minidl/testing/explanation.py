"""What is wrong with a gradient, in words: where, by how much, and why perhaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from minidl.testing import diagnosis
from minidl.testing.comparison import Findings, compare
from minidl.testing.function import host
from minidl.testing.pullback import Trial
from minidl.testing.report import Fault

MEASURED = 1024  # up to so many elements, a wrong gradient is measured whole, for the diagnosis
TIED = "each by itself may be right, together they are not: are ties counted more than once? equals are to share"


def slope_fault(found: Findings, trial: Trial, others: Sequence[Findings], right_nearby: bool) -> Fault:
    """That a gradient is not the slope. Where directions showed it, elements are looked at now to find the place."""
    probe, guess = found.probe, ""
    whole = found.one_by_one or probe.point.size <= MEASURED
    if not found.one_by_one:
        found = compare(probe, True) if whole else Findings(probe, True, iter([probe.narrowed()]))
    if whole:
        case = diagnosis.Case(
            analytic=trial.gradient[probe.index],
            numeric=found.gradient,
            upstream=[host(g) for g in trial.upstream],
            others={other.probe.label: other.gradient for other in others if other.one_by_one},
        )
        guess = TIED if found.tied else diagnosis.guess(case)
    if right_nearby:
        guess = "a little away it is right: is an op within at a kink here, where no choice of slope suits all?"
    row = found.row()
    slope = f"slope is {row.numeric:.9g}"
    if row.kink:
        slope = f"slopes to the two sides are {row.kink[0]:.9g} and {row.kink[1]:.9g}"
    where = f"the gradient of {row.function} by {row.input}, of shape {row.shape}, is wrong at {row.place}"
    numbers = f"it is {row.analytic:.9g}, the {slope} (relative error {row.error:.1e}; from {row.output})"
    return Fault("slope", f"{where}: {numbers}", guess)


def kink_fault(found: Findings) -> Fault:
    """That the point is one where the function has no slope."""
    row = found.row()
    left, right = row.kink or (math.nan, math.nan)
    what, advice = "a kink", "move the inputs away from where it bends, or let kinks='resample' do it"
    if found.rough:
        what, advice = (
            "no slope",
            "do the values jump there, become infinitely steep, or drown in rounding errors?",
        )
    where = f"{row.function} has {what} in {row.input}, at {row.place}"
    return Fault("kink", f"{where}: the slopes to the two sides are {left:.9g} and {right:.9g}", advice)
