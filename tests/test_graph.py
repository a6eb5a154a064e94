"""Random graphs: going backward gives what a naive engine finds that pushes dense Jacobians forward from every node."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from minidl import Tensor, backward, grad, ops

ROWS = 2  # every tensor has so many; the columns differ


@ops.primitive(hands_out="new")
def triple(x, /):
    """An op whose gradients are the engine's own to add to."""
    return 3 * x.data, lambda g: 3 * g


STEPS = {
    "add": lambda xs, i, j: xs[i] + xs[j],
    "multiply": lambda xs, i, j: xs[i] * xs[j],
    "concatenate": lambda xs, i, j: ops.concatenate([xs[i], xs[j]], 1),
    "slice": lambda xs, i, j: xs[i][:, j:],
    "identity": lambda xs, i, j: ops.identity(xs[i]),
    "reserve": lambda xs, i, j: ops.reserve(xs[i], xs[i].shape[1] + j),
    "triple": lambda xs, i, j: triple(xs[i]),
}


@st.composite
def programs(draw):
    """Widths of one to three leaves, and steps: an op and which of the tensors so far it takes."""
    widths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    leaves, steps = len(widths), []
    for _ in range(draw(st.integers(1, 9))):
        op = draw(st.sampled_from(sorted(STEPS)))
        i = draw(st.integers(0, len(widths) - 1))
        if op in ("add", "multiply"):
            j = draw(st.sampled_from([j for j, w in enumerate(widths) if w in (1, widths[i]) or widths[i] == 1]))
            widths.append(max(widths[i], widths[j]))
        elif op == "concatenate":
            j = draw(st.integers(0, len(widths) - 1))
            widths.append(widths[i] + widths[j])
        elif op == "slice":
            j = draw(st.integers(0, widths[i] - 1))
            widths.append(widths[i] - j)
        else:
            j = draw(st.integers(0, 4))
            widths.append(widths[i])
        steps.append((op, i, j))
    return widths[:leaves], steps


def run(leaves, steps):
    """All tensors of a program, the leaves first."""
    tensors = list(leaves)
    for op, i, j in steps:
        tensors.append(STEPS[op](tensors, i, j))
    return tensors


def jacobians(values, steps, source):
    """By dense arithmetic, how each tensor after the source changes with the source's elements (the last axis)."""
    size = values[source].size
    found = {source: np.eye(size).reshape(*values[source].shape, size)}
    zeros = {k: np.zeros((*value.shape, size)) for k, value in enumerate(values)}
    for k, (op, i, j) in enumerate(steps, len(values) - len(steps)):
        if k <= source:
            continue
        x = found.get(i, zeros[i])
        y = found.get(j, zeros[j]) if op in ("add", "multiply", "concatenate") else None
        if op == "add":
            found[k] = x + y
        elif op == "multiply":
            found[k] = x * values[j][..., None] + values[i][..., None] * y
        elif op == "concatenate":
            found[k] = np.concatenate([x, y], 1)
        elif op == "slice":
            found[k] = x[:, j:]
        else:
            found[k] = 3 * x if op == "triple" else x
    return found


def close(got, wanted):
    """None stands for zeros."""
    np.testing.assert_allclose(0 if got is None else got.numpy(), wanted, rtol=1e-10, atol=1e-12)


def check_that_nobody_shares(arrays):
    """What is written into one array shows up in no other."""
    wanted = [array + 1 for array in arrays]
    for array in arrays:
        array += 1
    assert all((array == other).all() for array, other in zip(arrays, wanted, strict=True))


def arrays_for(widths, seed):
    draw = np.random.default_rng(seed)
    return [draw.uniform(0.5, 1.5, (ROWS, width)) for width in widths]


DENSE_BLOCK = ([2], [("reserve", 0, 4), *(step for k in range(1, 6, 2) for step in [
    ("slice", k, 1), ("concatenate", k, k + 1)])])  # fmt: skip
DIAMONDS = ([1], [("add", k, k) for k in range(8)])


@given(program=programs(), seed=st.integers(0, 99))
@example(DENSE_BLOCK, 0)
@example(DIAMONDS, 0)
def test_backward_gives_the_sum_over_all_paths_and_harms_no_gradient_on_its_way(backend, program, seed):
    widths, steps = program
    arrays = arrays_for(widths, seed)
    leaves = [Tensor(x).to(backend).requires_grad_() for x in arrays]
    tensors = run(leaves, steps)
    for x in tensors[len(leaves) :: 2]:
        x.retain_grad()
    values = [x.numpy().copy() for x in tensors]
    outputs = sorted({len(tensors) - 1, seed % len(tensors)})
    upstream = arrays_for([tensors[k].shape[1] for k in outputs], seed + 1)
    gs = [Tensor(g.copy()).to(backend) for g in upstream]

    retained = grad([tensors[k] for k in outputs], tensors, gs, retain_graph=True, allow_unused=True)
    for passes in (1, 2):  # the second through the retained graph
        backward([tensors[k] for k in outputs], gs, retain_graph=passes == 1)
        for k, (x, returned) in enumerate(zip(tensors, retained, strict=True)):
            ways = jacobians(values, steps, k)
            wanted = sum(
                np.tensordot(g, ways[output], 2).reshape(x.shape)
                for output, g in zip(outputs, upstream, strict=True)
                if output in ways
            )
            close(returned, wanted)
            if x.is_leaf or (k - len(leaves)) % 2 == 0:
                close(x.grad, passes * wanted)
    for x, value in zip(tensors, values, strict=True):
        np.testing.assert_array_equal(x.numpy(), value)
    for g, array in zip(gs, upstream, strict=True):
        np.testing.assert_array_equal(g.numpy(), array)
    check_that_nobody_shares([g.data for g in [*retained, *(x.grad for x in tensors)] if g is not None])
