"""Is minidl as fast as PyTorch on this CPU? Run `python -m benchmarks.compare`; it takes about a quarter of an hour.

For each network: the time of a step (gradients to zero, forward, cross entropy, backward, SGD with momentum 0.9) and of
inference on one and on 64 images, in minidl and in both of PyTorch's layouts, in float32 and with the same number of
threads. They take turns, so that what slows the machine down slows down all of them, and what counts is the median
over the rounds of the ratio of times. All start from the same weights, and their first outputs must agree. The table
says which targets are met. Nothing else should run meanwhile; how much did is measured, and told.

    python -m benchmarks.compare --networks DenseNet-BC-100 LeNet-5 --tasks step --rounds 5
    python -m benchmarks.compare --json benchmarks/results/cpu.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.cpu import machine, plot
from benchmarks.cpu.arguments import add_files, add_threads, count, reading
from benchmarks.cpu.contest import LEAST, TURN, contest, until
from benchmarks.cpu.networks import NETWORKS, Network
from benchmarks.cpu.record import CONTENDERS, Record, Row, milliseconds, noise
from benchmarks.gpu.report import Cell, Table

SECONDS = {"step": 30.0, "inference": 10.0}
"""For the rounds of a row."""
INFERENCE = (1, 64)
"""Batches."""


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, print the tables, and keep them if wanted."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [network.name for network in NETWORKS]
    parser.add_argument("--networks", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--tasks", nargs="+", choices=SECONDS, default=[*SECONDS], help="what to time (default: both)")
    parser.add_argument("--rounds", type=count, help=f"this many, not {LEAST} or more until time is up")
    add_threads(parser)
    parser.add_argument("--quick", action="store_true", help="batches of 2, one round: only to see that all works")
    add_files(parser, "the ratios of steps")
    args = parser.parse_args(argv)
    if args.plot and not args.read and "step" not in args.tasks:
        parser.error("--plot draws steps: add step to --tasks")
    record = Record.load(args.read) if args.read else compare(args)
    with reading(args.read):
        record.show(*tables(record))
        steps = [row for row in record.rows if row.task == "step"]
        if args.plot and steps:
            plot.ratios(steps, record.machine, args.plot)
    if record.problems:
        raise SystemExit(1)


def compare(args: argparse.Namespace) -> Record:
    """Measure, and keep what is known after each network."""
    record = Record(machine.describe(), {"threads": args.threads, "quick": args.quick})
    for network in NETWORKS:
        if network.name in args.networks:
            try:
                measure(network, args, record)
            except (RuntimeError, ArithmeticError) as error:
                record.problems.append(str(error))
                print(f"! {error}", flush=True)
            if args.json and record.rows:  # or a file from before is better than none
                record.save(args.json)
    return record


def measure(network: Network, args: argparse.Namespace, record: Record) -> None:
    """The rows of a network."""
    with contest(args.threads) as contenders:
        for task in args.tasks:
            for batch in (network.batch,) if task == "step" else INFERENCE:
                enough, turn = until(1 if args.quick else args.rounds, SECONDS[task]), 0.0 if args.quick else TURN
                size = 2 if args.quick else batch
                row = contenders.row(network.name, task, size, network.image, enough, turn)
                record.rows.append(row)
                (faster, _), (nchw, _) = row.verdicts()
                print(f"{network.name}, {task} [{row.batch}]: {faster} of the faster, {nchw} of NCHW", flush=True)


def tables(record: Record) -> list[Table]:
    """Steps and inference."""
    titles = {"step": "A step: forward, backward, SGD", "inference": "Inference: eval, no_grad"}
    found = {title: [row for row in record.rows if row.task == task] for task, title in titles.items()}
    return [table(title, rows) for title, rows in found.items() if rows]


def table(title: str, rows: Sequence[Row]) -> Table:
    """Times and ratios, beside the targets."""
    head = ["network [batch, image]", *(f"{name}, ms" for name in CONTENDERS)]
    for against in ("faster layout", "NCHW"):
        head += [f"ours / {against} (quartiles)", "target", "met"]
    found = Table(title, head, note=noise(rows))
    for row in rows:
        cells: list[Cell] = [row.title, *(milliseconds(row.times[name]) for name in CONTENDERS)]
        for ratio, target in row.verdicts():
            met = "yes" if ratio.median <= target else "no"
            cells += [str(ratio), f"≤ {target}", "?" if row.is_noisy else met]
        found.rows.append(cells)
    return found


if __name__ == "__main__":
    main()
