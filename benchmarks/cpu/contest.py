"""Contenders take turns: each is a process of its own, and while one works, the others wait for a line to read.

Why not in one process: the threads of PyTorch's OpenMP, and those of OpenBLAS, go on spinning for a while after their
work, on the cores where the next contender has begun. So everybody rests for a moment before each turn, long enough
for such threads to fall asleep; and that they have, and that nothing else runs on the machine, is measured there.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cpu.networks import Network
from benchmarks.cpu.record import CONTENDERS, Row

ROOT = Path(__file__).parents[2]
TURN = 0.5
"""Seconds that a turn takes, or one step if that takes longer."""
REST = 0.3, 0.2
"""Seconds for the threads to fall asleep, and to look whether anything still runs."""
LEAST = 5
"""Rounds, at least: fewer have no quartiles."""
AGREEMENT = 1e-2
"""How far the first losses of the contenders may be apart: all start from the same weights."""


class Contender:
    """A process that runs a network in a framework."""

    def __init__(self, name: str, network: Network, threads: int):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        self.name = f"{network.name} in {name}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cpu.worker", name, network.name, str(threads)],
            cwd=ROOT,
            env={**os.environ, **dict.fromkeys(variables, str(threads))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request, wait for the reply."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the process ended with exit code {self.process.wait()}; see above")
        return dict(json.loads(line))

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


class Contest:
    """The contenders for one network, with the same weights."""

    def __init__(self, network: Network, contenders: dict[str, Contender], folder: Path):
        self.network, self.contenders = network, contenders
        for contender in contenders.values():  # ours is the first: its weights are for all
            contender.ask(exchange=str(folder / "weights.npz"))

    def versions(self) -> dict[str, str]:
        """What they run."""
        found = [contender.ask(versions=True)["versions"] for contender in self.contenders.values()]
        return {name: version for versions in found for name, version in versions.items()}

    def row(self, task: str, batch: int, image: int, enough: Callable[[int, float], bool], turn: float = TURN) -> Row:
        """Rounds until there are enough (of so many rounds, in so many seconds)."""
        replies = {name: c.ask(prepare=[task, batch, image]) for name, c in self.contenders.items()}
        firsts = [reply["first"] for reply in replies.values()]
        if max(firsts) - min(firsts) > AGREEMENT * max(map(abs, firsts)):
            raise ArithmeticError(f"{self.network.name}: the contenders compute different things: {firsts}")
        times: dict[str, list[float]] = {name: [] for name in self.contenders}
        busy: list[float] = []
        start = time.monotonic()
        while not enough(len(busy) // len(times), time.monotonic() - start):
            for name, contender in self.contenders.items():
                busy.append(rest())
                replies[name] = contender.ask(turn=turn)
                times[name].append(replies[name]["seconds"])
        peaks = {name: reply["peak"] for name, reply in replies.items()}
        return Row(self.network.name, task, batch, image, times, peaks, statistics.median(busy))


@contextlib.contextmanager
def contest(network: Network, threads: int, names: Sequence[str] = CONTENDERS) -> Iterator[Contest]:
    """Processes for a network; they end with the context."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contenders = {name: stack.enter_context(Contender(name, network, threads)) for name in names}
        yield Contest(network, contenders, folder)


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
