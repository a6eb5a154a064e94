"""Random graphs: going backward gives the sum over all paths, and harms nothing on its way."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minidl import Tensor, backward, grad, ops
from minidl.testing.graph import Graph
from minidl.testing.path import Function, sum_over_paths
from minidl.testing.strategies import graphs


@ops.primitive(hands_out="new")
def triple(x, /):
    """An op whose gradients are the engine's own to add to."""
    return 3 * x.data, lambda g: 3 * g


FUNCTIONS = {
    "identity": ops.identity,
    "triple": triple,
    "reserve": lambda x: ops.reserve(x, x.shape[1]),  # no room
    "reserve_2": lambda x: ops.reserve(x, x.shape[1] + 2),
    "reserve_4": lambda x: ops.reserve(x, x.shape[1] + 4),
}
THE_SAME = Function(lambda x: x, lambda g, x: g)
ORACLE = dict.fromkeys(FUNCTIONS, THE_SAME) | {"triple": Function(lambda x: 3 * x, lambda g, x: 3 * g)}

DENSE_BLOCK = Graph((2,)).apply("reserve_4", 0)
for k in (1, 3, 5):  # each layer's input is longer by a slice of itself
    DENSE_BLOCK = DENSE_BLOCK.slice(k, 1, DENSE_BLOCK.widths[k]).concatenate(k, k + 1)


def close(got, wanted):
    """None stands for zeros."""
    np.testing.assert_allclose(0 if got is None else got.numpy(), wanted, rtol=1e-10, atol=1e-12)


def check_that_nobody_shares(arrays):
    """What is written into one array shows up in no other."""
    wanted = [array + 1 for array in arrays]
    for array in arrays:
        array += 1
    assert all((array == other).all() for array, other in zip(arrays, wanted, strict=True))


@settings(max_examples=4 * settings.default.max_examples)
@given(graph=graphs(functions=sorted(FUNCTIONS)), seed=st.integers(0, 99))
@example(graph=DENSE_BLOCK, seed=0)
@example(graph=Graph.diamonds(4), seed=0)
@example(graph=Graph.dense(3), seed=0)
@example(graph=Graph.skips(4), seed=0)
def test_backward_gives_the_sum_over_all_paths_and_harms_no_gradient_on_its_way(backend, graph, seed):
    arrays = graph.arrays(seed)
    leaves = [Tensor(x).to(backend).requires_grad_() for x in arrays]
    tensors = graph.run(leaves, concatenate=ops.concatenate, functions=FUNCTIONS)
    for x in tensors[len(leaves) :: 2]:
        x.retain_grad()
    values = [x.numpy().copy() for x in tensors]
    outputs = sorted({len(graph) - 1, seed % len(graph)})
    upstream = [np.random.default_rng(seed + k).uniform(0.5, 1.5, values[k].shape) for k in outputs]
    gs = [Tensor(g.copy()).to(backend) for g in upstream]

    retained = grad([tensors[k] for k in outputs], tensors, gs, retain_graph=True, allow_unused=True)
    for passes in (1, 2):  # the second through the retained graph
        backward([tensors[k] for k in outputs], gs, retain_graph=passes == 1)
        for k, (x, returned) in enumerate(zip(tensors, retained, strict=True)):
            wanted = sum(
                sum_over_paths(graph, arrays, output, k, g, ORACLE) for output, g in zip(outputs, upstream, strict=True)
            )
            close(returned, wanted)
            if x.is_leaf or (k - len(leaves)) % 2 == 0:
                close(x.grad, passes * wanted)
    for x, value in zip(tensors, values, strict=True):
        np.testing.assert_array_equal(x.numpy(), value)
    for g, array in zip(gs, upstream, strict=True):
        np.testing.assert_array_equal(g.numpy(), array)
    check_that_nobody_shares([g.data for g in [*retained, *(x.grad for x in tensors)] if g is not None])
