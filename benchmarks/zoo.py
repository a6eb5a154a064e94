"""How far is each model from its reference? Run `python -m benchmarks.zoo`; `python -m benchmarks.zoo resnet` for some.

Each model steps once forward and backward in float64, in training and in evaluation, beside a twin in PyTorch with the
same weights. The table shows the largest relative distance of any output, and of any parameter's gradient or running
statistic. What is measured is put into the table in models/README.md.
"""

import argparse
import gc
import re
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
    distances = [worst_in_float64(entry, training, channels=entry.channels) for training in (True, False)]
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


def known() -> dict[str, tuple[str, ...]]:
    """The rows that the page has, by the model."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    rows = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]
    return {row[0]: row for row in rows}


def write(rows: dict[str, tuple[str, ...]]) -> None:
    """Put the rows into the page, in the order of the table of models."""
    order = [f"`{entry.title}`" for entry in ENTRIES]
    lines = [HEADER, tuple("---" for _ in HEADER), *(rows[title] for title in order if title in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(
        re.sub(r"\| model \|.*?\n(?=\n|\Z)", lambda _: f"{table}\n", text, flags=re.DOTALL), encoding="utf-8"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only models whose names contain one of these")
    parser.add_argument("--missing", action="store_true", help="only models that the table does not have yet")
    arguments, rows = parser.parse_args(), known()
    chosen = [entry for entry in ENTRIES if not arguments.names or any(name in entry.name for name in arguments.names)]
    chosen = [entry for entry in chosen if not arguments.missing or f"`{entry.title}`" not in rows]
    for entry in track(chosen, "models"):
        found = row(entry)
        print(" | ".join(found), flush=True)
        rows[found[0]] = found
        write(rows)
        gc.collect()
