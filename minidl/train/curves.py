"""The picture of a run: loss, accuracy and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidl.checkpoint import atomic_write
from minidl.extra import import_extra
from minidl.train.record import Record, best_of

COLORS = {"train": "#7f9db9", "test": "#c44e1f", "lr": "#777777"}
INK, GRID = "#333333", "#e8e8e8"


def plot_curves(records: Sequence[Record], path: Path) -> None:
    """Write the picture as PNG."""
    # A Figure by itself draws without a screen; pyplot would look for one.
    figure = import_extra("matplotlib.figure", "train").Figure(figsize=(11, 3.6), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3, width_ratios=[4, 4, 3])
    epochs = [record.epoch for record in records]
    style: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(epochs) < 50 else {}
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
