"""What a summary says of each module, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minidl.table import plain_table, rich_table

HEADINGS = ("layer", "output", "parameters", "multiply-adds", "activations", "sees")


@dataclass(frozen=True)
class Row:
    """A module with all that is below it."""

    name: str
    """Its path, "" for the model."""
    kind: str
    depth: int
    input_shape: tuple[int, ...] | None
    """Of the first tensor it was given; None if it was not called, or not with tensors."""
    output_shape: tuple[int, ...] | None
    params: int
    mult_adds: int
    activation_bytes: int
    """Memory of what layers returned."""
    receptive_field: tuple[int, int] | None
    """The pixels of the input, down and across, that an element of the output depends on."""

    def cells(self) -> tuple[str, ...]:
        """As a row of the table."""
        label = f"{self.name.rpartition('.')[2]}: {self.kind}" if self.name else self.kind
        return (
            "  " * self.depth + label,
            _by("×", self.output_shape),
            f"{self.params:,}",
            f"{self.mult_adds:,}",
            _bytes(self.activation_bytes),
            _by("×", self.receptive_field),
        )


@dataclass(frozen=True, repr=False)
class Summary:
    """What a network costs: `print` shows it as a table, rich in colour; rows and totals are attributes."""

    input_shape: tuple[int, ...]
    rows: list[Row]
    """The model, then what is in it, as a tree is walked: a module before what it holds."""
    total_params: int
    trainable_params: int
    depth: int | None
    """How many levels below the model are shown; None: all."""

    @property
    def total_mult_adds(self) -> int:
        return self.rows[0].mult_adds

    @property
    def total_activation_bytes(self) -> int:
        return self.rows[0].activation_bytes

    def _shown(self) -> list[tuple[str, ...]]:
        return [row.cells() for row in self.rows if self.depth is None or row.depth <= self.depth]

    def totals(self) -> str:
        """One line: what all of it costs."""
        frozen = self.total_params - self.trainable_params
        parts = [
            f"input {_by('×', self.input_shape)}",
            f"{self.total_params:,} parameters" + (f" ({frozen:,} frozen)" if frozen else ""),
            f"{self.total_mult_adds:,} multiply-adds",
            f"{_bytes(self.total_activation_bytes)} of activations",
        ]
        return ", ".join(parts)

    def __repr__(self) -> str:
        return plain_table(HEADINGS, self._shown(), self.totals())

    def __rich__(self) -> Any:
        """What `rich.print` shows."""
        return rich_table(HEADINGS, self._shown(), self.totals())


def _by(sign: str, numbers: Sequence[int] | None) -> str:
    return "-" if numbers is None else sign.join(map(str, numbers))


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"
