"""What a check found, in a form to read and to raise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """The worst place in the gradient of one input: an index or, in a large input, one of the random directions."""

    function: str
    input: str
    place: str
    analytic: float
    numeric: float
    tolerance: float

    @property
    def excess(self) -> float:
        return abs(self.analytic - self.numeric) - self.tolerance

    @property
    def ok(self) -> bool:
        return self.excess <= 0  # a NaN is not

    def __str__(self) -> str:
        error = abs(self.analytic - self.numeric) / (max(abs(self.analytic), abs(self.numeric)) or 1)
        return (
            f"{'ok   ' if self.ok else 'WRONG'} {self.function}: {self.input} at {self.place}: "
            f"analytic {self.analytic:.9g}, numeric {self.numeric:.9g}, relative error {error:.1e}"
        )


@dataclass(frozen=True)
class Report:
    """What `gradcheck` found: a line for each input of the function, then for those of its gradient, and so on."""

    comparisons: tuple[Comparison, ...]

    @property
    def ok(self) -> bool:
        return all(comparison.ok for comparison in self.comparisons)

    def __str__(self) -> str:
        return "\n".join(map(str, self.comparisons))


class GradientError(AssertionError):
    """A gradient is wrong, or computing it broke a rule."""
