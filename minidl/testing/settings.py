"""How closely to look: what `gradcheck` can be told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl.testing.difference import COMPLEX_STEP, STEP

EACH = 128  # up to so many elements are looked at one by one

TOLERANCES = {8: (1e-6, 1e-10), 4: (1e-4, 1e-5), 2: (1e-2, 1e-3)}
"""rtol and atol by the bytes of a number."""


@dataclass(frozen=True)
class Settings:
    """The options of `gradcheck`, checked; None stands for the default."""

    mode: str
    directions: int
    eps: float | None
    rtol: float | None
    atol: float | None
    kinks: str

    def __post_init__(self) -> None:
        for option, known in {
            "mode": ("auto", "full", "project", "complex"),
            "kinks": ("detect", "resample", "error"),
        }.items():
            if (got := getattr(self, option)) not in known:
                raise ValueError(f"gradcheck: {option} must be one of {', '.join(map(repr, known))}, got {got!r}")
        if self.directions < 2:
            raise ValueError(
                f"gradcheck: a single direction may miss an error: directions must be at least 2, got {self.directions}"
            )
        if self.eps is not None and not self.eps > 0:
            raise ValueError(f"gradcheck: eps must be positive, got {self.eps}")
        for option in ("rtol", "atol"):
            if (number := getattr(self, option)) is not None and not number >= 0:
                raise ValueError(f"gradcheck: {option} must not be negative, got {number}")

    @property
    def step(self) -> float:
        """Relative to the size of the input."""
        return self.eps or (COMPLEX_STEP if self.mode == "complex" else STEP)

    def for_gradients(self) -> Settings:
        """What to do with a function's gradient: engines differentiate real numbers, and not complex ones."""
        return replace(self, mode="auto", eps=None) if self.mode == "complex" else self

    def one_by_one(self, size: int) -> bool:
        """Whether so many elements are looked at one by one, or all together in random directions."""
        return self.mode == "full" or size <= (self.directions if self.mode == "project" else EACH)

    def tolerance(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """(rtol, atol) for a gradient of this type; atol relative to the largest of its elements."""
        rtol, atol = TOLERANCES.get(dtype.itemsize, TOLERANCES[8])
        return rtol if self.rtol is None else self.rtol, atol if self.atol is None else self.atol
