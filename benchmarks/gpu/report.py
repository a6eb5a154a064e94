"""What the stages found: tables and problems, as JSON between processes, as Markdown to keep, as text to look at."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minidl.checkpoint import atomic_write

Cell = str | int | float | None


@dataclass
class Table:
    """Rows of cells under a title; None is a cell with nothing in it."""

    title: str
    head: Sequence[str]
    rows: list[list[Cell]] = field(default_factory=list)
    note: str = ""


@dataclass
class Problem:
    """Something that is not as it should be."""

    text: str


class MissingError(Exception):
    """What a stage needs is not here; it is skipped."""


@dataclass
class Outcome:
    """What came of a stage. It has passed if it went to its end without a problem."""

    stage: str
    question: str
    seconds: float = 0.0
    ended: bool = False
    skipped: str = ""
    tables: list[Table] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    trace: str = ""

    @property
    def verdict(self) -> str:
        """One word."""
        if self.skipped:
            return "skipped"
        return "passed" if self.ended and not self.problems else "failed"

    def add(self, found: Table | Problem) -> None:
        """Take in a table (instead of an earlier one of the same title) or a problem."""
        if isinstance(found, Problem):
            self.problems.append(found.text)
        else:
            self.tables = [table for table in self.tables if table.title != found.title] + [found]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write(path, json.dumps(_plain(asdict(self))))

    @staticmethod
    def load(path: Path) -> Outcome:
        """Read what `save` wrote."""
        saved = json.loads(path.read_text(encoding="utf-8"))
        saved["tables"] = [Table(**table) for table in saved["tables"]]
        return Outcome(**saved)


@dataclass
class Report:
    """A whole run: where it ran, and what came of each stage."""

    title: str
    facts: dict[str, Cell] = field(default_factory=dict)
    summary: list[Table] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def json(self) -> str:
        """The whole, for programs."""
        whole = asdict(self)
        for saved, outcome in zip(whole["outcomes"], self.outcomes, strict=True):
            saved["verdict"] = outcome.verdict
        return json.dumps(_plain(whole), indent=1) + "\n"

    def markdown(self) -> str:
        """The whole, for people."""
        verdicts = Table("Verdicts", ["stage", "question", "verdict", "seconds"])
        verdicts.rows = [[o.stage, o.question, o.skipped or o.verdict, round(o.seconds, 1)] for o in self.outcomes]
        facts = Table("Where", ["what", "is"], [[name, value] for name, value in self.facts.items()])
        parts = [f"# {self.title}", *map(markdown, [facts, *self.summary, verdicts])]
        for outcome in self.outcomes:
            parts.append(f"## {outcome.stage}: {outcome.question}")
            parts.append("\n".join(f"- Problem: {' '.join(problem.split())}" for problem in outcome.problems))
            parts.append(f"```\n{outcome.trace.strip()}\n```" if outcome.trace else "")
            parts += map(markdown, outcome.tables)
        return "\n\n".join(filter(None, parts)) + "\n"


def write(path: Path, text: str) -> None:
    """Write a text file in one step."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def markdown(table: Table) -> str:
    """A table in Markdown, in columns that line up."""
    lines = [list(table.head), *([show(cell) for cell in row] for row in table.rows)]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n\n".join(filter(None, [f"### {table.title}", "\n".join(text), table.note]))


def show(cell: Cell) -> str:
    """A cell as text: three figures of a number are enough."""
    if cell is None:
        return ""
    if isinstance(cell, float) and math.isfinite(cell):
        return f"{cell:.3g}" if abs(cell) < 1000 else f"{cell:.0f}"
    return str(cell)


def echo(tables: Iterable[Table]) -> None:
    """Print tables: with rich, where it is installed."""
    try:
        from rich.console import Console
        from rich.table import Table as Grid
    except ImportError:
        for table in tables:
            print(markdown(table), end="\n\n")
        return
    console = Console(highlight=False, markup=False)
    for table in tables:
        grid = Grid(*table.head, title=table.title, title_justify="left")
        for row in table.rows:
            grid.add_row(*map(show, row))
        console.print(grid)
        console.print(table.note, style="dim")


def _plain(value: Any) -> Any:
    """The value with text for the numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
