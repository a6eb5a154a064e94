"""What a profile says of each op."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minidl.profiler.profiler import Event

HEADINGS = ("op", "calls", "forward", "backward", "self", "share", "GFLOP/s", "GB/s")
OUTSIDE = "(outside ops)"
"""Python between ops: the engine, and what uses no tensors."""


@dataclass(frozen=True)
class Row:
    """An op, all its runs together."""

    name: str
    calls: int
    forward: float
    """Seconds, with the ops that it called."""
    backward: float
    self_seconds: float
    """Forward and backward, without the ops that have a row of their own."""
    share: float
    """Of the time of the whole profile."""
    flops: int
    bytes: int
    """What it did in those seconds."""

    @property
    def flops_per_second(self) -> float:
        return self.flops / self.self_seconds if self.self_seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        return self.bytes / self.self_seconds if self.self_seconds else 0.0

    def cells(self) -> tuple[str, ...]:
        """As a row of the table."""
        return (
            self.name,
            _or_dash(self.calls, f"{self.calls:,}"),
            _or_dash(self.forward, duration(self.forward)),
            _or_dash(self.backward, duration(self.backward)),
            duration(self.self_seconds),
            f"{self.share:.1%}",
            _or_dash(self.flops, f"{self.flops_per_second / 1e9:.1f}"),
            _or_dash(self.bytes, f"{self.bytes_per_second / 1e9:.1f}"),
        )


def rows(events: Iterable[Event], seconds: float) -> list[Row]:
    """A row for each op, and one for what is left of the time; the longest first."""
    by_name: dict[str, list[Event]] = {}
    for event in events:
        if event.phase in ("forward", "backward"):
            by_name.setdefault(event.name, []).append(event)
    found = [_row(name, runs, seconds) for name, runs in by_name.items()]
    left = max(seconds - sum(row.self_seconds for row in found), 0.0)
    found.append(Row(OUTSIDE, 0, 0.0, 0.0, left, _share(left, seconds), 0, 0))
    return sorted(found, key=lambda row: -row.self_seconds)


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.2f} {name}"
    return f"{seconds * 1e6:.1f} µs"


def _row(name: str, runs: list[Event], seconds: float) -> Row:
    forward = [event for event in runs if event.phase == "forward"]
    self_seconds = sum(event.self_seconds for event in runs)
    return Row(
        name=name,
        calls=len(forward),
        forward=sum(event.seconds for event in forward),
        backward=sum(event.seconds for event in runs if event.phase == "backward"),
        self_seconds=self_seconds,
        share=_share(self_seconds, seconds),
        flops=sum(event.flops for event in runs),
        bytes=sum(event.bytes for event in runs),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _or_dash(number: float, text: str) -> str:
    return text if number else "-"
