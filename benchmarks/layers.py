"""How fast is each layer, beside its definition, PyTorch, and what the machine can do? `python -m benchmarks.layers`.

Layers in the shapes that networks have, forward alone and forward with backward, with minidl's kernels, as the plain
composition (`with minidl.definitions()`), and in PyTorch's faster layout, in turns. The floors: multiply-adds at the
speed of products of large matrices on all cores, and the bytes that must be read and written at least at the speed of a
large copy, both measured first. What fits into a cache can be faster than the second.

    python -m benchmarks.layers --only 1×1 --rounds 5
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import minidl
from benchmarks.cpu import machine
from benchmarks.cpu.arguments import add_files, add_threads, count, reading
from benchmarks.cpu.contest import LEAST, contest, until
from benchmarks.cpu.record import CONTENDERS, OURS, Record, milliseconds, noise
from benchmarks.cpu.shapes import LAYERS, TABLE, Descent, Layer
from benchmarks.gpu.report import Cell, Table
from minidl import nn

DEFINITIONS = "minidl, definitions"
SECONDS = 3.0
"""For the rounds of a row."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.layers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose names contain this: DenseNet, 3×3, norm")
    parser.add_argument("--rounds", type=count, help=f"this many, not {LEAST} or more until time is up")
    add_threads(parser)
    add_files(parser)
    args = parser.parse_args(argv)
    chosen = [layer for layer in TABLE if args.only in layer.name]
    if not chosen:
        parser.error(f"no row's name contains {args.only!r}: they are {', '.join(LAYERS)}")
    record = Record.load(args.read) if args.read else measure(chosen, args)
    with reading(args.read):
        record.show(table(record))
    if record.problems:
        raise SystemExit(1)


def measure(layers: Sequence[Layer], args: argparse.Namespace) -> Record:
    """The floors, and rows for all layers."""
    record = Record(machine.describe(), {"threads": args.threads})
    with contest(args.threads, (OURS, DEFINITIONS, *CONTENDERS[1:])) as contenders:
        operations, size = contenders.contenders[OURS].ask("floors")
        record.settings |= {"operations a second": operations, "bytes a second": size}
        for layer in layers:
            for task in ("forward", "both") if layer.has_backward else ("forward",):
                enough = until(args.rounds, SECONDS)
                row = contenders.row(layer.name, task, layer.shape[0], layer.shape[-1], enough, turn=0.1)
                record.rows.append(row)
                print(f"{layer.name}, {task}: {milliseconds(row.times[OURS])}", flush=True)
            if args.json:
                record.save(args.json)
    return record


def operations(layer: Layer, task: str) -> float:
    """A product and a sum for each multiply-add; a backward pass takes twice those of the forward pass."""
    module = layer.build(minidl)
    forward = 2 * minidl.summary(module, layer.shape).total_mult_adds if isinstance(module, nn.Module) else 0
    return float(forward * (3 if task == "both" else 1))


def touched(layer: Layer, task: str) -> float:
    """Bytes that are read and written at least.

    Forward: x, the weights and y. Backward: x and the weights again, and the gradients of all three.
    """
    module = layer.build(minidl)
    if isinstance(module, Descent):  # reads weights, gradients and velocities, writes weights and velocities
        return 4.0 * 5 * sum(p.numel() for p in module.weights)
    y = module(minidl.zeros(*layer.shape))
    weights = sum(p.numel() for p in module.parameters()) if isinstance(module, nn.Module) else 0
    forward = math.prod(layer.shape) + y.numel() + weights
    return 4.0 * (forward + 2 * math.prod(layer.shape) + y.numel() + 2 * weights if task == "both" else forward)


def table(record: Record) -> Table:
    """Times of ours, how many times those of the others are, and floors."""
    head = ["layer", "input", "pass", "ours, ms", "definition", "PyTorch's faster", "arithmetic", "bandwidth"]
    found = Table(
        "Layers",
        head,
        note="Right of ours: the times of the definition and of PyTorch over ours (more than 1: ours is faster), and "
        "the floors as parts of our time. " + noise(record.rows),
    )
    for row in record.rows:
        layer = LAYERS[row.network]
        ours = row.median(OURS)
        floors = [
            operations(layer, row.task) / float(record.settings["operations a second"] or 0),
            touched(layer, row.task) / float(record.settings["bytes a second"] or 0),
        ]
        cells: list[Cell] = [layer.name, "×".join(map(str, layer.shape)), row.task, milliseconds(row.times[OURS])]
        cells += [f"× {1 / row.ratio(against).median:.2f}" for against in (DEFINITIONS, row.faster_layout())]
        found.rows.append([*cells, *(f"{floor / ours:.0%}" if floor else "" for floor in floors)])
    return found


if __name__ == "__main__":
    main()
