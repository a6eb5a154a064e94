"""What the engine promises: derivatives of any order, deep graphs, each node once, memory given back, clear errors."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import minidl
from minidl import Tensor, autograd, enable_grad, grad, is_grad_enabled, nn, no_grad, ops, optim, tensor
from minidl.backend import BackendError
from minidl.ops import accelerated, primitive


def leaf(*values, backend="numpy", dtype=np.float64):
    return tensor(np.array(values, dtype), backend=backend, requires_grad=True)


def derivatives(function, x, order):
    """The value at a number and its derivatives, up to an order."""
    found = [function(x)]
    for _ in range(order):
        found += grad(found[-1], x, create_graph=True)
    return [y.item() for y in found]


# ----------------------------------------------------------------------------------------------------------- any order
def test_the_derivatives_of_a_power_are_the_schoolbooks(backend):
    x = tensor(1.5, np.float64, backend, requires_grad=True)
    wanted = [1.5**5, 5 * 1.5**4, 20 * 1.5**3, 60 * 1.5**2, 120 * 1.5, 120, 0]
    np.testing.assert_allclose(derivatives(lambda x: x**5, x, 6), wanted, rtol=1e-14)


def test_the_derivatives_of_tanh_are_polynomials_in_it(backend):
    x = tensor(0.7, np.float64, backend, requires_grad=True)
    t = np.tanh(0.7)
    wanted = [t, 1 - t**2, -2 * t + 2 * t**3, -2 + 8 * t**2 - 6 * t**4, 16 * t - 40 * t**3 + 24 * t**5]
    np.testing.assert_allclose(derivatives(ops.tanh, x, 4), wanted, rtol=1e-12)


def test_the_derivatives_of_an_einstein_sum_follow_leibniz(backend):
    x = tensor(1.5, np.float64, backend, requires_grad=True)
    a, b = tensor([1.0, 2.0], np.float64, backend), tensor([3.0, -1.0], np.float64, backend)

    def cube(x):  # Σ (a x)(b x)(x) = (a·b) x³
        return ops.einsum("i,i,->", a * x, b * x, x)

    np.testing.assert_allclose(derivatives(cube, x, 3), [1.5**3, 3 * 1.5**2, 6 * 1.5, 6], rtol=1e-12)


def test_a_hessian_is_symmetric_and_right(backend):
    x = leaf(0.3, -0.8, 1.1, backend=backend)
    (first,) = grad((ops.exp(x[0] * x[1]) * x[2] ** 2).sum(), x, create_graph=True)
    hessian = np.stack([grad(first[i], x, retain_graph=True)[0].numpy() for i in range(3)])
    a, b, c = 0.3, -0.8, 1.1
    e = np.exp(a * b)
    wanted = e * np.array(
        [
            [b * b * c * c, (1 + a * b) * c * c, 2 * b * c],
            [(1 + a * b) * c * c, a * a * c * c, 2 * a * c],
            [2 * b * c, 2 * a * c, 2],
        ]
    )
    np.testing.assert_allclose(hessian, wanted, rtol=1e-12)


def test_create_graph_lets_a_penalty_on_the_gradient_be_trained(backend):
    x, w = leaf(1.0, 2.0, backend=backend), leaf(3.0, -1.0, backend=backend)
    (g,) = grad((w * x**2).sum(), x, create_graph=True)  # 2 w x
    (g**2).sum().backward()  # Σ 4 w² x²
    np.testing.assert_allclose(w.grad.numpy(), 8 * w.numpy() * x.numpy() ** 2)
    np.testing.assert_allclose(x.grad.numpy(), 8 * w.numpy() ** 2 * x.numpy())


def test_without_create_graph_the_gradient_has_no_history(backend):
    x = leaf(1.0, backend=backend)
    assert not grad(x**3, x)[0].requires_grad
    (x**3).backward()
    assert not x.grad.requires_grad


# -------------------------------------------------------------------------------------------------------- deep and wide
@pytest.mark.parametrize("depth", [10_000, 100_000])
def test_a_chain_of_ops_may_be_deep(depth):
    x = leaf(1.0)
    y = x
    for _ in range(depth):
        y = ops.negative(y)
    y.backward()
    assert (y.item(), x.grad.item()) == (1, 1)


def test_a_deep_chain_is_dropped_without_a_backward_pass_in_a_small_stack():
    """Each link holds the one before: freeing them one inside the other would overflow the stack."""

    def build_and_drop():
        x = leaf(1.0)
        y = x
        for _ in range(50_000):
            y = y * x
        del y
        done.append(True)

    done = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=build_and_drop)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done


def test_dropping_a_branch_leaves_what_another_branch_needs(backend):
    x = leaf(1.0, 2.0, backend=backend)
    trunk = ops.tanh(x * 2)
    dropped, kept = ops.exp(trunk * 3), ops.exp(trunk + 5)
    wanted = kept.numpy() * (1 - trunk.numpy() ** 2) * 2
    del trunk, dropped
    kept.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), wanted)


def counting(calls):
    """An op that counts how often its pullback runs."""

    @primitive
    def watched(x, /):
        def pull(g):
            calls.append(g)
            return 0.5 * g

        return 0.5 * x.data, pull

    return watched


def test_sixty_residual_blocks_are_gone_through_once_each_and_not_2_to_the_60_times(backend):
    calls = []
    block = counting(calls)
    x = leaf(1.0, backend=backend)
    y = x
    for _ in range(60):
        y = y + block(y)
    y.backward()
    assert len(calls) == 60
    np.testing.assert_allclose(x.grad.numpy(), 1.5**60, rtol=1e-12)


def test_a_node_waits_for_all_its_consumers_even_if_one_is_much_further_from_the_output(backend):
    calls = []
    x = leaf(1.0, 2.0, backend=backend)
    shared = counting(calls)(x)
    far = shared
    for _ in range(50):
        far = far * 1.0
    (far.sum() + shared.sum() + (shared * shared).sum() + ops.concatenate([shared, shared]).sum()).backward()
    assert len(calls) == 1
    np.testing.assert_allclose(x.grad.numpy(), 0.5 * (4 + x.numpy()))


def test_a_consumer_that_takes_the_same_tensor_twice_passes_both_gradients_on(backend):
    x = leaf(3.0, backend=backend)
    (x * x + x - (x - x) + ops.maximum(x, x)).backward()
    assert x.grad.item() == 2 * 3 + 1 + 1


# --------------------------------------------------------------------------------------------------------------- memory
@pytest.fixture
def no_collector():
    gc.disable()
    yield
    gc.enable()


def test_the_backward_pass_frees_each_value_as_it_goes(no_collector):
    alive = []

    @primitive
    def watched(x, /):
        def pull(g):
            alive.append(sum(ref() is not None for ref in values))
            return g * 1

        return x.data * 1, pull

    values = []
    y = leaf(1.0)
    for _ in range(8):
        y = watched(y) * y
        values.append(weakref.ref(y.data))
    y.backward()
    assert alive == [7, 6, 5, 4, 3, 2, 1, 1]  # y itself and those not reached yet
    del y
    assert all(ref() is None for ref in values)


def test_training_steps_leave_no_cycles_behind(no_collector, backend):
    w = leaf(0.5, 0.25, backend=backend, dtype=np.float32)
    watched = []
    for _ in range(3):
        hidden = ops.tanh(w * 2).max(0).values * ops.concatenate([w, w[:1]])
        loss = ops.logsumexp(hidden.reshape(1, 3) @ ops.einsum("i,j->ij", hidden, w), 1).mean()
        watched += [weakref.ref(hidden), weakref.ref(loss), weakref.ref(hidden.data)]
        loss.backward()
        del hidden, loss
    assert all(ref() is None for ref in watched)


def peak(build):
    """The most memory that NumPy held meanwhile."""
    tracemalloc.start()
    try:
        build()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_gradients_do_not_pile_up_during_the_backward_pass():
    size = 100_000 * 8

    def build():
        y = tensor(np.ones(100_000), requires_grad=True)
        for _ in range(50):
            y = ops.tanh(y)
        values = tracemalloc.get_traced_memory()[0]
        y.backward(Tensor(np.ones(100_000)))
        assert values > 50 * size

    assert peak(build) < (51 + 8) * size  # 50 gradients would be as much again


def test_ops_that_need_nothing_for_their_gradient_remember_nothing():
    size = 100_000 * 8

    def build():
        x = tensor(np.ones(100_000), requires_grad=True)
        constant = Tensor(np.full(100_000, 0.5))
        y = x
        for _ in range(50):
            y = (y + x) * constant / 2.0 - constant
        y.sum().backward()

    assert peak(build) < 12 * size


def test_a_chain_under_no_grad_remembers_nothing():
    def build():
        y = tensor(np.ones(100_000), requires_grad=True)
        with no_grad():
            for _ in range(50):
                y = ops.tanh(y)

    assert peak(build) < 6 * 100_000 * 8


# ---------------------------------------------------------------------------------------------------- going back twice
def test_a_second_backward_pass_says_what_to_do(backend):
    x = leaf(1.0, 2.0, backend=backend)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"consumed by an earlier backward pass .*retain_graph=True"):
        y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])


def test_a_second_pass_through_a_part_of_the_graph_is_refused_too(backend):
    x = leaf(1.0, 2.0, backend=backend)
    shared = x * x
    shared.sum().backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        (shared * 3).sum().backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        grad((shared * 3).sum(), x)


def test_retain_graph_allows_it_and_the_gradients_add_up(backend):
    x = leaf(1.0, 2.0, backend=backend)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [4, 8])


def test_create_graph_retains_the_graph(backend):
    x = leaf(2.0, backend=backend)
    y = x**3
    assert [grad(y, x, create_graph=True)[0].item() for _ in range(2)] == [12, 12]


def test_gradients_of_separate_graphs_add_up_and_older_ones_stay_as_they_were(backend):
    x = leaf(1.0, 2.0, backend=backend)
    (x * 2).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    np.testing.assert_array_equal(first.numpy(), [2, 2])
    np.testing.assert_array_equal(x.grad.numpy(), [5, 5])


def test_a_graph_above_a_consumed_one_may_use_its_detached_values(backend):
    x = leaf(2.0, backend=backend)
    y = x * x
    y.backward()
    (y.detach() * x).backward()
    assert x.grad.item() == 4 + 4


def test_a_leaf_changed_by_a_step_refuses_the_old_graph(backend):
    x = leaf(2.0, backend=backend)
    y = x * x
    x.data[...] = 3
    autograd.note_write(x)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    (x * x).backward()
    assert x.grad.item() == 6


# ----------------------------------------------------------------------------------------------------------------- grad
def test_grad_touches_no_grad_attribute(backend):
    x, y = leaf(1.0, backend=backend), leaf(2.0, backend=backend)
    middle = x * y
    middle.retain_grad()
    assert [g.item() for g in grad(middle * y, [x, y])] == [4, 4]
    assert (x.grad, y.grad, middle.grad) == (None, None, None)


def test_grad_by_a_tensor_in_the_middle_stops_there_and_leaves_the_rest_of_the_graph(backend):
    x = leaf(1.0, 2.0, backend=backend)
    middle = x * x
    (g,) = grad((middle * middle).sum(), middle)
    np.testing.assert_array_equal(g.numpy(), 2 * middle.numpy())
    middle.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 4])


def test_grad_by_a_tensor_and_by_what_it_came_from(backend):
    x = leaf(2.0, backend=backend)
    middle = x * x
    by_middle, by_x, by_output = grad(output := middle * x, [middle, x, output])
    assert [by_middle.item(), by_x.item(), by_output.item()] == [2, 12, 1]


def test_grad_goes_only_where_the_inputs_are(backend):
    calls = []
    x, y = leaf(1.0, backend=backend), leaf(2.0, backend=backend)
    other = counting(calls)(y)
    grad(x * other, x)
    assert calls == []
    other.backward()  # its graph is whole
    assert y.grad.item() == 0.5


def test_unused_inputs_are_refused_or_none(backend):
    x, y = leaf(1.0, backend=backend), leaf(2.0, backend=backend)
    with pytest.raises(RuntimeError, match=r"do not depend on input 1: allow_unused=True"):
        grad(x * 2, [x, y])
    found = grad(x * 2, [x, y], allow_unused=True)
    assert found[0].item() == 2
    assert found[1] is None
    with pytest.raises(RuntimeError, match=r"input 0 does not require grad: call requires_grad_\(\)"):
        grad(x * 2, tensor([1.0], backend=backend))


def test_several_outputs_and_one_that_comes_twice(backend):
    x = leaf(1.0, 2.0, backend=backend)
    y, z = x * 2, x * x
    gs = [tensor(np.array(g), backend=backend) for g in ([1.0, 0.0], [0.0, 1.0], [10.0, 10.0])]
    (g,) = grad([y, z, y], x, gs)
    np.testing.assert_array_equal(g.numpy(), [22, 24])
    (g,) = grad([x.sum() * 2, x[0]], x)
    np.testing.assert_array_equal(g.numpy(), [3, 2])


def test_an_output_that_does_not_depend_on_the_input_stays_whole(backend):
    x, y = leaf(1.0, backend=backend), leaf(2.0, backend=backend)
    other = y * 3
    grad([x * 2, other], x)
    other.backward()
    assert y.grad.item() == 3


@pytest.mark.parametrize("gradient", [2.0, 2, np.float64(2), np.float32(2), np.array(2.0)], ids=repr)
def test_the_first_gradient_may_be_a_number(backend, gradient):
    x = leaf(1.0, 2.0, backend=backend, dtype=np.float32)
    x.sum().backward(gradient)
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2])


def test_each_gradient_has_the_type_of_its_tensor(backend):
    x = leaf(1.0, 2.0, backend=backend, dtype=np.float32)
    w = leaf(3.0, 4.0, backend=backend, dtype=np.float64)
    middle = x * 2
    middle.retain_grad()
    y = middle * w
    (y.to(np.float32)).backward(tensor(np.ones(2), backend=backend))
    assert [t.grad.dtype for t in (x, middle, w)] == [np.float32, np.float32, np.float64]
    (output := x * 3).retain_grad()
    output.backward(tensor(np.ones(2), backend=backend))
    assert output.grad.dtype == np.float32


def test_errors_about_where_to_start_say_what_to_do(backend):
    x = leaf(1.0, 2.0, backend=backend)
    with pytest.raises(
        RuntimeError, match=r"shape \(2,\); without a gradient .* reduce it, with .sum\(\) say, or pass"
    ):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\) but the output has shape \(2,\)"):
        (x * 2).backward(tensor(np.ones(3), backend=backend))
    with pytest.raises(RuntimeError, match=r"does not require grad: nothing it was computed from"):
        tensor([1.0], backend=backend).backward()
    with pytest.raises(ValueError, match="got 1 grad_outputs for 2 outputs"):
        grad([x.sum(), x.sum()], x, [tensor(1.0, backend=backend)])


# ----------------------------------------------------------------------------------------------- leaves and the middle
def test_only_leaves_and_those_that_asked_keep_their_gradient(backend):
    x = leaf(1.0, 2.0, backend=backend)
    a = x * 2
    b = a * 3
    b.retain_grad()
    (b * b).sum().backward()
    assert a.grad is None
    np.testing.assert_array_equal(b.grad.numpy(), 2 * b.numpy())
    np.testing.assert_array_equal(x.grad.numpy(), 12 * b.numpy())
    with pytest.raises(RuntimeError, match="does not require grad"):
        tensor([1.0]).retain_grad()


def test_gradients_share_memory_with_nothing(backend):
    x, y, z = (leaf(1.0, 2.0, backend=backend) for _ in "xyz")
    total, g = x + y + z.reshape(2), tensor(np.array([1.0, 5.0]), backend=backend)
    total.retain_grad()
    total.backward(g)
    arrays = [x.grad.data, y.grad.data, z.grad.data, total.grad.data, g.data]
    for array in arrays:
        array += 1
    for array in arrays:
        np.testing.assert_array_equal(Tensor(array).numpy(), [2, 6])


@pytest.mark.parametrize("join", ["concatenate", "stack", "add", "reserve"])
def test_gradients_that_grad_returns_share_memory_with_nothing_either(backend, join):
    x, y = (tensor(np.ones((2, 2)), backend=backend, requires_grad=True) for _ in "xy")
    joined = {
        "concatenate": lambda: ops.concatenate([x, y], 1),
        "stack": lambda: ops.stack([x, y]),
        "add": lambda: x + y,
        "reserve": lambda: ops.concatenate([ops.reserve(x, 4), y], 1),
    }[join]()
    g = tensor(np.ones(joined.shape), backend=backend)
    found = grad([joined, x * 1], [x, y, joined], [g, tensor(np.ones((2, 2)), backend=backend)])
    for array in [*(f.data for f in found), g.data]:
        array += 1
    wanted = [3, 2, 2]
    for f, number in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(f.numpy(), np.full(f.shape, number))


def test_requires_grad_can_be_switched_at_leaves_only(backend):
    x = tensor([1.0], backend=backend)
    assert not (x * 2).requires_grad
    assert x.requires_grad_() is x
    y = x * 2
    assert y.requires_grad
    assert (x.is_leaf, y.is_leaf) == (True, False)
    with pytest.raises(RuntimeError, match="computed by an op: use detach"):
        y.requires_grad_(False)
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(RuntimeError, match="only floating-point tensors have gradients, this one is int64"):
        tensor([1], backend=backend).requires_grad_()


def test_grad_can_be_set_to_a_tensor_of_the_shape_or_none(backend):
    x = leaf(1.0, 2.0, backend=backend)
    x.grad = tensor(np.array([5.0, 5.0]), backend=backend)
    x.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [6, 6])
    x.grad = None
    assert x.grad is None
    with pytest.raises(ValueError, match=r"shape \(3,\) for a tensor that wants shape \(2,\)"):
        x.grad = tensor(np.ones(3))
    with pytest.raises(ValueError, match="wants no gradient"):
        tensor([1.0]).grad = tensor([1.0])
    with pytest.raises(TypeError, match="expected a tensor or None, got ndarray"):
        x.grad = np.ones(2)


# ---------------------------------------------------------------------------------------------------------------- modes
def test_no_grad_and_enable_grad_are_contexts_and_decorators(backend):
    x = leaf(1.0, backend=backend)
    with no_grad():
        assert not is_grad_enabled()
        assert not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert is_grad_enabled()

    @no_grad()
    def double(x):
        return x * 2

    assert [double(x).requires_grad for _ in range(2)] == [False, False]
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled()


def test_no_grad_holds_in_its_own_thread_only():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((leaf(1.0) * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_going_backward_works_under_no_grad_and_restores_the_mode_after_an_error(backend):
    @primitive
    def broken(x, /):
        return x.data * 1, lambda g: 1 / 0

    x = leaf(1.0, backend=backend)
    y = x * 2
    with no_grad():
        y.backward()
    assert x.grad.item() == 2
    with pytest.raises(ZeroDivisionError):
        broken(x).backward()
    assert is_grad_enabled()


# --------------------------------------------------------------------------------------------------------------- errors
def test_a_pullback_of_the_wrong_shape_is_named(backend):
    @primitive
    def crooked(x, /):
        return x.data * 1, lambda g: g[:1]

    with pytest.raises(RuntimeError, match=r"crooked: a pullback returned shape \(1,\) for an input of shape \(2,\)"):
        crooked(leaf(1.0, 2.0, backend=backend)).sum().backward()


def test_broadcasting_is_undone_for_any_pullback(backend):
    @primitive
    def spread(x, /):
        return np.broadcast_to(x.data, (3, *x.shape)) * 1, lambda g: g

    x = leaf(1.0, 2.0, backend=backend)
    spread(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])


def test_arrays_of_two_libraries_do_not_mix(monkeypatch):
    class Foreign(np.ndarray):
        """Plays an array on a device."""

    real = minidl.backend.name_of
    monkeypatch.setattr(minidl.backend, "name_of", lambda x: "cupy" if isinstance(x, Foreign) else real(x))
    x, y = leaf(1.0, 2.0), Tensor(np.ones(2).view(Foreign))
    wanted = r"on cupy and numpy, but all must be on one backend: move them with \.to\('cupy'\) or \.to\('numpy'\)"
    for op in (lambda: x * y, lambda: y * x, lambda: x @ y, lambda: ops.concatenate([x, y]), lambda: x == y):
        with pytest.raises(BackendError, match=wanted):
            op()
    with pytest.raises(BackendError, match=wanted):
        (x * 2).backward(y)


# ---------------------------------------------------------------------------------------------------------- accelerated
@pytest.fixture
def scaled_square(monkeypatch):
    """x² w, with a kernel for NumPy arrays, and the calls to both."""
    calls = []

    def kernel(x, w):
        calls.append("kernel")

        def pull(g, wanted):
            calls.append("pull")
            return [2 * g * x * w if wanted[0] else None, np.atleast_1d((g * x * x).sum()) if wanted[1] else None]

        return x * x * w, pull

    @accelerated(by="scaled_square")
    def scaled_square(x, w, /):
        calls.append("composition")
        return x * x * w

    monkeypatch.setattr(minidl.kernels.table(np.zeros(1)), "scaled_square", kernel, raising=False)
    return scaled_square, calls


def test_a_kernel_stands_in_for_the_composition_until_a_gradient_of_a_gradient_is_wanted(scaled_square):
    op, calls = scaled_square
    x, w = leaf(1.0, 2.0), leaf(3.0)
    y = op(x, w).sum()
    first = grad(y, [x, w], retain_graph=True)
    assert calls == ["kernel", "pull"]
    again = grad(y, [x, w], create_graph=True)
    assert calls == ["kernel", "pull", "composition"]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy())
    calls.clear()
    with minidl.definitions():
        op(x, w)
    assert calls == ["composition"]
    op(tensor([1, 2]), tensor([3]))
    assert calls == ["composition"] * 2  # there are no kernels for integers


@pytest.mark.parametrize("wanted", ["x", "w", "xw"])
def test_the_second_derivative_of_a_kernel_is_its_compositions_when_one_input_is_computed_from_another(
    scaled_square, wanted
):
    op, _ = scaled_square

    def second(function):
        x, w = leaf(1.0, 2.0), leaf(3.0)
        sources = [{"x": x, "w": w}[name] for name in wanted]
        y = function(x * w, w * x.sum())  # both depend on both
        first = grad(y.sum(), sources, create_graph=True)
        return [*first, *grad(sum((g * g).sum() for g in first), [x, w])]

    def by_hand(x, w):
        return x * x * w

    for a, b in zip(second(op), second(by_hand), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_a_kernel_whose_input_comes_twice_passes_both_gradients_on(scaled_square):
    op, _ = scaled_square
    x = leaf(3.0)
    op(x, x).backward()
    assert x.grad.item() == 27
    assert derivatives(lambda x: op(x, x).sum(), x, 3) == [27, 27, 18, 6]


def test_an_array_changed_since_is_noticed_also_through_a_detached_tensor_and_in_buffers():
    p, w = leaf(1.0, 1.0), leaf(1.0, 1.0)
    y = (p.detach() * w).sum()
    p.grad = tensor([5.0, 5.0], np.float64)
    optim.SGD([p], lr=1.0).step()
    with pytest.raises(RuntimeError, match="'multiply' was computed from has been changed in place"):
        y.backward()
    norm = nn.BatchNorm1d(2).to(np.float64)
    y = (norm.running_mean * w).sum()
    norm(minidl.tensor([[1.0, 2.0], [3.0, 4.0]]).to(np.float64))
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_a_leaf_frozen_for_a_while_still_gets_what_it_is_owed():
    x = leaf(2.0)
    y = x * 3
    x.requires_grad_(False).requires_grad_(True)
    y.sum().backward()
    assert x.grad.item() == 3
    assert x.requires_grad_(False).grad.item() == 3


def test_an_op_that_is_put_together_wrongly_says_so():
    with pytest.raises(TypeError, match="slash behind the parameters that are tensors"):

        @primitive
        def without_slash(x):
            return x.data, lambda g: g

    @primitive
    def alone(x, /):
        return x.data * 2

    @primitive
    def raw(x, /):
        return x.data * 2, lambda g: g.data * 2

    with pytest.raises(TypeError, match=r"alone: must return its value and 1 pullbacks, .* got a value alone"):
        alone(leaf(1.0, 2.0))
    with pytest.raises(TypeError, match="raw: a pullback returned a ndarray: write it in tensor arithmetic"):
        raw(leaf(1.0, 2.0)).sum().backward()


def test_an_error_of_numpy_names_the_op_and_the_shapes():
    with pytest.raises(ValueError, match=r"add of \(2,\) and \(3,\): operands could not be"):
        leaf(1.0, 2.0) + leaf(1.0, 2.0, 3.0)
