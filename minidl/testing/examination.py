"""How a function is examined.

With J its Jacobian, G a matrix of gradients of its outputs, and U one of directions at an input, G J U is computed
twice: (G J) U going backward, and G (J U) by differences. For small arrays G and U are unit matrices, so that every
element is looked at by itself; for large ones they are random.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minidl.testing.comparison import Findings, Probe, compare
from minidl.testing.difference import STEP, Tolerance, differences, noise_of
from minidl.testing.explanation import kink_fault, slope_fault
from minidl.testing.function import Function, Host, host, size_of
from minidl.testing.jacobian import jacobian
from minidl.testing.pullback import DECISIVE, Trial, broken_laws, broken_precision
from minidl.testing.report import Fault, Report, Row
from minidl.testing.settings import Settings

ATTEMPTS = 10  # at finding a point without kinks
PULLED = 2048  # so many gradients are computed to judge kinks, one for each output


def examine(function: Function, order: int, settings: Settings, rng: np.random.Generator) -> Report:
    """The report on a function, its gradient, and so on to this order."""
    report = _examine_once(function, order, settings, rng)
    for _ in range(ATTEMPTS):
        if settings.kinks == "resample" and any(row.kinks for row in report.rows):
            function = function.nearby(rng)
            report = _examine_once(function, order, settings, rng)
    return report


def _examine_once(function: Function, order: int, settings: Settings, rng: np.random.Generator) -> Report:
    name, source = function.name, function.source
    rows: list[Row] = []
    faults: list[Fault] = []
    for _ in range(order):
        exact = _trial(function.exact(), rng)
        trial = exact if function.exact() is function else Trial(function, rng, like=exact)
        faults = broken_laws(trial)
        if not any(fault.law in DECISIVE for fault in faults):
            found = _findings(exact, settings, rng)
            rows += [one.row() for one in found]
            slopes = list(_slope_faults(exact, found, settings, rng))
            narrow = broken_precision(trial, exact, settings) if trial is not exact and not slopes else []
            faults = [*(slopes or _elsewhere(exact, settings, rng)), *narrow, *faults]
        if faults:
            break
        if any(row.kinks for row in rows):  # whose gradient jumps
            function = function.nearby(rng)
            trial = Trial(function, rng)
        function = function.gradient(trial.upstream)
        settings = settings.for_gradients()
    return Report(name, source, tuple(rows), tuple(faults))


def _trial(function: Function, rng: np.random.Generator) -> Trial:
    try:
        trial = Trial(function, rng)
    except Exception as error:
        error.add_note(f"gradcheck: slopes are measured in float64, and {function.name} is to take inputs of that type")
        raise
    if not trial.values:
        raise ValueError(f"gradcheck: {function.name} returns nothing of floating point")
    return trial


def _findings(trial: Trial, settings: Settings, rng: np.random.Generator) -> list[Findings]:
    """What the looks at each input show. Where kinks add up, it is looked at again so that they do not."""
    function, outputs = trial.function, sum(y.size for y in trial.values)
    table = jacobian(trial, settings.one_by_one(outputs))
    findings = []
    for k, point in enumerate(function.points):
        if not outputs or not np.isfinite(host(point)).any():
            continue
        probe = Probe(function, k, table, settings, rng)
        found = compare(probe, settings.one_by_one(point.size))
        if found.ok and not found.judged and not found.rough and settings.kinks != "error":
            if found.one_by_one and outputs <= PULLED:
                found = compare(Probe(function, k, jacobian(trial, True), settings, rng), True)
            elif not found.one_by_one:
                found = _nearby(found, settings, rng)
        findings.append(found)
    return findings


def _nearby(found: Findings, settings: Settings, rng: np.random.Generator) -> Findings:
    """What there is to see a little away from where an input is at kinks."""
    trial, index = Trial(found.probe.function.nearby(rng), rng), found.probe.index
    table = jacobian(trial, settings.one_by_one(sum(y.size for y in trial.values)))
    elsewhere = compare(Probe(trial.function, index, table, settings, rng), found.one_by_one)
    elsewhere.left_behind = found.kinks
    return elsewhere


def _slope_faults(
    trial: Trial, findings: list[Findings], settings: Settings, rng: np.random.Generator
) -> Iterator[Fault]:
    for one in findings:
        if not one.ok:
            right_nearby = not one.tied and one.worst_is_smooth and _nearby(one, settings, rng).ok
            yield slope_fault(one, trial, [other for other in findings if other is not one], right_nearby)
        elif one.kinks and (settings.kinks == "error" or not one.judged):
            yield kink_fault(one)


def _elsewhere(trial: Trial, settings: Settings, rng: np.random.Generator) -> list[Fault]:
    """Whether at a point nearby, in one direction of all inputs together, the gradient is the slope as well.

    It is not where something of the first point was kept.
    """
    function = trial.function.nearby(rng)
    other, values = Trial(function, rng), function.moving_all()
    points = [host(point) for point in function.points]
    directions = [rng.standard_normal(x.shape) * size_of(x) * np.isfinite(x) for x in points]
    g = np.concatenate([host(g).ravel() for g in other.upstream])
    expected = np.array([sum(float(np.sum(a * d)) for a, d in zip(other.gradient, directions, strict=True))])

    def line(t: complex) -> Host:
        moved = [np.where(np.isfinite(x), x + t * d, x) for x, d in zip(points, directions, strict=True)]
        return np.array([g @ values(moved)])

    largest = math.sqrt(sum(float(np.sum((a * d) ** 2)) for a, d in zip(other.gradient, directions, strict=True)))
    rtol, atol = settings.tolerance(np.dtype(np.float64))
    tolerance = Tolerance(10 * rtol, np.array([max(10 * rtol, atol) * largest]))
    slopes, _ = differences(line, 1.0, STEP, noise_of(line), expected, tolerance)
    if not (slopes.smooth & slopes.settled).all() or slopes.agree(expected).all():
        return []
    numbers = f"it is {expected[0]:.6g}, the slope is {slopes.slope[0]:.6g}"
    message = f"the gradient of {function.name} is right at the inputs, but at others, about 1 % away, it is wrong"
    guess = "is something kept from an earlier call, or made for these inputs?"
    return [Fault("slope", f"{message}: in a random direction {numbers}", guess)]
