"""How long a step takes, without what the first one finds. (No NumPy: minidl has to be imported before it.)"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def turn(step: Callable[[], Any], seconds: float) -> float:
    """The median over the steps that are taken in so many seconds, or over one.

    The first of a turn, which finds the caches as others have left them, does not count.
    """
    times: list[float] = []
    while len(times) < 2 or sum(times) < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
