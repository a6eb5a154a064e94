"""Pictures of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cpu.record import Row
from benchmarks.gpu.report import Cell
from minidl.checkpoint import atomic_write

BLUE, ORANGE, GREY = "#0072b2", "#e69f00", "#666666"  # Okabe and Ito: told apart by all eyes


def ratios(rows: Sequence[Row], machine: Mapping[str, Cell], path: Path) -> None:
    """Bars from 0 to our time as a part of PyTorch's; whiskers are quartiles, marks are targets."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.8 + 0.55 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for i, label in enumerate(("against PyTorch's faster layout", "against its default, NCHW")):
        found = [row.verdicts()[i] for row in rows]
        places = [place + 0.2 * (2 * i - 1) for place in range(len(rows))]
        medians = [ratio.median for ratio, _ in found]
        whiskers = [[r.median - r.low for r, _ in found], [r.high - r.median for r, _ in found]]
        axes.barh(places, medians, 0.36, xerr=whiskers, color=(BLUE, ORANGE)[i], ecolor=GREY, label=label)
        label = "targets" if i else ""
        axes.plot([target for _, target in found], places, "|", color="black", ms=13, mew=1.5, label=label)
        for place, ratio, _ in zip(places, *zip(*found, strict=True), strict=True):
            style: dict[str, Any] = {"va": "center", "size": 8, "color": "black" if i else "white"}
            axes.annotate(f"{ratio.median:.2f}", (0, place), (3, 0), textcoords="offset points", **style)
    axes.axvline(1, color=GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"time of a step, minidl / PyTorch {machine['PyTorch']} (left of the line minidl is faster)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """As the suffix says, in one step."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), dpi=160, facecolor="white")


def scaling(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], path: Path) -> None:
    """Seconds over work, both logarithmic, a panel for each of what is varied; dashed: in proportion to the work."""
    from matplotlib.figure import Figure

    varied = list(dict.fromkeys(name.rpartition(", ")[2] for name in curves))
    figure = Figure(figsize=(3.4 * len(varied), 3.2), layout="constrained")
    panels = figure.subplots(1, len(varied), sharey=True, squeeze=False)[0]
    for axes, what in zip(panels, varied, strict=True):
        named = {name.rpartition(", ")[0]: curve for name, curve in curves.items() if name.endswith(f", {what}")}
        for colour, (name, (works, seconds)) in zip((BLUE, ORANGE), named.items(), strict=False):
            axes.loglog(works, seconds, "o-", color=colour, label=name)
            axes.loglog(works, [seconds[-1] * work / works[-1] for work in works], "--", color=colour, linewidth=1)
        axes.set_title(f"over the {what}", size=10)
        axes.set_xlabel("multiply-adds of the forward pass")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("seconds a step (dashed: as the work)")
    save(figure, path)
