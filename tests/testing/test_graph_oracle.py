"""The sum over all paths is the derivative, and graphs say what they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.testing.graph import Graph, Step, name
from minidl.testing.path import Function, carry, count_paths, describe, paths, sum_over_paths
from minidl.testing.strategies import graphs

FUNCTIONS = {
    "square": Function(lambda x: x * x, lambda g, x: 2 * g * x),
    "half": Function(lambda x: x / 2, lambda g, x: g / 2),
}
VALUES = {name: function.value for name, function in FUNCTIONS.items()}


def by_complex_step(graph, arrays, output, source, g):
    """The derivative of ⟨output, g⟩ by each element of any tensor: what becomes of a tiny imaginary part."""

    def probe(index):
        tensors = []
        for k in range(len(graph)):
            if k < len(arrays):
                tensors.append(arrays[k].astype(complex))
            else:
                one = Graph(tuple(x.shape[1] for x in tensors), (graph.steps[k - len(arrays)],))
                tensors.append(one.run(tensors, functions=VALUES)[-1])
            if k == source:
                tensors[k] = tensors[k].copy()
                tensors[k][index] += 1e-30j
        return np.sum(tensors[output].imag * g) / 1e-30

    shape = (2, graph.widths[source])
    return np.array([probe(index) for index in np.ndindex(shape)]).reshape(shape)


@given(graphs(functions=sorted(FUNCTIONS), max_paths=30), st.data(), st.integers(0, 99))
def test_the_sum_over_all_paths_is_the_derivative(graph, data, seed):
    output, source = (data.draw(st.integers(0, len(graph) - 1)) for _ in range(2))
    g = np.random.default_rng(seed).standard_normal((2, graph.widths[output]))
    arrays = graph.arrays(seed)
    found = sum_over_paths(graph, arrays, output, source, g, FUNCTIONS)
    np.testing.assert_allclose(found, by_complex_step(graph, arrays, output, source, g), rtol=1e-12, atol=1e-12)


@given(graphs(), st.data())
def test_paths_are_counted_without_being_walked(graph, data):
    output, source = (data.draw(st.integers(0, len(graph) - 1)) for _ in range(2))
    assert count_paths(graph, output, source) == len(list(paths(graph, output, source)))


@pytest.mark.parametrize(
    ("graph", "count"),
    [
        (Graph.chain(9), 1),
        (Graph.skips(5), 2**5),
        (Graph.dense(5), 2**5),
        (Graph.diamonds(5), 2**5),
        (Graph.diamonds(100), 2**100),
        (Graph((3,)).multiply(0, 0), 2),
    ],
)
def test_patterns_have_as_many_paths_as_they_should(graph, count):
    assert count_paths(graph, len(graph) - 1, 0) == count


def test_patterns_compute_what_they_are_called():
    x, y, z = (np.array([[value]]) for value in (2.0, 3.0, 5.0))
    assert Graph.chain(4).run([x, y])[-1] == 2 + 4 * 3
    assert Graph.diamonds(2).run([x, y, z])[-1] == 2 * (3 + 5) ** 2
    assert Graph.skips(2).run([x, y, z])[-1] == 2 * (1 + 3) * (1 + 5)
    wide = np.array([[5.0, 7.0]])
    np.testing.assert_array_equal(Graph.dense(2).run([x, y, wide])[-1], [[2, 6, 10, 42]])


def test_a_path_carries_the_product_of_the_derivatives_on_it():
    graph = Graph((1, 1)).multiply(0, 1).add(2, 0)  # c = a * b; d = c + a
    values = graph.run([np.array([[2.0]]), np.array([[3.0]])])
    found = {
        describe(path, graph): carry(graph, values, path, np.array([[10.0]])).item() for path in paths(graph, 3, 0)
    }
    assert found == {"d ← c ← a": 30, "d ← a": 10}


def test_a_graph_prints_as_code_and_its_repr_makes_it_again():
    graph = Graph((3, 1)).multiply(0, 1).concatenate(2, 0, 2).slice(3, 1, 4).apply("relu", 4).add(5, 5)
    assert str(graph) == (
        "a, b: 3, 1 columns\n"
        "c = a * b\n"
        "d = concatenate(c, a, c)\n"
        "e = d[:, 1:4]\n"
        "f = relu(e)\n"
        "g = f + f"
    )  # fmt: skip
    text = "Graph((3, 1)).multiply(0, 1).concatenate(2, 0, 2).slice(3, 1, 4).apply('relu', 4).add(5, 5)"
    assert repr(graph) == text
    assert eval(text) == graph
    assert hash(eval(text)) == hash(graph)
    assert [name(k) for k in (0, 25, 26, 53)] == ["a", "z", "a1", "b2"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Graph(()), "expected one leaf or more"),
        (lambda: Graph((2, 0)), r"of one column or more, got widths \(2, 0\)"),
        (lambda: Graph((2,)).add(0, 1), r"add of tensors \(0, 1\), but there are 1 so far"),
        (lambda: Graph((2,)).add(0, -1), r"add of tensors \(0, -1\), but"),
        (lambda: Graph((2, 3)).multiply(0, 1), r"whose widths \[2, 3\] do not broadcast"),
        (lambda: Graph((2,)).slice(0, 1, 3), "no columns 1:3 in tensor 0 of width 2"),
        (lambda: Graph((2,)).slice(0, 1, 1), "no columns 1:1"),
        (lambda: Graph((2,)).concatenate(), r"concatenate takes 1 tensor, got \(\)"),
        (lambda: Graph((2,), (Step("add", (0,)),)), r"add takes 2 tensors, got \(0,\)"),
    ],
)
def test_a_step_that_takes_what_is_not_there_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_function_that_nobody_brought_along_is_named():
    with pytest.raises(KeyError, match="relu"):
        Graph((1,)).apply("relu", 0).run([np.ones((1, 1))])
