"""A profile: the block that is watched, its table, and its trace."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minidl.checkpoint import atomic_write
from minidl.mode import mode
from minidl.profiler.profiler import Event, Profiler
from minidl.profiler.rows import HEADINGS, OUTSIDE, Row, duration, rows
from minidl.table import plain_table, rich_table


class profile:  # noqa: N801 (PyTorch's name)
    """Watch the ops that this thread runs within the block: how often, how long, how much work.

        with minidl.profile() as p:
            train_step()
        print(p)

    An op is charged with its function or kernel and, backward, with all that its pullback calls. One that is composed
    of others is charged with the time between them; its columns `forward` and `backward` have them in it. The block
    may be entered again; what it sees then is added.

    A GPU is waited for before and after each op: that is the only way to tell whose time it is, but a step takes
    longer so than it does alone. A profile itself takes some microseconds for each op.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._profiler = Profiler(clock)
        self._started: float | None = None
        self._seconds = 0.0

    def __enter__(self) -> profile:
        if mode.profiler is not None:
            raise RuntimeError("profile: another profile is running in this thread: leave its block first")
        mode.profiler = self._profiler
        self._started = self._profiler.clock()
        return self

    def __exit__(self, *error: object) -> None:
        self._seconds, self._started = self.seconds, None
        mode.profiler = None

    @property
    def seconds(self) -> float:
        """How long the block took, or has taken so far."""
        running = 0.0 if self._started is None else self._profiler.clock() - self._started
        return self._seconds + running

    @property
    def events(self) -> list[Event]:
        """Each run of each op, in the order in which they ended."""
        return self._profiler.events

    @property
    def rows(self) -> list[Row]:
        """One for each op, the longest first, and one for the time outside ops: shares add up to 1."""
        return rows(self.events, self.seconds)

    def table(self) -> str:
        """The rows as text."""
        found = self.rows
        return plain_table(HEADINGS, [row.cells() for row in found], _caption(found))

    def __repr__(self) -> str:
        return self.table()

    def __rich__(self) -> Any:
        """What `rich.print` shows."""
        found = self.rows
        return rich_table(HEADINGS, [row.cells() for row in found], _caption(found))

    def export_chrome_trace(self, path: str | Path) -> None:
        """Write the events as JSON that chrome://tracing and ui.perfetto.dev draw, a line for each thread."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"traceEvents": _trace(self.events), "displayTimeUnit": "ms"}), "utf-8")


@contextlib.contextmanager
def record_function(name: str) -> Iterator[None]:
    """Show what runs within the block, in a profile, as an op of this name. Without one it costs next to nothing."""
    profiler = mode.profiler
    if profiler is None:
        yield
        return
    event = profiler.begin(name, "forward")
    try:
        yield
    finally:
        profiler.end(event)


def _caption(found: list[Row]) -> str:
    seconds, flops, moved = (sum(getattr(row, name) for row in found) for name in ("self_seconds", "flops", "bytes"))
    calls = sum(row.calls for row in found if row.name != OUTSIDE)
    return f"{duration(seconds)}, {calls:,} calls, {flops / 1e9:,.3f} GFLOP, {moved / 1e9:,.3f} GB"


def _trace(events: list[Event]) -> list[dict[str, Any]]:
    """Complete events ("X") in microseconds, and the names of the threads ("M")."""
    begin = min((event.start for event in events), default=0.0)
    common = {"pid": os.getpid()}
    threads = [
        {"name": "thread_name", "ph": "M", **common, "tid": number, "args": {"name": name}}
        for number, name in dict.fromkeys(event.thread for event in events)
    ]
    return threads + [
        {
            "name": event.name,
            "cat": event.phase,
            "ph": "X",
            "ts": (event.start - begin) * 1e6,
            "dur": event.seconds * 1e6,
            **common,
            "tid": event.thread[0],
            "args": {"phase": event.phase, "shape": list(event.shape), "flops": event.flops, "bytes": event.bytes},
        }
        for event in sorted(events, key=lambda event: (event.start, -event.seconds))
    ]
