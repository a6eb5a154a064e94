"""The work of an op is what loops that do it count, what PyTorch counts, and what a summary of the network says."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import einsum, models, nn, ops, profile, summary, tensor
from minidl.nn import functional as F
from minidl.ops import elementwise
from minidl.profiler.cost import RULES, bytes_moved, footprint

SIZES = st.integers(1, 4)


def zeros(*shape, requires_grad=False):
    return tensor(np.zeros(shape, np.float32), requires_grad=requires_grad)


def total(p, what, names=None):
    return sum(getattr(row, what) for row in p.rows if names is None or row.name in names)


def flops(function, *args, **settings):
    """What a profile counts."""
    with profile() as p:
        function(*args, **settings)
    return total(p, "flops")


@given(SIZES, SIZES, SIZES, SIZES)
def test_a_matrix_product_takes_what_three_loops_take(batch, rows, inner, columns):
    counted = sum(2 for _ in itertools.product(range(batch), range(rows), range(inner), range(columns)))
    assert flops(ops.matmul, zeros(batch, rows, inner), zeros(inner, columns)) == counted


@given(st.data())
def test_a_convolution_takes_what_its_loops_take_by_kernel_and_by_definition(data):
    n, groups, c, o, p, q, i, j = data.draw(st.tuples(*[st.integers(1, 3)] * 8))
    stride = data.draw(st.integers(1, 2))
    x, weight = zeros(n, groups * c, stride * (p - 1) + i, stride * (q - 1) + j), zeros(groups * o, c, i, j)
    counted = 0
    for _ in itertools.product(*map(range, (n, groups, o, p, q))):
        counted += sum(2 for _ in itertools.product(*map(range, (c, i, j))))
    assert flops(F.conv2d, x, weight, stride=stride, groups=groups) == counted
    with minidl.definitions():
        assert flops(F.conv2d, x, weight, stride=stride, groups=groups) == counted


WANTED = pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)])


def training_flops(context, shapes, wanted, **settings):
    """What a convolution takes forward and backward."""
    x, weight = (zeros(*shape, requires_grad=w) for shape, w in zip(shapes, wanted, strict=True))
    with profile() as p, context():
        F.conv2d(x, weight, stride=2, padding=1, **settings).sum().backward()
    return total(p, "flops", {"conv2d", "einsum"})


@WANTED
def test_a_convolution_takes_what_pytorch_counts_forward_and_backward(wanted):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    shapes = ((2, 4, 7, 6), (6, 4, 3, 2))
    x, weight = (torch.zeros(shape, requires_grad=w) for shape, w in zip(shapes, wanted, strict=True))
    with FlopCounterMode(display=False) as theirs:  # which is right where there is one group
        torch.nn.functional.conv2d(x, weight, stride=2, padding=1).sum().backward()
    assert training_flops(minidl.enable_grad, shapes, wanted) == theirs.get_total_flops()


@WANTED
def test_a_convolution_takes_forward_and_backward_what_its_definition_takes(wanted):
    shapes = ((2, 4, 7, 6), (6, 2, 3, 2))
    by_kernel, by_definition = (
        training_flops(context, shapes, wanted, groups=2) for context in (minidl.enable_grad, minidl.definitions)
    )
    assert by_kernel == by_definition == (1 + sum(wanted)) * 2 * (2 * 6 * 4 * 4) * (2 * 3 * 2)


def test_a_linear_layer_takes_what_pytorch_counts_forward_and_backward():
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as theirs:
        torch.nn.Linear(5, 3)(torch.zeros(7, 5, requires_grad=True)).sum().backward()
    with profile() as p:
        nn.Linear(5, 3)(zeros(7, 5, requires_grad=True)).sum().backward()
    assert total(p, "flops", {"linear"}) == theirs.get_total_flops()


@pytest.mark.parametrize(("subscripts", "counted"), [("ij,jk->ik", 2 * 2 * 3 * 4), ("ij,jk->ijk", 24), ("ij,jk->", 48)])
def test_an_einstein_sum_multiplies_and_where_letters_vanish_adds(subscripts, counted):
    assert flops(einsum, subscripts, zeros(2, 3), zeros(3, 4)) == counted


def test_a_network_takes_two_operations_for_each_multiply_add_of_its_summary():
    model = models.create_model("densenet_cifar", depth=10, growth_rate=4).eval()
    with profile() as p, minidl.no_grad():
        model(zeros(2, 3, 8, 8))
    assert (
        total(p, "flops", {"conv2d", "norm_relu_conv2d", "linear"})
        == 2 * summary(model, (2, 3, 8, 8)).total_mult_adds
        > 0
    )


@pytest.mark.parametrize("frozen", [(), (1,), (4,)], ids=["all learns", "weights learn", "norms learn"])
def test_the_kernels_of_a_training_step_do_the_products_that_the_definitions_do(frozen):
    model = models.create_model("densenet_cifar", depth=10, growth_rate=4)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.ndim not in frozen)
    found = []
    for context in (minidl.enable_grad, minidl.definitions):
        with profile() as p, context():
            model(minidl.randn(2, 3, 8, 8)).sum().backward()
        found.append(total(p, "flops", {"conv2d", "norm_relu_conv2d", "linear", "matmul", "einsum"}))
    assert found[0] == found[1] > 0


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
def test_a_pool_looks_at_every_element_of_every_window(pool):
    with profile() as p:
        pool(zeros(2, 3, 7, 9), (3, 2), stride=2)
    assert total(p, "flops", {"max_pool2d", "sum_pool2d"}) == 2 * 3 * (3 * 4) * (3 * 2)


def test_elementwise_ops_take_one_for_each_element_they_make_and_sums_one_for_each_they_take():
    assert flops(ops.add, zeros(4, 1), zeros(5)) == 20
    assert flops(ops.exp, zeros(3, 2)) == 6
    assert flops(ops.sum, zeros(3, 2), 0) == 6
    assert flops(ops.permute, zeros(3, 2), 1, 0) == 0


def test_there_is_a_rule_for_every_elementwise_op_and_for_nothing_that_is_no_op():
    def names(module):
        return {x.__wrapped__.__name__.lstrip("_") for x in vars(module).values() if hasattr(x, "__wrapped__")}

    assert names(elementwise) <= RULES.keys()
    everything = names(elementwise).union(
        *(
            names(module)
            for module in (ops.reduction, ops.contraction, ops.window, F.convolution, F.normalization, F.pooling)
        )
    )
    assert RULES.keys() <= everything


def test_every_array_is_read_or_written_once():
    x, y = np.zeros((4, 1), np.float32), np.zeros(5, np.float32)
    assert bytes_moved([x, y, None], x + y) == 4 * (4 + 5 + 20)


def test_views_move_nothing_and_repeated_elements_are_there_once():
    x = np.zeros((3, 4), np.float32)
    assert bytes_moved([x], x.T) == bytes_moved([x], x[1:]) == 0
    assert footprint(np.broadcast_to(x, (7, 3, 4))) == footprint(x) == 48
    assert footprint(np.float64(1)) == 8


def test_concatenation_in_place_moves_the_new_channels_only():
    x, new = minidl.reserve(zeros(2, 3, 4, 4), 5), zeros(2, 2, 4, 4)
    with profile() as p:
        minidl.concatenate([x, new], axis=1)
    assert total(p, "bytes") == 2 * (4 * 2 * 2 * 4 * 4)


def test_the_pull_of_a_kernel_reads_gradient_and_inputs_and_writes_what_is_wanted(backend):
    x = zeros(2, 3, 5, 5).to(backend)
    weight = zeros(4, 3, 3, 3).to(backend).detach().requires_grad_()
    with profile() as p:
        y = F.conv2d(x, weight)
        y.backward(y)
    sizes = {"x": 2 * 3 * 5 * 5, "weight": 4 * 3 * 3 * 3, "y": 2 * 4 * 3 * 3}
    forward, backward = (event.bytes for event in p.events if event.phase != "tile")
    assert forward == 4 * sum(sizes.values())
    assert backward == 4 * (sum(sizes.values()) + sizes["weight"])
