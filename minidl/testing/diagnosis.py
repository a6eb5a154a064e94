"""Guesses at why a gradient is wrong, from what it has in common with the right one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Host = np.ndarray[Any, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A wrong gradient, the slopes it should be, the upstream gradients, and the slopes by the other inputs."""

    analytic: Host
    numeric: Host
    upstream: Sequence[Host]
    others: Mapping[str, Host]

    def explains(self, x: Host, y: Host) -> bool:
        """Whether that two arrays are the same would explain the error: they are so to a thousandth of it."""
        return bool(x.shape == y.shape and np.all(np.abs(x - y) <= 1e-3 * np.abs(self.error).max()))

    @property
    def error(self) -> Host:
        return self.analytic - self.numeric


def guess(case: Case) -> str:
    """The likeliest cause in a sentence; the place of the errors if none is likely."""
    return next((sentence for rule in RULES if (sentence := rule(case))), "")


def of_shape(found: Shape, wanted: Shape) -> str:
    """What may have led to a gradient of this shape for an input of that one."""
    padded = (1,) * (len(found) - len(wanted)) + wanted
    if len(padded) == len(found) and all(n in (1, m) for n, m in zip(padded, found, strict=True)):
        axes = [i for i, (n, m) in enumerate(zip(padded, found, strict=True)) if n != m]
        if axes:
            return f"broadcasting not undone? sum it over {_axes(axes)}"
        return "reshape it"
    if found == wanted[::-1]:
        return "transposed?"
    if np.prod(found) == np.prod(wanted):
        return "as many elements in another shape: reshape it"
    return "what does the pullback return?"


def of_repetition(first: Host, second: Host) -> str:
    """What may have changed a gradient when the same graph was gone through again."""
    if np.isfinite(second).all() and np.abs(second).sum() > 1.2 * np.abs(first).sum():
        return "it grows: are gradients of intermediate results kept from the first pass? begin each pass with zeros"
    return "does the pullback keep or change anything between calls?"


# -------------------------------------------------------------------------------------- rules, the most telling first
def _not_finite(case: Case) -> str | None:
    bad = ~np.isfinite(case.analytic)
    if not bad.any():
        return None
    return (
        f"{_count(bad)} not finite: 0/0 or ∞·0 on the way back? replace what causes it before it is computed, not after"
    )


def _zero(case: Case) -> str | None:
    if case.analytic.any():
        return None
    return "it is zero everywhere: is a pullback dropped, or something detached?"


def _lost_skip(case: Case) -> str | None:
    missing = -case.error
    if any(case.explains(missing, g) for g in case.upstream):
        return "what is missing is the upstream gradient itself: a skip connection's overwritten instead of added?"
    return None


def _passed_on(case: Case) -> str | None:
    if any(case.explains(case.analytic, g) for g in case.upstream):
        return (
            "it is the upstream gradient, as it came: the local derivative left out, or another way back overwritten?"
        )
    return None


def _factor(case: Case) -> str | None:
    norm = float(np.sum(case.numeric**2))
    factor = float(np.sum(case.analytic * case.numeric)) / norm if norm else 0.0
    if not factor or not case.explains(case.analytic, factor * case.numeric):
        return None
    for k, cause in {
        -1: "a sign?",
        2: "an edge counted twice?",
        0.5: "a square's 2, or one of two equal ways, lost?",
    }.items():
        if np.isclose(factor, k, rtol=1e-4):
            return f"off by a factor of {k:g} everywhere: {cause}"
    sizes = {f"axis {i}, of length {n}": n for i, n in enumerate(case.numeric.shape) if n > 2}
    sizes |= {f"the elements, which are {case.numeric.size}": case.numeric.size}
    for what, n in sizes.items():
        if np.isclose(factor, n, rtol=1e-4):
            return f"off by a factor of {n} everywhere: summed over {what}, where the mean is meant?"
        if np.isclose(factor, 1 / n, rtol=1e-4):
            return f"off by a factor of 1/{n} everywhere: averaged over {what}, where the sum is meant?"
    return f"off by a factor of {factor:.6g} everywhere" if case.numeric.size > 1 else None


