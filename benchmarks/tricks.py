"""What does each trick of the kernels gain? Run `python -m benchmarks.tricks`; it takes three minutes.

Each trick is measured on a shape from a network where it matters, with it and without it in turns, and what counts is
the median over the rounds of the ratio of times. Both sides use all threads, and must compute the same. `--write` puts
the table into minidl/kernels/README.md.

    python -m benchmarks.tricks --only pieces columns
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cpu import block_tricks, layer_tricks, machine, process_tricks, tile_tricks  # noqa: F401  (they enter)
from benchmarks.cpu.trick import ROUNDS, TRICKS, Gain, Trick, measure
from benchmarks.gpu.report import write
from minidl.kernels.numpy.parallel import get_num_threads

PAGE = Path(__file__).parents[1] / "minidl" / "kernels" / "README.md"
BEGIN, END = "<!-- python -m benchmarks.tricks -->", "<!-- end of the table -->"
HEAD = ("trick", "why", "instead of", "measured on", "ms", "times as fast")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and put it into the page if wanted."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.tricks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="tricks whose names contain one of these")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name} beside the kernels")
    args = parser.parse_args(argv)
    if args.only and args.write:
        parser.error("--write is for the whole table: leave out --only")
    chosen = [trick for trick in TRICKS if any(text.lower() in trick.name.lower() for text in args.only or [""])]
    if not chosen:
        parser.error(f"no trick's name contains {' or '.join(args.only)}: they are {', '.join(t.name for t in TRICKS)}")
    gains = []
    for trick in chosen:
        gains.append(measure(trick))
        print(f"{trick.name}: {gains[-1]}", flush=True)
    text = table(gains)
    print(f"\n{text}\n")
    if args.write:
        write(PAGE, replaced(PAGE.read_text(encoding="utf-8"), text))


def table(gains: Sequence[Gain]) -> str:
    """In Markdown; below it what gains nothing here, and where that is."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(row(gain) for gain in gains if not gain.idle)]
    idle = [f"{link(gain.trick)} has no row: {gain.idle}." for gain in gains if gain.idle]
    return "\n\n".join(["\n".join(f"| {' | '.join(line)} |" for line in lines), *idle, circumstances()])


def row(gain: Gain) -> tuple[str, ...]:
    """The cells of a trick."""
    trick, (low, median, high) = gain.trick, gain.ratio
    gained = f"**{median:.2f}** ({low:.2f} to {high:.2f})"
    return link(trick), trick.why, trick.instead, trick.where, gain.times, gained


def link(trick: Trick) -> str:
    """The name, as a link to the file."""
    return f"[{trick.name}]({trick.file})"


def circumstances() -> str:
    """Where it was measured, and how."""
    where = machine.describe()
    names = ("CPU", "vectors", "cores", "NumPy", "BLAS", "day")
    facts = ", ".join(f"{name} {where[name]}" for name in names if where.get(name))
    return (
        f"In turns, {ROUNDS[0]} to {ROUNDS[1]} rounds: medians of the times; of the ratio, taken in each round and "
        "surer than the times where others use the machine too, the median and the quartiles. "
        f"{get_num_threads()} threads. {facts}."
    )


def replaced(page: str, table: str) -> str:
    """The page with this table."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no place for the table: it needs {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{table}\n{END}", page)


if __name__ == "__main__":
    main()
