"""What a check found, in a form to read, to raise and to ask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """The worst place in the gradient of one input, of all that were looked at.

    A place is an index, or one of the random directions. At a kink there are two slopes, to the left and to the right,
    and the gradient is right if it lies between; in a random direction through several kinks it cannot be judged.
    """

    function: str
    input: str
    shape: tuple[int, ...]
    place: str
    output: str  # from which the gradient comes: one of them, or a random sum
    analytic: float
    numeric: float
    tolerance: float
    ok: bool
    looked_at: str  # "12 elements", "8 directions"
    kink: tuple[float, float] | None = None
    kinks: int = 0  # how many of the places are
    unused: bool = False  # whether the values do not change with the input at all

    @property
    def error(self) -> float:
        """Relative to the larger of both."""
        return abs(self.analytic - self.numeric) / (max(abs(self.analytic), abs(self.numeric)) or 1)

    @property
    def verdict(self) -> str:
        if self.unused:
            return "unused"
        return "WRONG" if not self.ok else "kink" if self.kink else "ok"

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as a table shows it."""
        numeric = f"{self.kink[0]:.6g} | {self.kink[1]:.6g}" if self.kink else f"{self.numeric:.9g}"
        error = "" if self.kink else f"{self.error:.1e}"
        by = f"{self.input} {self.shape}"
        return self.verdict, self.function, by, self.looked_at, self.place, f"{self.analytic:.9g}", numeric, error


FEW = 12  # so many rows are shown in any case; of more, where something is wrong, only those that are not ok
HEADER = ("", "function", "by", "looked at", "worst at", "analytic", "numeric", "error")


@dataclass(frozen=True)
class Fault:
    """A law that is broken, how, and a guess at the usual cause, if there is one."""

    law: str
    message: str
    guess: str = ""

    def __str__(self) -> str:
        return f"{self.law}: {self.message}" + (f"\n    {self.guess}" if self.guess else "")


@dataclass(frozen=True)
class Report:
    """What was found of a function: a row for each input, then for those of its gradient, and so on; and the faults.

    `broken` names the laws that do not hold: "slope" where gradients are not the slopes of the values, or one of those
    in `minidl.testing.pullback`. Printed, a report is a table.
    """

    function: str
    source: str
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def broken(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(fault.law for fault in self.faults))

    def __str__(self) -> str:
        where = f" ({self.source})" if self.source else ""
        title = f"gradients of {self.function}{where}: {'all right' if self.ok else 'WRONG'}"
        shown = [row for row in self.rows if self.ok or len(self.rows) <= FEW or row.verdict != "ok"]
        table = [HEADER, *(row.cells for row in shown)] if shown else []
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        ]
        rest = [f"(and {len(self.rows) - len(shown)} inputs that are ok)"] if len(shown) < len(self.rows) else []
        return "\n".join([title, *lines, *rest, *map(str, self.faults)])


class GradientError(AssertionError):
    """A gradient is wrong, or computing it broke a law. `report` has the details."""

    def __init__(self, report: Report):
        super().__init__(f"gradcheck: {report}")
        self.report = report