def _other_input(case: Case) -> str | None:
    for label, other in case.others.items():
        if case.explains(case.analytic, other):
            return f"it is the gradient of {label}: are two inputs, or two slices, exchanged?"
    return None


def _permuted(case: Case) -> str | None:
    a, n = case.analytic, case.numeric
    for axes in list(itertools.permutations(range(n.ndim)))[1:] if n.ndim <= 4 else []:
        moved = n.transpose(axes)
        if case.explains(a, moved):
            return "transposed?" if n.ndim == 2 else f"its axes are permuted by {axes}"
        if case.explains(a, moved.reshape(a.shape)):
            return f"its elements are those of the transpose by {axes}: reshaped where a transpose is meant?"
    return None


def _moved(case: Case) -> str | None:
    a, n = case.analytic, case.numeric
    for axis, length in enumerate(n.shape):
        if length > 1 and case.explains(a, np.flip(n, axis)):
            return f"flipped along axis {axis}" + (", or its two slices exchanged?" if length == 2 else "?")
        for shift in range(1, min(length, 64)):
            if case.explains(a, np.roll(n, shift, axis)):
                return f"shifted by {shift} along axis {axis}, or slices of it exchanged?"
    return None


def _spread(case: Case) -> str | None:
    a, n = case.analytic, case.numeric
    for axes in _subsets(n.shape):
        if case.explains(a, np.broadcast_to(n.sum(axes, keepdims=True), a.shape)):
            return f"it is the right one summed over {_axes(axes)}: broadcasting not undone, or undone twice?"
        if case.explains(a, np.broadcast_to(n.mean(axes, keepdims=True), a.shape)):
            return f"it is the right one averaged over {_axes(axes)}"
    return None


def _constant_lost(case: Case) -> str | None:
    missing = -case.error
    for axes in _subsets(missing.shape):
        if case.explains(missing, np.broadcast_to(missing.mean(axes, keepdims=True), missing.shape)):
            return f"what is missing is the same all along {_axes(axes)}: is a mean over it treated as a constant?"
    return None


def _factors(case: Case) -> str | None:
    if not case.numeric.all():
        return None
    ratio = case.analytic / case.numeric
    for axis, length in enumerate(ratio.shape):
        others = tuple(i for i in range(ratio.ndim) if i != axis)
        factors = ratio.mean(others, keepdims=True)
        if 1 < length <= 16 and ratio.size > length and case.explains(case.analytic, factors * case.numeric):
            return f"off by a factor for each place along axis {axis}: {', '.join(f'{x:.4g}' for x in factors.flat)}"
    return None


def _somewhere(case: Case) -> str | None:
    wrong = np.abs(case.error) > 1e-3 * np.abs(case.error).max()
    if wrong.all():
        return None
    places = np.nonzero(wrong)
    if all(i.min() == 0 and i.max() == n - 1 for i, n in zip(places, wrong.shape, strict=True)):
        return f"{_count(wrong)} wrong; the others are right"
    box = ", ".join(f"{i.min()}" if i.min() == i.max() else f"{i.min()}:{i.max() + 1}" for i in places)
    return f"{_count(wrong)} wrong, all within [{box}]; the others are right"


RULES: Sequence[Callable[[Case], str | None]] = (
    _not_finite,
    _zero,
    _lost_skip,
    _factor,
    _constant_lost,
    _permuted,
    _passed_on,
    _other_input,
    _moved,
    _spread,
    _factors,
    _somewhere,
)


def _subsets(shape: Shape) -> Iterator[tuple[int, ...]]:
    """Sets of axes longer than 1, the largest first."""
    long = [i for i, n in enumerate(shape) if n > 1]
    for count in range(len(long), 0, -1):
        yield from itertools.combinations(long, count)


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"


def _count(mask: Host) -> str:
    count = int(mask.sum())
    return f"{count} of {mask.size} elements {'is' if count == 1 else 'are'}"
