"""What holds for every engine that goes backward: laws for whoever wrote one. They are about graphs, not about ops."""

from __future__ import annotations

import gc
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.testing.engine import Engine, Pull
from minidl.testing.graph import Array, Graph, name
from minidl.testing.path import carry, describe, paths, sum_over_paths
from minidl.testing.report import Fault, GradientError, Report

GRAPHS = (
    Graph((2, 2)).multiply(0, 1).add(0, 2),
    Graph((2, 2)).multiply(0, 1).multiply(2, 2),
    Graph((2, 2)).multiply(0, 1).multiply(2, 1).add(2, 3),
    Graph((2, 2)).multiply(0, 1).multiply(2, 1).add(3, 2),
    Graph((2, 2)).multiply(0, 1).multiply(2, 2).multiply(2, 0),  # c * c is a dead end
    Graph((2, 2)).multiply(0, 1).multiply(2, 1).multiply(3, 1).multiply(4, 2).add(5, 3),
    Graph((2, 2)).multiply(0, 1).multiply(2, 1).multiply(3, 1).multiply(2, 4).add(3, 5),
    Graph((3, 2)).slice(0, 0, 2).slice(0, 1, 3).multiply(2, 3).multiply(4, 1).add(5, 2),
    Graph((2, 1, 3)).concatenate(0, 1).multiply(3, 2).add(4, 3),
    Graph((2, 2, 4)).concatenate(0, 1).multiply(3, 2),
    Graph((2, 4)).concatenate(0, 0).multiply(2, 1),
    Graph.skips(3),
    Graph.diamonds(3),
    Graph.dense(3),
)
"""Where engines go wrong, simplest first. None broadcasts."""

DIAMONDS = (4, 8, 12)


def check_engine(
    engine: Engine,
    *,
    concatenate: Callable[[list[Any], int], Any] | None = None,
    slices: bool = True,
    depth: int = 10_000,
    seed: int = 0,
    raise_exception: bool = True,
) -> Report:
    """Check that an engine goes backward as it should: GradientError tells all that is wrong, or the report does.

    Its tensors must have + and *, and slices like x[:, 1:3], or else slices=False leaves those out; concatenation is
    tried if it is given, as `concatenate(tensors, axis)`. These are the laws, as `report.broken` names them:

    - "value": the values are NumPy's;
    - "paths": the gradient of every leaf is the sum over all paths;
    - "again": the pullback, called again on the same graph, gives the same;
    - "visits": work grows as the number of tensors does, not that of paths, which are 2ⁿ through n diamonds;
    - "depth": a chain of so many ops is not too deep.
    """
    missing = {"concatenate"} if concatenate is None else set()
    missing |= set() if slices else {"slice"}
    join = np.concatenate if concatenate is None else concatenate
    graphs = [graph for graph in GRAPHS if not missing & {step.op for step in graph.steps}]
    first: dict[str, Fault] = {}
    for fault in _faults(engine, graphs, join, depth, seed):
        first.setdefault(fault.law, fault)
    report = Report(f"graphs by {type(engine).__name__}", "", (), tuple(first.values()))
    if first and raise_exception:
        raise GradientError(report)
    return report


def _faults(
    engine: Engine, graphs: Sequence[Graph], join: Callable[..., Any], depth: int, seed: int
) -> Iterator[Fault]:
    for graph in graphs:
        try:
            yield from _check_graph(engine, graph, join, seed)
        except Exception as error:
            error.add_note(f"when check_engine went through this graph:\n{graph}")
            raise
    yield from _check_visits(engine)
    yield from _check_depth(engine, depth)


def _vjp(engine: Engine, graph: Graph, arrays: Sequence[Array], join: Callable[..., Any]) -> tuple[Any, Pull]:
    """The value of the graph's last tensor, and its pullback to the leaves."""
    leaves = [engine.tensor(x.copy()) for x in arrays]
    (y,), pull = engine.vjp(lambda *xs: graph.run(xs, concatenate=join)[-1], leaves)
    return y, pull


def _pull(engine: Engine, pull: Pull, g: Array, arrays: Sequence[Array]) -> list[Array]:
    """The gradients of the leaves as arrays of their own."""
    found = pull([engine.tensor(g.copy())])
    return [np.zeros_like(x) if d is None else np.array(engine.array(d)) for d, x in zip(found, arrays, strict=True)]


