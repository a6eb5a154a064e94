"""What a row of the table of samples is: an op, what to give it, and the same by NumPy or in loops."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl import Tensor, ops


@dataclass(frozen=True)
class Sample:
    """An op with settings, the shapes and the range of its inputs, and an oracle that takes and returns arrays."""

    op: str
    shapes: Sequence[tuple[int, ...]]
    oracle: Callable[..., Any]
    settings: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)
    call: Callable[..., Any] | None = None  # instead of the op itself
    low: float = -2.0
    high: float = 2.0
    linear: bool = False
    order: int = 2  # how many derivatives to check
    keeps_dtype: bool = True

    def arrays(self, dtype: Any = np.float64) -> list[np.ndarray]:
        """Inputs that differ in all elements, evenly spaced: no ties, and nothing close to a kink such as 0."""
        sizes = [math.prod(shape) for shape in self.shapes]
        total = sum(sizes)
        steps = np.random.default_rng([total, *sizes]).permutation(total) + math.sqrt(0.2)
        values = np.split(self.low + (self.high - self.low) * steps / max(total, 1), np.cumsum(sizes)[:-1])
        return [part.reshape(shape).astype(dtype) for part, shape in zip(values, self.shapes, strict=True)]

    def apply(self, *tensors: Tensor) -> list[Tensor]:
        """What the op makes of its inputs, as a list."""
        result = (self.call or getattr(ops, self.op))(*tensors, *self.settings, **self.named)
        return [result] if isinstance(result, Tensor) else list(result)

    def expected(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """What the oracle makes of them, as a list."""
        result = self.oracle(*arrays, *self.settings, **self.named)
        return list(result) if isinstance(result, (list, tuple)) else [result]

    def __str__(self) -> str:
        shapes = ",".join(str(shape) for shape in self.shapes)
        settings = [*map(str, self.settings), *(f"{name}={value}" for name, value in self.named.items())]
        return " ".join([self.op, shapes, *settings]).replace("\n", "")


FIELDS = {"call", "low", "high", "linear", "order", "keeps_dtype"}


def row(op: str, shapes: Sequence[tuple[int, ...]], oracle: Callable[..., Any], *settings: Any, **named: Any) -> Sample:
    """A sample; of what has a name, what is none of its fields is a setting of the op."""
    fields = {name: named.pop(name) for name in FIELDS & set(named)}
    return Sample(op, shapes, oracle, settings, named, **fields)


def linear(
    op: str, shapes: Sequence[tuple[int, ...]], oracle: Callable[..., Any], *settings: Any, **named: Any
) -> Sample:
    """A sample of a linear op: one that has an adjoint."""
    return row(op, shapes, oracle, *settings, linear=True, **named)
