"""What is drawn is valid and as promised, everything promised is drawn, and it shrinks to the smallest and simplest."""

import importlib
import sys
from random import Random

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from minidl import Tensor
from minidl.nn import functional as F
from minidl.testing.graph import Graph
from minidl.testing.layout import LAYOUTS, lay_out
from minidl.testing.path import count_paths
from minidl.testing.strategies import (
    Convolution,
    Pooling,
    arrays,
    axes,
    broadcastable_shapes,
    convolutions,
    graphs,
    layouts,
    poolings,
    shapes,
)


def smallest(strategy, condition=lambda drawn: True):
    return find(
        strategy, condition, settings=settings(max_examples=5000, database=None, deadline=None), random=Random(0)
    )


def is_drawn(strategy, condition):
    once = settings(max_examples=5000, database=None, deadline=None, phases=[Phase.generate])
    return condition(find(strategy, condition, settings=once, random=Random(0)))


def is_shared(graph):
    """Whether a tensor that is no leaf is used twice."""
    used = [x for step in graph.steps for x in step.inputs if x >= len(graph.leaves)]
    return len(set(used)) < len(used)


def has(*ops):
    return lambda graph: {step.op for step in graph.steps} >= set(ops)


@pytest.mark.parametrize(
    ("strategy", "condition", "wanted"),
    [
        (shapes(), lambda s: True, ()),
        (shapes(), lambda s: np.prod(s) > 6, (2, 4)),
        (shapes(min_side=0), lambda s: 0 in s, (0,)),
        (shapes(min_dims=2), lambda s: True, (1, 1)),
        (broadcastable_shapes(3), lambda s: True, ((), (), ())),
        (broadcastable_shapes(2), lambda s: len(s[0]) < len(s[1]), ((), (1,))),
        (broadcastable_shapes(3), lambda s: len(s[0]) < len(s[1]) == len(s[2]) and s[1] != s[2], ((), (1,), (2,))),
        (broadcastable_shapes(2), lambda s: s[0] < s[1] and len(s[0]) == len(s[1]), ((1,), (2,))),
        (axes(3), lambda axis: True, 0),
        (axes(3), lambda axis: axis is None, None),
        (axes(3), lambda axis: isinstance(axis, int) and axis < 0, -1),
        (axes(3), lambda axis: isinstance(axis, tuple), (0,)),
        (axes(3), lambda axis: isinstance(axis, tuple) and len(axis) > 1, (0, 1)),
        (axes(3), lambda axis: isinstance(axis, tuple) and min(axis) < 0, (-1,)),
        (axes(0), lambda axis: True, None),
        (layouts(), lambda layout: True, "C"),
        (convolutions(), lambda c: True, Convolution((1, 1, 1, 1), (1, 1, 1, 1))),
        (convolutions(), lambda c: c.groups > 1, Convolution((1, 2, 1, 1), (2, 1, 1, 1), groups=2)),
        (convolutions(), lambda c: c.weight[2] > 1, Convolution((1, 1, 2, 1), (1, 1, 2, 1))),
        (
            convolutions(),
            lambda c: c.dilation[1] > 1 and c.weight[3] > 1,
            Convolution((1, 1, 1, 3), (1, 1, 1, 2), dilation=(1, 2)),
        ),
        (
            convolutions(),
            lambda c: (c.x[2] - c.weight[2] + 2 * c.padding[0]) % c.stride[0],
            Convolution((1, 1, 2, 1), (1, 1, 1, 1), stride=(2, 1)),
        ),
        (poolings(dilated=False), lambda p: True, Pooling((1, 1, 1, 1), (1, 1))),
        (poolings(dilated=False), lambda p: p.padding[0], Pooling((1, 1, 1, 1), (2, 1), padding=(1, 0))),
        (poolings(), lambda p: p.ceil_mode, Pooling((1, 1, 1, 1), (1, 1), dilation=(1, 1), ceil_mode=True)),
        (graphs(), lambda g: True, Graph((1,)).add(0, 0)),
        (graphs(), is_shared, Graph((1,)).add(0, 0).add(1, 1)),
        (graphs(), has("concatenate"), Graph((1,)).concatenate(0, 0)),
        (graphs(), has("slice"), Graph((1,)).slice(0, 0, 1)),
        (
            graphs(),
            lambda g: count_paths(g, len(g) - 1, 0) > 5 and not has("multiply")(g),
            Graph((1,)).add(0, 0).add(1, 1).add(2, 2),
        ),
        (graphs(), lambda g: len(g.leaves) == 3, Graph((1, 1, 1)).add(2, 2)),
        (graphs(functions=["relu"]), has("relu"), Graph((1,)).apply("relu", 0)),
    ],
)
def test_a_failing_example_shrinks_to_the_smallest(strategy, condition, wanted):
    assert smallest(strategy, condition) == wanted


