"""Tables: the first column is words, the others are numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.extra import import_extra

Cells = Sequence[Sequence[str]]


def plain_table(headings: Sequence[str], rows: Cells, caption: str) -> str:
    """As text, with the caption in the last line."""
    table = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]
    return "\n".join([*lines, caption])


def rich_table(headings: Sequence[str], rows: Cells, caption: str) -> Any:
    """As `rich.print` shows it."""
    table = import_extra("rich.table", "train").Table(caption=caption)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == headings[0] else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
