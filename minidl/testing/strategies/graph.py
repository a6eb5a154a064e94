"""Random computation graphs."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from minidl.testing.graph import Graph

WIDEST = 24  # columns


@st.composite
def graphs(
    draw: DrawFn,
    *,
    max_leaves: int = 3,
    max_steps: int = 9,
    max_paths: int = 64,
    functions: Sequence[str] = (),
) -> Graph:
    """Graphs of sums and products, some of which broadcast, of concatenations and slices, and of named functions.

    Any tensor may be used again, also twice by one step, and there are the patterns of ResNet (x + x * y, two steps)
    and of DenseNet (all from x on, concatenated). From each tensor there are at most `max_paths` ways back, to whatever
    tensor, itself included.

    `graphs()` draws Graph((2, 1)).multiply(0, 1).add(0, 2).slice(3, 1, 2), and shrinks to Graph((1,)).add(0, 0).
    """
    graph = Graph(tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=max_leaves))))
    patterns = ["add", "multiply", "slice", "concatenate", *["function"] * bool(functions), "skip", "dense"]
    for k in range(max_steps):
        if k and draw(st.integers(0, 9)) == 0:
            break
        longer = _grow(draw, graph, draw(st.sampled_from(patterns)), functions)
        if _most_ways(longer) <= max_paths and longer.widths[-1] <= WIDEST:
            graph = longer
    return graph


def _grow(draw: DrawFn, graph: Graph, pattern: str, functions: Sequence[str]) -> Graph:
    """The graph and one pattern more. Tensors are counted from the last one back, so the simplest graph is a chain.

    Each pattern draws two tensors, needed or not, from all there are: to hypothesis less to draw is simpler.
    """
    widths, some = graph.widths, st.integers(0, len(graph) - 1)
    x, back = len(graph) - 1 - draw(some), draw(some)
    if pattern == "function":
        return graph.apply(functions[back % len(functions)], x)
    if pattern == "slice":
        start = draw(st.integers(0, widths[x] - 1))
        return graph.slice(x, start, draw(st.integers(start + 1, widths[x])))
    elementwise = pattern in ("add", "multiply", "skip")
    others = [k for k in range(len(graph)) if not elementwise or 1 in (widths[k], widths[x]) or widths[k] == widths[x]]
    y = others[-1 - back % len(others)]
    if pattern == "add":
        return graph.add(x, y)
    if elementwise:
        product = graph.multiply(x, y)
        return product if pattern == "multiply" else product.add(x, len(graph))
    return graph.concatenate(*range(x, len(graph))) if pattern == "dense" else graph.concatenate(x, y)


def _most_ways(graph: Graph) -> int:
    """From the tensor with most ways back, how many there are."""
    ways: list[int] = []
    for k in range(len(graph)):
        ways.append(1 + sum(ways[x] for x in graph.inputs(k)))
    return max(ways)
