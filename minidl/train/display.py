"""What a run shows: a table that grows by a line each epoch and, on a terminal, a bar that moves meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from minidl.extra import import_extra
from minidl.train.record import Record

HEAD = "epoch        lr   train loss  accuracy   test loss  accuracy    seconds  images/s"
LINE = (
    "{r.epoch:5d}  {r.lr:8.5f}   {r.train_loss:10.4f}  {r.train_accuracy:8.2%}  "
    "{r.test_loss:10.4f}  {r.test_accuracy:8.2%}  {r.seconds:9.1f}  {r.images_per_second:8.0f}"
)
INTERVAL = 0.1
"""Seconds between two looks at the loss: a look waits until a GPU has computed it."""


class Progress(Protocol):
    """How far a pass over the images has come."""

    images: int

    @property
    def loss(self) -> float: ...


class Display:
    """Prints to stdout; where that is no terminal, plain lines without control characters."""

    def __init__(self) -> None:
        rich = import_extra("rich.console", "train")
        self.console = rich.Console(soft_wrap=True, highlight=False, markup=False, emoji=False)

    def note(self, text: str) -> None:
        """A line of text."""
        self.console.print(text)

    def head(self) -> None:
        """The table's first line."""
        self.console.print(HEAD, style="bold")

    def line(self, record: Record, is_best: bool) -> None:
        """An epoch's line in the table."""
        self.console.print(LINE.format(r=record) + (" *" if is_best else ""))

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        """A bar for one pass over `total` images; it is gone afterwards."""
        progress = import_extra("rich.progress", "train")
        bar = progress.Progress(
            "{task.description}",
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            "{task.fields[status]}",
            progress.TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not (self.console.is_interactive and sys.stdout.isatty()),  # FORCE_COLOR makes no terminal
        )
        with bar:
            yield Bar(bar, bar.add_task(title, total=total, status=""))


class Bar:
    """A bar that looks at how far things have come now and then."""

    def __init__(self, progress: Any, task: Any):
        self.progress, self.task = progress, task
        self.start = self.last = time.perf_counter()

    def update(self, done: Progress) -> None:
        """Show how far things have come, if the last look was a while ago."""
        now = time.perf_counter()
        if now - self.last >= INTERVAL:
            self.last = now
            status = f"{done.images / (now - self.start):.0f} images/s  loss {done.loss:.4f}"
            self.progress.update(self.task, completed=done.images, status=status)
