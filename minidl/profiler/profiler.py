"""What a profile hears of: the engine hands each function that does the work to a profiler, which watches it run.

    run = function if mode.profiler is None else mode.profiler.primitive(name, function)

is all that an op pays for when nobody looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minidl.backend import Array, is_cupy, synchronize
from minidl.mode import mode
from minidl.profiler import cost
from minidl.tensor import Tensor

Function = Callable[..., Any]


@dataclass(slots=True)
class Event:
    """One run of an op, forward or backward. Seconds are the clock's."""

    name: str
    phase: str
    """"forward", "backward", "inside" (an op that a pullback calls), or "tile" (a part of a kernel, in its thread)."""
    thread: tuple[int, str]
    start: float
    seconds: float = 0.0
    seconds_in_ops: float = 0.0
    """How many of them belong to ops that were called meanwhile; those inside a pullback belong to it."""
    flops: int = 0
    bytes: int = 0
    """What it did itself, without those ops."""
    shape: tuple[int, ...] = ()

    @property
    def self_seconds(self) -> float:
        return self.seconds - self.seconds_in_ops


class Profiler:
    """Watches what one thread runs, and writes down an event for each run, when it ends."""

    def __init__(self, clock: Callable[[], float]):
        self.clock = clock
        self.events: list[Event] = []
        self._open: list[Event] = []
        self._on_gpu = False

    def primitive(self, name: str, function: Function) -> Function:
        """Watch what takes tensors and returns an array and the pullback for each of them."""

        def watched(*args: Any, **settings: Any) -> tuple[Any, ...]:
            event = self.begin(name, "forward", *args)
            try:
                result = function(*args, **settings)
            finally:
                self.end(event)
            if isinstance(result, tuple):  # the engine says what is wrong with others
                tensors, rest = args[: len(result) - 1], args[len(result) - 1 :]
                self._charge(event, [x.data for x in tensors], result[0], rest, settings)
            return result

        return watched

    def kernel(self, name: str, function: Function) -> Function:
        """Watch what takes arrays and returns an array and one pull for them all, or None: `accelerated` explains."""

        def watched(*args: Any, **settings: Any) -> tuple[Array, Function] | None:
            event, outcome = self.begin(name, "forward", *args), None
            try:
                outcome = function(*args, **settings)
            finally:
                self.end(event, ran=outcome is not None)
            if outcome is None:
                return None
            value, pull = outcome
            count = next((i for i, x in enumerate(args) if not _is_array(x)), len(args))
            flops = self._charge(event, args[:count], value, args[count:], settings)
            return value, _counting(pull, cost.footprint(*args[:count]), flops)

        return watched

    def composition(self, name: str, function: Function) -> Function:
        """Watch what calls ops: they have events of their own."""

        def watched(*args: Any, **settings: Any) -> Any:
            event = self.begin(name, "forward", *args)
            try:
                return function(*args, **settings)
            finally:
                self.end(event)

        return watched

    def backward(self, name: str, function: Function) -> Function:
        """Watch what takes a node, its gradient, and more, to its parents' gradients: the ops it calls are its own."""

        def watched(node: Any, *args: Any) -> Any:
            event = self.begin(name, "backward")
            event.shape = node.shape
            try:
                return function(node, *args)
            finally:
                self.end(event)

        return watched

    def tile(self, function: Function) -> Function:
        """Watch what other threads do for the op that is running: that is within its time."""
        name = self._open[-1].name if self._open else "tile"

        def watched(item: Any) -> Any:
            event = Event(name, "tile", _this_thread(), self.clock())
            try:
                return function(item)
            finally:
                event.seconds = self.clock() - event.start
                self.events.append(event)

        return watched

    def begin(self, name: str, phase: str, *args: Any) -> Event:
        """An event that starts now, when a GPU has done what came before."""
        self._on_gpu = self._on_gpu or any(is_cupy(x.data if isinstance(x, Tensor) else x) for x in args)
        self._wait()
        if self._open and self._open[-1].phase != "forward":
            phase = "inside"
        event = Event(name, phase, _this_thread(), self.clock())
        self._open.append(event)
        return event

    def end(self, event: Event, ran: bool = True) -> None:
        """The event ends when a GPU has done it; it is forgotten if nothing ran after all."""
        self._wait()
        event.seconds = self.clock() - event.start
        self._open.pop()
        if not ran:
            return
        self.events.append(event)
        if event.phase == "inside":
            self.count(event.flops, event.bytes)
        elif self._open:
            self._open[-1].seconds_in_ops += event.seconds

    def _wait(self) -> None:
        if self._on_gpu:
            synchronize()

    def count(self, flops: int, bytes_moved: int) -> None:
        """Add to what the running op has done."""
        if self._open:
            self._open[-1].flops += flops
            self._open[-1].bytes += bytes_moved

    def _charge(
        self, event: Event, inputs: Sequence[Array | None], value: Array, rest: Sequence[Any], settings: dict[str, Any]
    ) -> cost.PullFlops:
        """Write down the work of an op that has ended; returns what its pull will take, if it is a kernel's."""
        event.flops, of_pull = cost.flops(event.name, inputs, value, *rest, **settings)
        event.bytes, event.shape = cost.bytes_moved(inputs, value), value.shape
        if event.phase == "inside":
            self.count(event.flops, event.bytes)
        return of_pull


def _counting(pull: Function, input_bytes: int, flops: cost.PullFlops) -> Function:
    """A kernel's pull that tells who then watches: it read the gradient and the inputs, and wrote the parts."""

    def counted(g: Array, wanted: Sequence[bool]) -> Any:
        parts = pull(g, wanted)
        if mode.profiler is not None:
            mode.profiler.count(cost.flops_of_pull(flops, wanted), input_bytes + cost.footprint(g, *parts))
        return parts

    return counted


def _is_array(x: Any) -> bool:
    return x is None or hasattr(x, "strides")


def _this_thread() -> tuple[int, str]:
    return threading.get_ident(), threading.current_thread().name
