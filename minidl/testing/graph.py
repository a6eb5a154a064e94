"""Computation graphs as data: what to compute from what. They can be run on any engine, and read as code."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Step:
    """An op ("add", "multiply", "concatenate", "slice" or a function's name), and the tensors it takes, by number."""

    op: str
    inputs: tuple[int, ...]
    columns: tuple[int, int] = (0, 0)  # of a slice: from, to

    def width(self, given: Sequence[int]) -> int:
        """How many columns it makes of so many."""
        start, stop = self.columns
        takes = 2 if self.op in ("add", "multiply") else max(len(given), 1) if self.op == "concatenate" else 1
        if len(given) != takes:
            raise ValueError(f"Graph: {self.op} takes {takes} tensor{'s' * (takes > 1)}, got {self.inputs}")
        if self.op in ("add", "multiply") and len({*given} - {1}) > 1:
            raise ValueError(f"Graph: {self.op} of tensors {self.inputs}, whose widths {given} do not broadcast")
        if self.op == "slice" and not 0 <= start < stop <= given[0]:
            raise ValueError(f"Graph: no columns {start}:{stop} in tensor {self.inputs[0]} of width {given[0]}")
        return sum(given) if self.op == "concatenate" else stop - start if self.op == "slice" else max(given)

    def code(self, xs: Sequence[str]) -> str:
        """What it does to tensors of these names."""
        if self.op in ("add", "multiply"):
            return (" + " if self.op == "add" else " * ").join(xs)
        if self.op == "slice":
            return f"{xs[0]}[:, {self.columns[0]}:{self.columns[1]}]"
        return f"{self.op}({', '.join(xs)})"

    def __str__(self) -> str:
        """The call that adds it to a graph."""
        if self.op not in ("add", "multiply", "concatenate", "slice"):
            return f"apply({self.op!r}, {self.inputs[0]})"
        arguments = (*self.inputs, *(self.columns if self.op == "slice" else ()))
        return f"{self.op}({', '.join(map(str, arguments))})"


@dataclass(frozen=True, repr=False)
class Graph:
    """A computation on matrices with as many rows as you like: the widths of its leaves, and its steps.

    Tensors are numbered, leaves first. A graph grows by one step at a time, `Graph((3, 3)).multiply(0, 1).add(2, 0)`,
    which is also its repr; printed, it is code:

        a, b: 3, 3 columns
        c = a * b
        d = c + a

    Sums and products broadcast a single column. ValueError if a step takes what is not there.
    """

    leaves: tuple[int, ...]
    steps: tuple[Step, ...] = ()
    widths: tuple[int, ...] = field(init=False, compare=False)  # of all tensors

    def __post_init__(self) -> None:
        if min(self.leaves, default=0) < 1:
            raise ValueError(f"Graph: expected one leaf or more, of one column or more, got widths {self.leaves}")
        widths = list(self.leaves)
        for step in self.steps:
            if not all(0 <= k < len(widths) for k in step.inputs):
                raise ValueError(f"Graph: {step.op} of tensors {step.inputs}, but there are {len(widths)} so far")
            widths.append(step.width([widths[k] for k in step.inputs]))
        object.__setattr__(self, "widths", tuple(widths))

    def __len__(self) -> int:
        return len(self.leaves) + len(self.steps)

    def add(self, x: int, y: int) -> Graph:
        """One more tensor, x + y."""
        return self._then(Step("add", (x, y)))

    def multiply(self, x: int, y: int) -> Graph:
        """One more tensor, x * y."""
        return self._then(Step("multiply", (x, y)))

    def concatenate(self, *xs: int) -> Graph:
        """One more tensor, the columns of all xs side by side."""
        return self._then(Step("concatenate", xs))

    def slice(self, x: int, start: int, stop: int) -> Graph:
        """One more tensor, the columns of x from start to before stop."""
        return self._then(Step("slice", (x,), (start, stop)))

    def apply(self, function: str, x: int) -> Graph:
        """One more tensor, a function of x, which whoever runs the graph brings along under that name."""
        return self._then(Step(function, (x,)))

    def _then(self, step: Step) -> Graph:
        return Graph(self.leaves, (*self.steps, step))

    @classmethod
    def chain(cls, n: int) -> Graph:
        """n additions in a row: x ← x + b."""
        return cls((1, 1), tuple(Step("add", (k + 1 if k else 0, 1)) for k in range(n)))

    @classmethod
    def skips(cls, n: int) -> Graph:
        """n residual blocks (He et al., arXiv:1512.03385): x ← x + f(x), where f multiplies by a leaf."""
        graph = cls((2,) * (n + 1))
        for k in range(n):
            x = len(graph) - 1 if k else 0
            graph = graph.multiply(x, k + 1).add(x, len(graph))
        return graph

    @classmethod
    def dense(cls, n: int) -> Graph:
        """n layers of a dense block (Huang et al., arXiv:1608.06993): each takes all before it, concatenated.

        A layer multiplies by a leaf, so the width doubles with each.
        """
        graph = cls((2, *(2 << k for k in range(n))))
        features = 0
        for k in range(n):
            new = len(graph)
            graph = graph.multiply(features, k + 1).concatenate(features, new)
            features = new + 1
        return graph

    @classmethod
    def diamonds(cls, n: int) -> Graph:
        """n times apart and together: x ← x * b + x * c. From the end to the start there are 2ⁿ paths."""
        graph = cls((1, 1, 1))
        for k in range(n):
            x, left = (len(graph) - 1 if k else 0), len(graph)
            graph = graph.multiply(x, 1).multiply(x, 2).add(left, left + 1)
        return graph

    def run(
        self,
        leaves: Sequence[Any],
        *,
        concatenate: Callable[[list[Any], int], Any] = np.concatenate,
        functions: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> list[Any]:
        """All tensors, the leaves first, on any engine whose tensors have +, * and slices like x[:, 1:3].

        `concatenate(tensors, axis)` and the functions are the engine's.
        """
        tensors = list(leaves)
        for step in self.steps:
            xs = [tensors[k] for k in step.inputs]
            if step.op == "add":
                tensors.append(xs[0] + xs[1])
            elif step.op == "multiply":
                tensors.append(xs[0] * xs[1])
            elif step.op == "concatenate":
                tensors.append(concatenate(xs, 1))
            elif step.op == "slice":
                tensors.append(xs[0][:, slice(*step.columns)])
            else:
                tensors.append((functions or {})[step.op](*xs))
        return tensors

    def arrays(self, seed: int = 0, rows: int = 2) -> list[Array]:
        """Random values between 0.5 and 1.5 for the leaves."""
        rng = np.random.default_rng(seed)
        return [rng.uniform(0.5, 1.5, (rows, width)) for width in self.leaves]

    def inputs(self, k: int) -> tuple[int, ...]:
        """What tensor k is computed from; a leaf from nothing."""
        return () if k < len(self.leaves) else self.steps[k - len(self.leaves)].inputs

    def __repr__(self) -> str:
        return ".".join([f"Graph({self.leaves})", *map(str, self.steps)])

    def __str__(self) -> str:
        leaves = range(len(self.leaves))
        lines = [f"{', '.join(map(name, leaves))}: {', '.join(map(str, self.leaves))} columns"]
        for k, step in enumerate(self.steps, len(leaves)):
            lines.append(f"{name(k)} = {step.code([name(x) for x in step.inputs])}")
        return "\n".join(lines)


def name(k: int) -> str:
    """What tensor k is called in code: a, b, ..., z, a1, b1, ..."""
    letter = string.ascii_lowercase[k % 26]
    return f"{letter}{k // 26 or ''}"