def _check_graph(engine: Engine, graph: Graph, join: Callable[..., Any], seed: int) -> Iterator[Fault]:
    arrays, output = graph.arrays(seed, rows=8), len(graph) - 1
    values = graph.run(arrays)
    g = np.random.default_rng(seed).uniform(0.5, 1.5, values[output].shape)
    y, pull = _vjp(engine, graph, arrays, join)
    once, again = (_pull(engine, pull, g, arrays) for _ in range(2))
    code = textwrap.indent(str(graph), "    ")
    if wrong := _difference(engine.array(y), values[output]):
        yield Fault("value", f"{name(output)} {wrong}\n\n{code}")
    for source, (d, other) in enumerate(zip(once, again, strict=True)):
        which = f"the gradient of {name(output)} by {name(source)}"
        wanted = sum_over_paths(graph, arrays, output, source, g)
        if wrong := _difference(d, wanted):
            counts = textwrap.indent(_counts(graph, values, source, g, d), "    ")
            yield Fault("paths", f"{which} is not the sum over all paths: it {wrong}\n\n{code}\n\n{counts}".rstrip())
        if wrong := _difference(other, d):
            yield Fault(
                "again",
                f"{which}, asked for again, {wrong}: what one pass leaves behind must not enter the next: "
                f"keep gradients that are on their way apart from the tensors\n\n{code}",
            )


def _difference(found: Array, wanted: Array) -> str:
    """Where they differ by more than rounding explains; nothing if they do not."""
    if found.shape != wanted.shape:
        return f"has shape {found.shape} and should have {wanted.shape}"
    tolerance = 1000 * np.finfo(found.dtype).eps * np.abs(wanted).max(initial=0)
    wrong = ~(np.abs(found - wanted) <= tolerance)  # a NaN is
    if not wrong.any():
        return ""
    at = tuple(map(int, np.argwhere(wrong)[0]))
    return f"is {found[at]:.9g} at {at} and should be {wanted[at]:.9g}"


def _counts(graph: Graph, values: Sequence[Array], source: int, g: Array, found: Array) -> str:
    """How often each path was counted, if whole numbers explain the gradient, and only one choice of them does."""
    ways = list(paths(graph, len(graph) - 1, source))
    if found.shape != values[source].shape or not ways:
        return ""
    terms = np.stack([carry(graph, values, path, g).ravel() for path in ways], axis=1)
    counts, _, rank, _ = np.linalg.lstsq(terms, found.ravel(), rcond=None)
    whole = counts.round()
    if rank < len(ways) or not np.allclose(terms @ whole, found.ravel()):
        return ""
    times = ["once" if n == 1 else f"{int(n)} times" for n in whole]
    return "\n".join(f"{describe(path, graph)} counts {n}" for path, n in zip(ways, times, strict=True))


def _check_visits(engine: Engine) -> Iterator[Fault]:
    counts = [_count_calls(engine, Graph.diamonds(n)) for n in DIAMONDS]
    if counts[2] - counts[1] > 1.5 * (counts[1] - counts[0]):
        yield Fault(
            "visits",
            f"backward visits shared nodes once per path: n = {', '.join(map(str, DIAMONDS))} diamonds took "
            f"{', '.join(map(str, counts))} calls: go through the graph latest first, and visit a node once, when "
            "gradients have arrived from all that was computed from it",
        )


def _count_calls(engine: Engine, graph: Graph) -> int:
    """How many functions are called, in Python and from it, while a gradient is pulled back."""
    arrays = graph.arrays(rows=1)
    y, pull = _vjp(engine, graph, arrays, np.concatenate)
    g = np.ones_like(engine.array(y))
    _pull(engine, pull, g, arrays)  # what happens only once has happened
    upstream, calls = [engine.tensor(g)], 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before, collecting = sys.getprofile(), gc.isenabled()
    gc.disable()  # a collection calls finalizers
    sys.setprofile(count)
    try:
        pull(upstream)
    finally:
        sys.setprofile(before)
        if collecting:
            gc.enable()
    return calls


def _check_depth(engine: Engine, depth: int) -> Iterator[Fault]:
    arrays = [np.ones((1, 1)), np.ones((1, 1))]
    try:
        _, pull = _vjp(engine, Graph.chain(depth), arrays, np.concatenate)
        found = [float(d.item()) for d in _pull(engine, pull, np.ones((1, 1)), arrays)]
    except RecursionError as error:
        yield Fault(
            "depth",
            f"a chain of {depth} ops is too deep: RecursionError: {error}: go through the graph in a loop, with a list "
            "of what is still to be visited",
        )
        return
    if found != [1, depth]:
        yield Fault(
            "depth", f"of a + b + ... + b, {depth} times b, the gradients by a and b are {found}, not [1, {depth}]"
        )
