"""What was measured, as JSON to keep and as tables to read."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cpu.networks import named
from benchmarks.gpu.report import Cell, Table, markdown, write

OURS, *THEIRS = CONTENDERS = ("minidl", "PyTorch NCHW", "PyTorch channels_last")
"""In the order of their turns."""
NOISY = 0.1
"""The share of the processors' time from which on others disturb."""
LISTED = 6
"""So many noisy rows are named, more are counted."""


class Quartiles(NamedTuple):
    """The middle of some numbers and the halves' middles."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def quartiles(numbers: Sequence[float]) -> Quartiles:
    """Of one number, that number."""
    if len(numbers) == 1:
        return Quartiles(numbers[0], numbers[0], numbers[0])
    return Quartiles(*statistics.quantiles(numbers, method="inclusive"))


@dataclass
class Row:
    """One network doing one thing: the seconds of a step in each round, and the peak of memory in bytes."""

    network: str
    task: str
    batch: int
    image: int
    times: dict[str, list[float]]
    peaks: dict[str, int]
    busy: float = 0.0
    """The share of the processors' time that others took."""

    @property
    def title(self) -> str:
        """The network, the batch and the size of the images."""
        return f"{self.network} [{self.batch}, {self.image}²]"

    @property
    def is_noisy(self) -> bool:
        """Whether others took so much that no target is known to be met or missed."""
        return self.busy > NOISY

    def median(self, contender: str) -> float:
        """Seconds."""
        return statistics.median(self.times[contender])

    def faster_layout(self) -> str:
        """PyTorch's, by the medians."""
        return min(THEIRS, key=self.median)

    def ratio(self, against: str) -> Quartiles:
        """Our time as a part of another's, round by round."""
        return quartiles([a / b for a, b in zip(self.times[OURS], self.times[against], strict=True)])

    def verdicts(self) -> list[tuple[Quartiles, float]]:
        """The ratio to PyTorch's faster layout and the target, and to its default layout and the target."""
        targets = named(self.network)
        return [
            (self.ratio(self.faster_layout()), targets.faster_layout),
            (self.ratio(THEIRS[0]), targets.nchw),
        ]


@dataclass
class Record:
    """A run: where, how, and what came of it."""

    machine: dict[str, Cell]
    settings: dict[str, Cell]
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: Path) -> Record:
        """What `save` wrote; ends the command in a line if that cannot be read."""
        try:
            saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return Record(**{**saved, "rows": [Row(**row) for row in saved["rows"]]})
        except OSError as error:
            raise SystemExit(f"--read {path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise SystemExit(f"--read {path}: not what --json keeps, or only a part of it: {error}") from error

    def show(self, *tables: Table) -> None:
        """Print where it was, tables and problems."""
        print(", ".join(f"{name} {value}" for name, value in self.machine.items() if value is not None), end="\n\n")
        print("\n\n".join([*map(markdown, tables), *(f"Problem: {text}" for text in self.problems)]))


def noise(rows: Sequence[Row]) -> str:
    """What is to be said of rows during which the machine was not quiet."""
    noisy = list(dict.fromkeys(row.title for row in rows if row.is_noisy))
    which = ", ".join(noisy) if len(noisy) <= LISTED else f"{len(noisy)} rows"
    return f"Not to be trusted, as others took more than {NOISY:.0%} of the processors' time: {which}." if noisy else ""


def milliseconds(seconds: Sequence[float]) -> str:
    """The median, and how far the quartiles are from it."""
    low, median, high = quartiles([1000 * s for s in seconds])
    digits = 2 if median < 10 else 1 if median < 100 else 0
    return f"{median:.{digits}f} −{1 - low / median:.0%} +{high / median - 1:.0%}"
