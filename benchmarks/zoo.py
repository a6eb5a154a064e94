"""How far is each model from its reference? Run `python -m benchmarks.zoo`; `python -m benchmarks.zoo resnet` for some.

Each model steps once forward and backward in float64, in training and in evaluation, beside a twin in PyTorch with the
same weights. The table shows the largest relative distance of any output, and of any parameter's gradient or running
statistic. Without arguments, the table in models/README.md is written anew.
"""

import argparse
import gc
import re
import sys
from pathlib import Path

from rich.progress import track

import minidl
from tests.models.agreement import count, worst_in_float64
from tests.models.entry import Entry
from tests.models.table import ENTRIES

PAGE = Path(__file__).parents[1] / "models" / "README.md"
HEADER = ("model", "paper", "year", "parameters", "published", "multiply-adds", "outputs", "gradients and statistics")


def row(entry: Entry) -> tuple[str, ...]:
    """The cells of one model."""
    distances = [worst_in_float64(entry, training) for training in (True, False)]
    outputs = max(groups[0][1] for groups in distances)
    others = max(distance for groups in distances for _, distance in groups[1:])
    model = entry.build()
    parameters = count(model)
    work = minidl.summary(model, entry.input_shape).total_mult_adds
    return (
        f"`{entry.title}`",
        f"[{entry.paper}](https://arxiv.org/abs/{entry.arxiv})" if entry.arxiv[0].isdigit() else entry.paper,
        str(entry.year),
        f"{parameters:,}",
        entry.published,
        f"{work / 1e9:.3g} G at {'×'.join(map(str, entry.input_shape[2:]))}",
        f"{outputs:.1e}",
        f"{others:.1e}",
    )


def table(rows: list[tuple[str, ...]]) -> str:
    """As Markdown."""
    lines = [HEADER, tuple("---" for _ in HEADER), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only models whose names contain one of these")
    names = parser.parse_args().names
    chosen = [entry for entry in ENTRIES if not names or any(name in entry.name for name in names)]
    rows = []
    for entry in track(chosen, "models"):
        rows.append(row(entry))
        gc.collect()
        if names:
            print(" | ".join(rows[-1]))
    if not names:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(re.sub(r"\| model \|.*?\n\n", lambda _: f"{table(rows)}\n\n", text, flags=re.DOTALL), "utf-8")
        sys.stdout.write(f"{PAGE} is written anew\n")
