"""What is switched on and off for a while, in one thread: recording, kernels, and a profiler."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minidl.profiler.profiler import Profiler


class _Mode(threading.local):
    recording = True
    definitions = False
    profiler: Profiler | None = None


mode = _Mode()


@contextlib.contextmanager
def set_mode(name: str, value: Any) -> Iterator[None]:
    """Change a switch of this thread's mode within the context."""
    before = getattr(mode, name)
    setattr(mode, name, value)
    try:
        yield
    finally:
        setattr(mode, name, before)


def no_grad() -> contextlib._GeneratorContextManager[None]:
    """Within this context (or a function decorated with `@no_grad()`) nothing is recorded, in this thread."""
    return set_mode("recording", False)


def enable_grad() -> contextlib._GeneratorContextManager[None]:
    """Within this context ops are recorded again, also inside `no_grad`."""
    return set_mode("recording", True)


def is_grad_enabled() -> bool:
    """Whether ops are being recorded in this thread."""
    return mode.recording


def definitions() -> contextlib._GeneratorContextManager[None]:
    """Within this context no kernel stands in for a composition: every op runs as its definition reads."""
    return set_mode("definitions", True)
