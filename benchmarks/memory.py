"""How much memory does a step take, beside PyTorch's? Run `python -m benchmarks.memory`; it takes three minutes.

The peak of the whole process over two steps: interpreter, libraries, weights, images, and what the step itself needs.
Each framework has a process of its own for each network, and they run one after the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.cpu import machine
from benchmarks.cpu.arguments import add_threads, kept
from benchmarks.cpu.contest import Contender
from benchmarks.cpu.networks import NETWORKS, Network
from benchmarks.cpu.record import CONTENDERS, OURS, THEIRS, Record, Row
from benchmarks.gpu.report import Table

TARGETS = {"DenseNet-BC-100": 1 / 3}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [network.name for network in NETWORKS]
    parser.add_argument("--networks", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    add_threads(parser)
    parser.add_argument("--json", type=kept, metavar="PATH", help="where to keep what was measured")
    args = parser.parse_args(argv)
    record = Record(machine.describe(), {"threads": args.threads})
    for network in NETWORKS:
        if network.name in args.networks:
            record.rows.append(measure(network, args.threads))
            if args.json:
                record.save(args.json)
    record.show(table(record.rows))


def measure(network: Network, threads: int) -> Row:
    """The peaks of all contenders."""
    row = Row(network.name, "step", network.batch, network.image, times={}, peaks={})
    for name in CONTENDERS:
        with Contender(name, threads) as contender:
            contender.ask("load", network.name, None)
            contender.ask("prepare", row.task, row.batch, row.image)
            row.peaks[name] = contender.ask("peak")
    return row


def table(rows: Sequence[Row]) -> Table:
    """Megabytes, and ours as a part of PyTorch's lower peak."""
    head = ["network [batch, image]", *(f"{name}, MB" for name in CONTENDERS), "ours / lower", "target", "met"]
    found = Table("Peak memory of the process in a step", head)
    for row in rows:
        ratio = row.peaks[OURS] / min(row.peaks[name] for name in THEIRS)
        target = TARGETS.get(row.network)
        verdict = ["", ""] if target is None else [f"≤ {target:.2f}", "yes" if ratio <= target else "no"]
        sizes = [f"{row.peaks[name] / 1e6:.0f}" for name in CONTENDERS]
        found.rows.append([row.title, *sizes, f"{ratio:.2f}", *verdict])
    return found


if __name__ == "__main__":
    main()
