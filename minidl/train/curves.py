"""The picture of a run, and of several: loss, accuracy and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minidl.checkpoint import atomic_write
from minidl.extra import import_extra
from minidl.train.record import Record, best_of

COLORS = {"train": "#7f9db9", "test": "#c44e1f", "lr": "#777777"}
COMPARED = ["#c44e1f", "#2a6f97", "#6a994e", "#7b2d8b", "#b08900", "#444444"]
INK, GRID = "#333333", "#e8e8e8"


def plot_curves(records: Sequence[Record], path: Path) -> None:
    """Write the picture as PNG."""
    figure = _figure()
    loss, accuracy, rate = figure.subplots(1, 3, width_ratios=[4, 4, 3])
    epochs = [record.epoch for record in records]
    style = _style(len(epochs))
    for part in ("train", "test"):
        losses, shares = ([getattr(record, f"{part}_{what}") for record in records] for what in ("loss", "accuracy"))
        loss.plot(epochs, losses, color=COLORS[part], label=part, **style)
        accuracy.plot(epochs, [100 * share for share in shares], color=COLORS[part], **style)
    rate.plot(epochs, [record.lr for record in records], color=COLORS["lr"], **style)
    for axes, title in ((loss, "loss"), (accuracy, "accuracy, %"), (rate, "learning rate")):
        _tidy(axes, title, len(epochs))
    for axes in (loss, rate):
        axes.set_ylim(0, 1.02 * axes.get_ylim()[1])  # from zero, with room above the highest point
    loss.legend(frameon=False, labelcolor="linecolor")
    _mark(accuracy, best_of(records))
    _write(figure, path)


def plot_comparison(runs: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Write the picture of several runs as PNG: what they scored on the test images, and dotted on the training's."""
    figure = _figure()
    panels = dict(zip(("loss", "accuracy"), figure.subplots(1, 2), strict=True))
    length = max(len(records) for records in runs.values())
    for i, (name, records) in enumerate(runs.items()):
        epochs, color = [record.epoch for record in records], COMPARED[i % len(COMPARED)]
        for what, axes in panels.items():
            scale = 100 if what == "accuracy" else 1
            for part, style in (("test", {"label": name, **_style(length)}), ("train", {"linestyle": ":"})):
                values = [scale * getattr(record, f"{part}_{what}") for record in records]
                axes.plot(epochs, values, color=color, **style)
    panels["loss"].set_yscale("log")  # that of the first epochs may be a hundred times that of the last
    _tidy(panels["loss"], "loss on test images, training dotted", length)
    _tidy(panels["accuracy"], "accuracy, %", length)
    panels["accuracy"].legend(frameon=False, labelcolor="linecolor", loc="lower right")
    _write(figure, path)


def _figure() -> Any:
    # A Figure by itself draws without a screen; pyplot would look for one.
    return import_extra("matplotlib.figure", "train").Figure(figsize=(11, 3.6), layout="constrained")


def _style(epochs: int) -> dict[str, Any]:
    return {"marker": "o", "markersize": 3.5} if epochs < 50 else {}


def _write(figure: Any, path: Path) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=144)


def _mark(axes: Any, record: Record) -> None:
    """A ring around the best test accuracy, a line at its height, and its number over the plot."""
    percent, color = 100 * record.test_accuracy, COLORS["test"]
    axes.axhline(percent, color=color, linewidth=0.8, linestyle=":")
    axes.plot(record.epoch, percent, "o", color=color, markersize=9, fillstyle="none", clip_on=False)
    axes.set_title(f"best {percent:.2f} % in epoch {record.epoch}", loc="right", fontsize=10, color=color)


def _tidy(axes: Any, title: str, epochs: int) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_xlabel("epoch", color=INK)
    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
