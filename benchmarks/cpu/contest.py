"""Contenders take turns: each is a process of its own, and while one works, the others wait for a line to read.

Why not in one process: threads go on spinning when their work is done, on the cores where the next contender has begun
(those of PyTorch's libgomp for 4 ms, those of OpenBLAS for 25 ms of processor time). So everybody rests for a moment
before each turn, and whether anything runs even then is measured: that is somebody else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cpu.record import CONTENDERS, Row

ROOT = Path(__file__).parents[2]
TURN = 0.5
"""Seconds that a turn takes, or two steps if they take longer."""
REST = 0.1, 0.1
"""Seconds for the threads to fall asleep, and to look whether anything still runs."""
LEAST = 5
"""Rounds, at least: fewer have no quartiles."""
AGREEMENT = 1e-2
"""How far apart their first outputs may be, as a part of them: all start from the same weights."""


class Contender:
    """A process that runs what it is asked to in a framework."""

    def __init__(self, name: str, threads: int):
        if name.startswith("PyTorch") and importlib.util.find_spec("torch") is None:
            raise SystemExit("PyTorch, to compare with, is not installed: pip install torch")
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cpu.worker", name, str(threads)],
            cwd=ROOT,
            env={**os.environ, **dict.fromkeys(variables, str(threads))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the process's `worker.Worker`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"do": method, "with": arguments}) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the process ended with exit code {self.process.wait()}; see above")
        return json.loads(line)

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


class Contest:
    """The contenders, who run the same with the same weights."""

    def __init__(self, contenders: dict[str, Contender]):
        self.contenders = contenders

    def load(self, name: str) -> None:
        """A network or a layer, for all."""
        with tempfile.TemporaryDirectory() as folder:
            for contender in self.contenders.values():
                contender.ask("load", name, str(Path(folder, "weights.npz")))

    def row(
        self, name: str, task: str, batch: int, image: int, enough: Callable[[int, float], bool], turn: float = TURN
    ) -> Row:
        """Rounds until there are enough (of so many rounds, in so many seconds)."""
        self.load(name)
        first, *others = [contender.ask("prepare", task, batch, image) for contender in self.contenders.values()]
        if any(math.dist(first, other) > AGREEMENT * math.hypot(*first) for other in others):
            raise ArithmeticError(f"{name}, {task}: the contenders compute different things: {[first, *others]}")
        times: dict[str, list[float]] = {who: [] for who in self.contenders}
        busy: list[float] = []
        start = time.monotonic()
        while not enough(len(busy) // len(times), time.monotonic() - start):
            for who, contender in self.contenders.items():
                busy.append(rest())
                times[who].append(contender.ask("turn", turn))
        peaks = {who: contender.ask("peak") for who, contender in self.contenders.items()}
        return Row(name, task, batch, image, times, peaks, statistics.fmean(busy))


@contextlib.contextmanager
def contest(threads: int, names: Sequence[str] = CONTENDERS) -> Iterator[Contest]:
    """A process for each contender; they end with the context."""
    with contextlib.ExitStack() as stack:
        yield Contest({name: stack.enter_context(Contender(name, threads)) for name in names})


def until(rounds: int | None, seconds: float) -> Callable[[int, float], bool]:
    """So many rounds; if that is not said, as many as there is time for, but not too few."""
    if rounds is not None:
        return lambda done, passed: done >= rounds
    return lambda done, passed: done >= LEAST and passed >= seconds


def rest() -> float:
    """Let threads fall asleep; the share of the processors' time that somebody uses even then."""
    time.sleep(REST[0])
    idle, total = processor_time()
    time.sleep(REST[1])
    idle_now, total_now = processor_time()
    return 1 - (idle_now - idle) / (total_now - total) if total_now > total else 0.0


def processor_time() -> tuple[int, int]:
    """The idle time of all processors since the machine was started, and their whole time; 0 where nobody tells."""
    file = Path("/proc/stat")
    if not file.exists():
        return 0, 0
    user, nice, system, idle, iowait, *rest = map(int, file.read_text(encoding="utf-8").split("\n")[0].split()[1:9])
    return idle + iowait, user + nice + system + idle + iowait + sum(rest)
