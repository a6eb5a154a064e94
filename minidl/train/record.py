"""What the epochs of a run came to, and the files that tell: CSV and JSON lines, the same for the same results."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from minidl.checkpoint import atomic_write


@dataclass(frozen=True)
class Record:
    """One epoch. Records of equal results are equal, however long the epochs took.

    lr: the learning rate of the last step.
    Losses are means over images, accuracies shares from 0 to 1; those of training are taken while the network learns,
    on augmented images.
    seconds: of the whole epoch; images_per_second: of its training part.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float = field(compare=False)
    images_per_second: float = field(compare=False)


METRICS = [column.name for column in fields(Record) if column.compare]
TIMES = ["epoch", *(column.name for column in fields(Record) if not column.compare)]


def best_of(records: Sequence[Record]) -> Record:
    """The epoch of the highest test accuracy; the first of them if there are several."""
    return max(records, key=lambda record: record.test_accuracy)


def write_records(records: Sequence[Record], out: Path) -> None:
    """metrics.csv, metrics.jsonl and, apart because no two runs agree on them, the times: timing.csv."""
    _write_csv(out / "metrics.csv", METRICS, records)
    _write_csv(out / "timing.csv", TIMES, records)
    with atomic_write(out / "metrics.jsonl") as path, path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(_row(record, METRICS)) + "\n" for record in records)


def _write_csv(path: Path, columns: Sequence[str], records: Sequence[Record]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_row(record, columns) for record in records)


def _row(record: Record, columns: Sequence[str]) -> dict[str, Any]:
    return {column: getattr(record, column) for column in columns}
