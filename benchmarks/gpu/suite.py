"""Do the tests pass on the device? All that take the backend as a parameter, in as many processes as are sensible."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.device import ROOT, Device
from benchmarks.gpu.report import MissingError, Problem, Table

WORKERS = 6
"""At most: each has a context of its own on the device, of half a gigabyte."""
SHOWN = 30
"""How many failures to list."""


def stage(device: Device) -> Iterator[Table | Problem]:
    """pytest -k cupy; what it has come to when time is up, if it is not through by then."""
    for module in ("pytest", "hypothesis"):
        if importlib.util.find_spec(module) is None:
            raise MissingError(f"{module} is not installed: pip install -e '.[test]'")
    where = ["tests/kernels/test_columns.py"] if device.quick else []
    chosen = f"{device.backend} and not stand_in"
    options = ["-q", "--tb=short", "-k", chosen, *where]
    workers = min(WORKERS, (os.cpu_count() or 1) // 2)
    if workers > 1 and not device.quick and importlib.util.find_spec("xdist"):
        options += ["-n", str(workers)]
    command = [sys.executable, "-m", "pytest", "-p", "benchmarks.gpu.recorder", "-p", "no:cacheprovider", *options]
    with tempfile.TemporaryDirectory() as folder:
        record, log = Path(folder, "record"), Path(folder, "log")
        record.touch()
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=output, stderr=output, env={**os.environ, "TEST_RECORD": str(record)}
            )
            try:
                code: int | None = process.wait(max(device.left(), 1))
            except subprocess.TimeoutExpired:
                code = None
            finally:
                process.kill()
                process.wait()
        lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
        yield from judge(
            lines, code, f"pytest {shlex.join(options)}", log.read_text(encoding="utf-8", errors="replace")
        )


def judge(lines: list[dict[str, str]], code: int | None, command: str, log: str) -> Iterator[Table | Problem]:
    """What the recorded results, pytest's exit code (None: it was stopped) and its output say."""
    counts = Counter(line["outcome"] for line in lines)
    ends = {None: "it was stopped when time was up", 0: "it came to its end", 1: "it came to its end"}
    note = f"`{command}`: {ends.get(code, f'it ended with exit code {code}')}."
    yield Table("tests", ["outcome", "tests"], [[outcome, count] for outcome, count in counts.most_common()], note)
    failures = [line for line in lines if line["outcome"] == "failed"]
    for line in failures[:SHOWN]:
        reasons = [part for part in line["text"].splitlines() if part.startswith("E ")] or line["text"].splitlines()
        yield Problem(f"{line['test']}: {' '.join(reasons)[:300]}")
    if len(failures) > SHOWN:
        yield Problem(f"and {len(failures) - SHOWN} more tests failed")
    if code is None:
        yield Problem(
            "not all tests were run: kernels that are compiled by now are kept, so that the next run is faster"
        )
    elif code not in (0, 1) or not counts["passed"]:
        yield Problem(f"pytest ended with exit code {code}, after {counts['passed']} tests had passed: {log[-1000:]}")
