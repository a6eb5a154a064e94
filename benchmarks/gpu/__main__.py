"""The command. Each stage runs in a process of its own: what goes wrong in one cannot spoil another.

Exit codes: 0 every stage has passed or was skipped, 1 one has not, 2 there is no device, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu import agreement, device, report, speed, suite
from benchmarks.gpu.device import ROOT, Device
from benchmarks.gpu.report import Cell, MissingError, Outcome, Problem, Report, Table
from minidl.backend import BackendError

RESULTS = ROOT / "benchmarks" / "results"
GRACE = 20.0
"""Seconds that a stage has to notice that its time is up."""


class Stage(NamedTuple):
    """A question, the function that answers it, and the seconds it may take. TF32 is a precision of matrix products."""

    question: str
    answer: Callable[[Device], Iterator[Table | Problem]]
    seconds: float
    tf32: bool = False


STAGES = {
    "device": Stage("what is it?", device.stage, 30),
    "kernels": Stage("do kernels compute what NumPy's do?", agreement.stage_kernels, 40),
    "training": Stage("does a DenseNet train as on NumPy?", agreement.stage_training, 40),
    "kernel times": Stage("how far are kernels from the floor?", speed.stage_kernels, 30),
    "steps": Stage("how long does a training step take?", speed.stage_steps, 50),
    "steps, TF32": Stage("and with products in TF32?", speed.stage_steps, 40, tf32=True),
    "PyTorch": Stage("and in PyTorch?", speed.stage_torch, 40),
    "PyTorch, TF32": Stage("and in PyTorch with TF32?", speed.stage_torch, 40, tf32=True),
    "ops": Stage("do ops and functions compute what they do on NumPy?", agreement.stage_ops, 100),
    "tests": Stage("do all tests pass?", suite.stage, 400),
}
"""In this order, so that what is compiled for the ops serves the tests, which get all the time that is left."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stages, print what they find, and keep it."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=device.__doc__)
    parser.add_argument("--backend", choices=["cupy", "numpy"], default="cupy", help="numpy rehearses without a GPU")
    parser.add_argument("--quick", action="store_true", help="small arrays and few of everything")
    parser.add_argument("--minutes", type=float, default=7.5, help="time for all stages (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results (default: benchmarks/results)")
    parser.add_argument("--only", nargs="+", choices=STAGES, metavar="STAGE", help=f"some of: {', '.join(STAGES)}")
    parser.add_argument("--answer", nargs=2, metavar=("STAGE", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.answer:
        return answer(args.answer[0], Path(args.answer[1]), args)
    if args.backend == "numpy" and args.out == RESULTS:
        parser.error("a rehearsal on NumPy is no result: choose another folder with --out")
    return run(args)


def run(args: argparse.Namespace) -> int:
    """All stages, one after the other, and the report."""
    end = time.monotonic() + 60 * args.minutes
    found = Report("minidl on a GPU" if args.backend == "cupy" else "minidl on NumPy: a rehearsal")
    code = 0
    try:
        for name in args.only or STAGES:
            if found.outcomes:  # else there may be no device, and nothing to say but that
                print(f"{name}: {STAGES[name].question}", flush=True)
            outcome = ask(name, args, max(5.0, min(STAGES[name].seconds, end - time.monotonic())))
            if outcome is None:
                return 2
            found.outcomes.append(outcome)
            report.echo(outcome.tables)
            for text in [*outcome.problems, *outcome.trace.splitlines()[-1:]]:
                print(f"! {text}")
            print(f"{name}: {outcome.skipped or outcome.verdict}, {outcome.seconds:.1f} s\n", flush=True)
    except KeyboardInterrupt:
        print("interrupted: what was found is kept")
        code = 130
    finally:
        if found.outcomes:
            keep(found, args.out)
    return code or int(any(outcome.verdict == "failed" for outcome in found.outcomes))


def ask(name: str, args: argparse.Namespace, seconds: float) -> Outcome | None:
    """What a process of its own answers within its time, or had found out before it broke; None: there is no device."""
    command = [sys.executable, "-X", "faulthandler", "-m", "benchmarks.gpu", "--backend", args.backend]
    command += ["--quick"] if args.quick else []
    environment = {**os.environ, "CUPY_TF32": str(int(STAGES[name].tf32))}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file, errors = Path(folder, "outcome"), Path(folder, "errors")
        Outcome(name, STAGES[name].question).save(file)
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                [*command, "--minutes", str(seconds / 60), "--answer", name, str(file)],
                cwd=ROOT,
                env=environment,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                code: int | None = process.wait(seconds + GRACE)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end(process)
        said = errors.read_text(errors="replace")
        if code == 2:
            sys.stderr.write(said)
            return None
        outcome = Outcome.load(file)
    outcome.seconds = time.monotonic() - start
    if code != 0:
        why = f"took longer than {seconds + GRACE:.0f} s" if code is None else f"ended with exit code {code}"
        outcome.problems.append(f"the stage {why}")
        outcome.trace = outcome.trace or said[-3000:]
    return outcome


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and what it started, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answer(name: str, file: Path, args: argparse.Namespace) -> int:
    """In the process of a stage: look, and write down what is found as it is found."""
    outcome = Outcome(name, STAGES[name].question)
    try:
        for found in STAGES[name].answer(Device(args.backend, args.quick, 60 * args.minutes)):
            outcome.add(found)
            outcome.save(file)
        outcome.ended = True
    except BackendError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except MissingError as reason:
        outcome.skipped = f"skipped: {reason}"
    except Exception:
        outcome.trace = traceback.format_exc()
    outcome.save(file)
    return 0


def keep(found: Report, folder: Path) -> None:
    """Write the report as Markdown and JSON, named after the device and the day."""
    known = {table.title: table for outcome in found.outcomes for table in outcome.tables}
    if "facts" in known:
        found.facts = {str(row[0]): row[1] for row in known["facts"].rows}
    found.summary = list(summarize(found.outcomes))
    name = re.sub(r"[^a-z0-9]+", "-", str(found.facts.get("device", "unknown")).lower()).strip("-")
    path = folder / f"gpu-{name}-{datetime.date.today().isoformat()}"
    folder.mkdir(parents=True, exist_ok=True)
    report.write(path.with_suffix(".md"), found.markdown())
    report.write(path.with_suffix(".json"), found.json())
    report.echo(found.summary)
    print(f"kept in {path.with_suffix('.md')} and .json")


def summarize(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """The steps of all stages side by side."""
    steps = {o.stage: {row[0]: row for t in o.tables if t.title == "steps" for row in t.rows} for o in outcomes}
    columns = [name for name, rows in steps.items() if rows]
    if columns:
        table = Table("A training step, in milliseconds (batch)", ["network", *columns])
        for network in steps[columns[0]]:
            cells: list[Cell] = [network]
            for name in columns:
                row = steps[name].get(network)
                cells.append(f"{report.show(row[2])} ({row[1]})" if row else None)
            table.rows.append(cells)
        yield table


if __name__ == "__main__":
    sys.exit(main())
