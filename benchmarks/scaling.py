"""Does time grow faster than the work? Run `python -m benchmarks.scaling`; it takes three minutes.

Steps of minidl over the batch, over the depth and over the size of the images. The work is the number of
multiply-adds; e is the exponent of the fit time ~ work^e: 1 where each multiply-add costs the same, less where small
problems do not fill the machine, and it shall not be more.

    python -m benchmarks.scaling --json benchmarks/results/cpu-scaling.json --plot benchmarks/results/cpu-scaling.png
"""

from __future__ import annotations

import argparse
import functools
import math
import statistics
from collections.abc import Sequence

import minidl
from benchmarks.cpu import machine, plot
from benchmarks.cpu.arguments import add_files, add_threads, count, reading
from benchmarks.cpu.contest import contest, until
from benchmarks.cpu.networks import DEPTHS, named
from benchmarks.cpu.record import OURS, Record, Row, noise
from benchmarks.gpu.report import Table, show

Point = tuple[str, int, int]
"""A network, the batch, the size of the images."""
SERIES: dict[str, list[Point]] = {
    "ResNet-20, batch": [("ResNet-20", batch, 32) for batch in (8, 16, 32, 64, 128)],
    "DenseNet-BC-100, batch": [("DenseNet-BC-100", batch, 32) for batch in (4, 8, 16, 32, 64)],
    "ResNet, depth": [(f"ResNet-{depth}", 64, 32) for depth in DEPTHS["ResNet"]],
    "DenseNet-BC, depth": [(f"DenseNet-BC-{depth}", 32, 32) for depth in DEPTHS["DenseNet-BC"]],
    "ResNet-20, image": [("ResNet-20", 32, image) for image in (16, 32, 64, 96)],
    "DenseNet-BC-100, image": [("DenseNet-BC-100", 16, image) for image in (16, 32, 48, 64)],
}
MOST = 1.05
"""The target for e, with some room for noise."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and draw it if wanted."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_threads(parser)
    parser.add_argument("--rounds", type=count, default=5, help="turns for each point (default: %(default)s)")
    add_files(parser, "it")
    args = parser.parse_args(argv)
    record = Record.load(args.read) if args.read else measure(args.threads, args.rounds)
    if args.json:
        record.save(args.json)
    with reading(args.read):
        record.show(table(record.rows))
        if args.plot:
            plot.scaling({name: curve(record.rows, name) for name in SERIES}, args.plot)


def measure(threads: int, rounds: int) -> Record:
    """Rows for all points, each once."""
    record = Record(machine.describe(), {"threads": threads})
    with contest(threads, (OURS,)) as contenders:
        for name, batch, image in dict.fromkeys(point for points in SERIES.values() for point in points):
            record.rows.append(contenders.row(name, "step", batch, image, until(rounds, 0), turn=0.2))
            print(f"{record.rows[-1].title}: {1000 * record.rows[-1].median(OURS):.0f} ms", flush=True)
    return record


@functools.cache
def work(name: str, batch: int, image: int) -> int:
    """The multiply-adds of a forward pass; backward takes about twice as many."""
    network = named(name)
    return minidl.summary(network.ours(), (1, network.channels, image, image)).total_mult_adds * batch


def curve(rows: Sequence[Row], series: str) -> tuple[list[int], list[float]]:
    """Work and seconds at the points of a series."""
    times = {(row.network, row.batch, row.image): row.median(OURS) for row in rows}
    return [work(*point) for point in SERIES[series]], [times[point] for point in SERIES[series]]


def exponent(works: Sequence[float], seconds: Sequence[float]) -> float:
    """e in seconds ~ work^e, by least squares between the logarithms."""
    return statistics.linear_regression([math.log(w) for w in works], [math.log(s) for s in seconds]).slope


def table(rows: Sequence[Row]) -> Table:
    """Each series with its exponent, and what a multiply-add costs at both ends."""
    head = ["series", "multiply-adds, G", "ms a step", "ps a multiply-add, first and last", "e", "target", "met"]
    found = Table("Time beside work", head, note=noise(rows))
    noisy = {(row.network, row.batch, row.image) for row in rows if row.is_noisy}
    for series, points in SERIES.items():
        works, seconds = curve(rows, series)
        e, costs = exponent(works, seconds), [1e12 * s / w for s, w in zip(seconds, works, strict=True)]
        found.rows.append(
            [
                series,
                ", ".join(f"{w / 1e9:.3g}" for w in works),
                ", ".join(show(1000 * s) for s in seconds),
                f"{costs[0]:.3g}, {costs[-1]:.3g}",
                f"{e:.2f}",
                f"≤ {MOST}",
                "?" if noisy.intersection(points) else "yes" if e <= MOST else "no",
            ]
        )
    return found


if __name__ == "__main__":
    main()