@pytest.mark.parametrize(
    ("strategy", "condition", "wanted"),
    [
        (arrays(), lambda x: True, 1.0),
        (arrays(), lambda x: x.size >= 2, [0.5, -1.5]),
        (arrays(), lambda x: x.size >= 5, [[0.125, -0.375, 0.625], [-0.875, -1.375, -1.875]]),
        (arrays(), lambda x: x.ndim and x.flat[-1] > x.flat[0], [-1.5, 0.5]),
        (arrays(), lambda x: not x.flags.c_contiguous, [0.5, -1.5]),
        (arrays(), lambda x: x.flags.f_contiguous and not x.flags.c_contiguous, [[0.25, -0.75], [1.25, -1.75]]),
        (arrays(zeros=True), lambda x: True, 0.0),
        (arrays(ties=True), lambda x: x.size >= 2, [0.5, 0.5]),
        (arrays(ties=True), lambda x: x.size >= 3 and np.ptp(x), [-0.75, 0.25, 0.25]),
        (arrays(shapes(min_side=0)), lambda x: not x.size, []),
        (arrays(shapes(max_dims=1, max_side=50)), lambda x: x.size >= 30, (np.arange(30) + 0.25) / 8),
    ],
)
def test_a_failing_array_shrinks_to_the_smallest_with_the_simplest_values(strategy, condition, wanted):
    found, wanted = smallest(strategy, condition), np.array(wanted)
    if wanted.size == 30:
        wanted = np.sort(abs(found), axis=None)  # whatever their signs, the magnitudes are in order
        found = abs(found)
    np.testing.assert_array_equal(found, wanted, strict=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_fails_in_one_layout_shrinks_to_that_layout_and_all_else_shrinks_to_rows(layout):
    strides = lay_out(np.ones((2, 2)), layout).strides
    assert smallest(arrays((2, 2), ties=True), lambda x: x.strides == strides).strides == strides
    assert smallest(arrays((2, 2), ties=True)).flags.c_contiguous


@given(arrays(shapes(min_side=0), st.sampled_from([np.float32, np.float64]), low=-3, high=5))
def test_arrays_are_bounded_without_ties_and_a_quarter_step_away_from_0(x):
    assert x.dtype in (np.float32, np.float64)
    step = 2.0 ** np.floor(np.log2(8 / max(x.size, 1)))
    values = np.sort(x, axis=None)
    assert ((values >= -3) & (values < 5)).all()
    assert (np.diff(values) >= step).all()
    assert (abs(values) >= step / 4).all()
    assert (np.diff(np.sort(abs(values))) >= step / 2).all()


@pytest.mark.parametrize("shape", [(4,), (40,)])
def test_ties_and_zeros_are_drawn_on_request_and_every_order(shape):
    assert is_drawn(arrays(shape, ties=True), lambda x: 1 < len(set(x)) < shape[0])
    assert is_drawn(arrays(shape, zeros=True, ties=True), lambda x: 0 in x[1:] and x[0] != 0)
    assert is_drawn(arrays(shape, zeros=True), lambda x: 0 not in x)
    assert is_drawn(arrays(shape, zeros=True), lambda x: 0 in x)
    assert is_drawn(arrays(shape), lambda x: abs(x[0]) > abs(x[1]) > abs(x[2]) > abs(x[3]))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3), (2, 3, 4, 5)])
def test_a_layout_changes_where_numbers_are_and_not_what_they_are(layout, shape):
    x = np.random.default_rng(0).random(shape)
    y = lay_out(x, layout)
    wanted = np.broadcast_to(x[:, :1, :1, :1], shape) if layout == "broadcast" and len(shape) == 4 else x
    if layout != "broadcast" or len(shape) in (0, 1, 4):
        np.testing.assert_array_equal(y, wanted, strict=True)
    assert y.shape == shape
    assert not np.shares_memory(x, y)


def test_each_layout_is_what_it_is_called():
    strides = {layout: lay_out(np.zeros((2, 3, 4, 5)), layout).strides for layout in LAYOUTS}
    assert strides == {
        "C": (480, 160, 40, 8),
        "strided": (7680, 1280, 160, 16),
        "reversed": (-480, -160, -40, -8),
        "F": (8, 16, 48, 192),
        "channel-major": (160, 320, 40, 8),
        "broadcast": (8, 0, 0, 0),
    }
    with pytest.raises(ValueError, match=r"lay_out: expected one of C, .*, got 'D'"):
        lay_out(np.zeros(3), "D")


