"""The chain rule as it is taught: a gradient is the sum over all paths. Slow, and simple enough to be right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from minidl.testing.graph import Array, Graph, Step, name

Path = tuple[tuple[int, int], ...]
"""A way back through a graph: edges (k, i), each from tensor k to the i-th tensor that it was computed from."""


class Function(NamedTuple):
    """An elementwise function for `Graph.apply`: x ↦ its value, and (g, x) ↦ the pullback of g at x."""

    value: Callable[[Array], Array]
    pullback: Callable[[Array, Array], Array]


def sum_over_paths(
    graph: Graph,
    arrays: Sequence[Array],
    output: int,
    source: int,
    g: Array,
    functions: Mapping[str, Function] | None = None,
) -> Array:
    """The gradient of ⟨output, g⟩ by the source, both numbers of tensors, when the leaves are these arrays.

    Go every way from the output back to the source, and take g along, from edge to edge through the derivative of each
    step by that one input; add up what arrives. There may be 2ⁿ ways: no engine should do it so, but an oracle may.
    """
    functions = functions or {}
    values = graph.run(arrays, functions={op: function.value for op, function in functions.items()})
    total = np.zeros_like(values[source])
    for path in paths(graph, output, source):
        total += carry(graph, values, path, g, functions)
    return total


def paths(graph: Graph, output: int, source: int) -> Iterator[Path]:
    """Every way from the output back to the source; of x * x there are two to x."""
    if output == source:
        yield ()
    for i, x in enumerate(graph.inputs(output)):
        for rest in paths(graph, x, source):
            yield ((output, i), *rest)


def carry(
    graph: Graph, values: Sequence[Array], path: Path, g: Array, functions: Mapping[str, Function] | None = None
) -> Array:
    """What arrives at the end of a path when g sets out; `values` are all the graph's tensors."""
    for k, i in path:
        step = graph.steps[k - len(graph.leaves)]
        g = _derivative(step, i, [values[x] for x in step.inputs], functions or {})(g)
    return g


def _derivative(step: Step, i: int, xs: Sequence[Array], functions: Mapping[str, Function]) -> Callable[[Array], Array]:
    """From the gradient of a step's value to that of its i-th input, as if the other inputs were constants."""
    x, width = xs[i], xs[i].shape[1]
    if step.op == "add":
        return lambda g: _unbroadcast(g, width)
    if step.op == "multiply":
        return lambda g: _unbroadcast(g * xs[1 - i], width)
    if step.op == "concatenate":
        start = sum(before.shape[1] for before in xs[:i])
        return lambda g: g[:, start : start + width]
    if step.op == "slice":
        start, stop = step.columns
        return lambda g: np.pad(g, ((0, 0), (start, width - stop)))
    return lambda g: functions[step.op].pullback(g, x)


def _unbroadcast(g: Array, width: int) -> Array:
    """A single column went into every column: its gradient is the sum of theirs."""
    return g.sum(axis=1, keepdims=True) if width == 1 else g


def count_paths(graph: Graph, output: int, source: int) -> int:
    """How many ways there are from the output back to the source, counted without walking them."""
    counts = [int(k == source) for k in range(len(graph))]
    for k in range(source + 1, output + 1):
        counts[k] = sum(counts[x] for x in graph.inputs(k))
    return counts[output]


def describe(path: Path, graph: Graph) -> str:
    """A path in the names of the graph's code: d ← c ← a."""
    visited = [path[0][0], *(graph.inputs(k)[i] for k, i in path)] if path else []
    return " ← ".join(map(name, visited))