@given(broadcastable_shapes(3, min_side=0))
def test_broadcastable_shapes_broadcast(shapes):
    assert len(shapes) == 3
    assert max(map(len, shapes)) <= 4
    np.broadcast_shapes(*shapes)


@given(st.data(), shapes(max_dims=4))
def test_axes_are_what_a_reduction_takes(data, shape):
    axis = data.draw(axes(len(shape)))
    np.zeros(shape).sum(axis)
    one = data.draw(axes(4, several=False, none=False))
    assert isinstance(one, int)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="has none to choose"):
        axes(0, none=False)
    with pytest.raises(ValueError, match=r"expected low < high and a floating-point dtype, got 1, -1"):
        smallest(arrays(low=1, high=-1))
    with pytest.raises(ValueError, match="floating-point dtype"):
        smallest(arrays(dtype=int))


@given(convolutions(min_batch=0))
def test_convolutions_are_valid_for_minidl_and_for_pytorch(case):
    y = F.conv2d(*(Tensor(np.ones(shape)) for shape in case.shapes), **case.settings)
    assert y.shape == case.output
    torch = pytest.importorskip("torch")
    x, weight, bias = (torch.ones(shape) for shape in case.shapes)
    assert torch.nn.functional.conv2d(x, weight, bias, **case.settings).shape == case.output


@given(poolings())
def test_poolings_are_valid_for_minidl_and_for_pytorch(case):
    assert F.max_pool2d(Tensor(np.ones(case.x)), **case.settings).shape == case.output
    torch = pytest.importorskip("torch")
    assert torch.nn.functional.max_pool2d(torch.ones(case.x), **case.settings).shape == case.output


@given(poolings(dilated=False))
def test_poolings_without_dilation_are_valid_for_averages(case):
    assert F.avg_pool2d(Tensor(np.ones(case.x)), **case.settings).shape == case.output


@pytest.mark.parametrize(
    "condition",
    [
        lambda c: c.weight[2:] == c.x[2:] and min(c.x[2:]) > 1,
        lambda c: min(c.stride) > 1 and min(c.output[2:]) > 1 and (c.x[2] - c.weight[2]) % c.stride[0],
        lambda c: c.groups == 3 and c.weight[1] == 2 and c.weight[0] == 6,
        lambda c: min(c.padding) > 0 and min(c.dilation) > 1 and min(c.weight[2:]) > 1,
        lambda c: c.stride[0] > c.weight[2] and c.output[2] > 1,
    ],
)
def test_every_kind_of_convolution_is_drawn(condition):
    assert is_drawn(convolutions(), condition)


@given(graphs(functions=["double"]), st.integers(0, 9))
def test_graphs_run_and_read_as_the_code_that_they_are(graph, seed):
    arrays = graph.arrays(seed)
    tensors = graph.run(arrays, functions={"double": lambda x: x + x})
    assert tuple(x.shape[1] for x in tensors) == graph.widths
    head, *lines = str(graph).splitlines()
    names = dict(zip(head.partition(":")[0].split(", "), arrays, strict=True))
    exec("\n".join(lines), {"double": lambda x: x + x, "concatenate": lambda *xs: np.concatenate(xs, 1)}, names)
    for x, y in zip(tensors, names.values(), strict=True):
        np.testing.assert_array_equal(x, y)
    assert eval(repr(graph)) == graph


@given(graphs(max_steps=30, max_paths=20))
def test_graphs_have_no_more_paths_than_asked_for(graph):
    for output in range(len(graph)):
        assert sum(count_paths(graph, output, source) for source in range(len(graph))) <= 20


@pytest.mark.parametrize(
    "condition",
    [
        has("add", "multiply", "slice", "concatenate"),
        lambda g: len(g) == 12,
        lambda g: any(len(step.inputs) > 2 for step in g.steps),  # dense
        lambda g: any(
            a.op == "multiply" and b.inputs[0] == a.inputs[0] for a, b in zip(g.steps, g.steps[1:], strict=False)
        ),
        lambda g: any(step.op == "multiply" and {g.widths[k] for k in step.inputs} == {1, 3} for step in g.steps),
    ],
)
def test_every_kind_of_graph_is_drawn(condition):
    assert is_drawn(graphs(), condition)


def test_without_hypothesis_the_error_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("hypothesis", "minidl.testing.strategies"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError, match=r"hypothesis is not installed: pip install 'minidl\[testing\]'"):
        importlib.import_module("minidl.testing.strategies")
