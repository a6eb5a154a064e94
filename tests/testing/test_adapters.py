"""Other engines pass the checks where they are right, to the orders they know, and are caught where they are not."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minidl.testing import adapters, check_engine, gradcheck


class Value:
    """A scalar as in micrograd; gradients stay where they are. Its `halve` goes back wrong."""

    def __init__(self, data, parents=(), pull=lambda g: ()):
        self.data, self.grad, self.parents, self.pull = data, 0.0, parents, pull

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), lambda g: (g, g))

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), lambda g: (g * other.data, g * self.data))

    def __pow__(self, n):
        return Value(self.data**n, (self,), lambda g: (g * n * self.data ** (n - 1),))

    def halve(self):
        return Value(self.data / 2, (self,), lambda g: (g,))

    def backward(self):
        order, met = [], set()

        def visit(node):
            if node not in met:
                met.add(node)
                for parent in node.parents:
                    visit(parent)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for parent, g in zip(node.parents, node.pull(node.grad), strict=True):
                parent.grad += g


def of_torch():
    torch = pytest.importorskip("torch")

    class Halve(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x / 2

        @staticmethod
        def backward(ctx, g):
            return g

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            return g * 3 * ctx.saved_tensors[0].detach() ** 2

    return SimpleNamespace(engine=adapters.PyTorch(torch), halve=Halve.apply, cube=Cube.apply)


def of_autograd():
    autograd = pytest.importorskip("autograd")
    from autograd.extend import defvjp, primitive
    from autograd.tracer import getval

    @primitive
    def halve(x):
        return x / 2

    cube = primitive(lambda x: x**3)
    defvjp(halve, lambda y, x: lambda g: g)
    defvjp(cube, lambda y, x: lambda g: g * 3 * getval(x) ** 2)
    return SimpleNamespace(engine=adapters.Autograd(autograd), halve=halve, cube=cube)


def of_jax():
    jax = pytest.importorskip("jax")

    @jax.custom_vjp
    def halve(x):
        return x / 2

    cube = jax.custom_vjp(lambda x: x**3)
    halve.defvjp(lambda x: (x / 2, None), lambda _, g: (g,))
    cube.defvjp(lambda x: (x**3, x), lambda x, g: (g * 3 * jax.lax.stop_gradient(x) ** 2,))
    return SimpleNamespace(engine=adapters.JAX(jax), halve=halve, cube=cube)


def of_scalars():
    return SimpleNamespace(engine=adapters.Scalars(Value), halve=np.vectorize(Value.halve, otypes=[object]))


def of_micrograd():
    value = pytest.importorskip("micrograd.engine").Value

    def halve(x):
        y = value(x.data / 2, (x,))

        def backward():
            x.grad += y.grad

        y._backward = backward
        return y

    return SimpleNamespace(engine=adapters.Scalars(value), halve=np.vectorize(halve, otypes=[object]))


LIBRARIES = {f.__name__.removeprefix("of_"): f for f in (of_torch, of_autograd, of_jax, of_scalars, of_micrograd)}


@pytest.fixture(params=LIBRARIES)
def library(request):
    """An adapter with its library, and an op of that which halves and goes back wrong. (JAX counts in float64.)"""
    found = LIBRARIES[request.param]()
    if request.param == "jax":
        found.engine.jax.config.update("jax_enable_x64", True)
    yield found
    if request.param == "jax":
        found.engine.jax.config.update("jax_enable_x64", False)


def knows_order_2(library):
    return not isinstance(library.engine, adapters.Scalars)


def data(*shape, dtype=np.float64):
    return np.random.default_rng(len(shape)).uniform(0.5, 1.5, shape).astype(dtype)


def polynomial(x, y, unused):
    """Two outputs of three inputs, with broadcasting."""
    return x**3 * y + x, y * y


def test_a_right_function_passes_to_the_order_that_the_library_knows(library):
    order = 2 if knows_order_2(library) else 1
    report = gradcheck(polynomial, [data(3, 2), data(2), data(2)], order=order, engine=library.engine)
    assert report.ok
    assert len(report.rows) == (3 if order == 1 else 3 + 5)
    assert [row.analytic for row in report.rows if row.input == "input 2"] == [0] * order


def test_complex_steps_go_through_the_libraries(library):
    report = gradcheck(lambda x, y: x**3 * y, [data(3, 2), data(2)], mode="complex", engine=library.engine)
    assert max(row.error for row in report.rows) < 1e-14


def test_a_wrong_op_of_the_library_is_found_and_the_mistake_named(library):
    report = gradcheck(lambda x: library.halve(x) * x, [data(4)], engine=library.engine, raise_exception=False)
    assert report.broken == ("slope",)
    report = gradcheck(library.halve, [data(4)], engine=library.engine, raise_exception=False)
    assert "off by a factor of 2" in str(report)
    if knows_order_2(library):  # the libraries wrap their ops, but the report knows where they come from
        assert report.function.lower() == "halve"
        assert Path(report.source.split(":")[0]).name == Path(__file__).name


def test_a_gradient_that_cannot_be_differentiated_is_found_at_order_2(library):
    if not knows_order_2(library):
        with pytest.raises(NotImplementedError, match="use order=1"):
            gradcheck(lambda x: x * x, [data(2)], order=2, engine=library.engine)
        return
    assert gradcheck(library.cube, [data(3)], engine=library.engine).ok
    report = gradcheck(library.cube, [data(3)], order=2, engine=library.engine, raise_exception=False)
    assert [(row.input, row.ok) for row in report.rows] == [("input 0", True), ("input 0", False), ("upstream 0", True)]


def test_integers_are_passed_on_and_outputs_without_a_gradient_left_out(library):
    picks = np.array([2, 0, 2])
    report = gradcheck(lambda x, i: x[i] * x[i], [data(3), picks], engine=library.engine)
    assert [row.input for row in report.rows] == ["input 0"]
    if knows_order_2(library):
        assert gradcheck(lambda x, i: [i, x[i]], [data(3), picks], engine=library.engine).ok


def test_what_depends_on_no_input_has_a_gradient_of_zeros(library):
    constant = library.engine.tensor(np.ones(2))
    report = gradcheck(lambda x: [constant, constant * constant], [data(2)], engine=library.engine)
    assert [row.analytic for row in report.rows] == [0]


def test_inputs_without_axes_and_without_elements_work(library):
    assert gradcheck(lambda x, y: x * y, [np.array(2.0), np.array(3.0)], engine=library.engine).ok
    assert gradcheck(lambda x: x * x, [np.ones((0, 2))], engine=library.engine).ok


def test_float32_stays_float32_or_is_refused(library):
    inputs = [data(3, 2, dtype=np.float32), data(2, dtype=np.float32), data(2, dtype=np.float32)]
    if knows_order_2(library):
        assert gradcheck(polynomial, inputs, engine=library.engine).ok
    else:
        with pytest.raises(TypeError, match="float64; got float32: convert it"):
            gradcheck(polynomial, inputs, engine=library.engine)


def test_a_function_that_returns_something_else_is_refused(library):
    with pytest.raises(TypeError, match="must return what the engine computes with; got str"):
        gradcheck(lambda x: "x", [data(2)], engine=library.engine)


def test_graphs_can_be_gone_through_again_and_give_the_same(library):
    engine = library.engine
    _, pull = engine.vjp(lambda x: (x * x) * (x * x), [engine.tensor(data(2))])
    first, again = (engine.array(pull([engine.tensor(np.ones(2))])[0]) for _ in range(2))
    np.testing.assert_allclose(first, 4 * data(2) ** 3)
    np.testing.assert_array_equal(first, again)


def test_the_engines_go_through_graphs_as_they_should_but_for_recursion_in_micrograd(library):
    concatenate = {
        adapters.PyTorch: lambda xs, axis: library.engine.torch.cat(xs, axis),
        adapters.Autograd: lambda xs, axis: library.engine.autograd.numpy.concatenate(xs, axis),
        adapters.JAX: lambda xs, axis: library.engine.jax.numpy.concatenate(xs, axis),
        adapters.Scalars: np.concatenate,
    }[type(library.engine)]
    depth = 2000 if type(library.engine) is adapters.Scalars else 200
    report = check_engine(library.engine, concatenate=concatenate, depth=depth, raise_exception=False)
    assert report.broken == (("depth",) if type(library.engine) is adapters.Scalars else ())


def test_pytorch_shares_memory_where_it_can():
    engine = of_torch().engine
    array = data(3, 2)
    assert np.shares_memory(engine.array(engine.tensor(array)), array)
    frozen = np.broadcast_to(array, (4, 3, 2))
    for given in (array[::-1], frozen, np.float64(2)):
        np.testing.assert_array_equal(engine.array(engine.tensor(given)), given)


def test_the_weights_of_a_pytorch_module_can_be_inputs():
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(3, 2)

    def call(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    assert gradcheck(call, [data(4, 3), data(2, 3), data(2)], order=2, engine=adapters.PyTorch(torch)).ok


def test_jax_in_float32_is_told_how_to_count_in_float64():
    engine = of_jax().engine
    with pytest.raises(TypeError, match=r'call jax.config.update\("jax_enable_x64", True\) before'):
        gradcheck(lambda x: x * x, [data(2)], engine=engine)


def test_an_autograd_op_of_two_inputs_is_checked_with_both_at_once():
    library = of_autograd()
    from autograd.extend import defvjp_argnums, primitive

    product = primitive(lambda x, y: x * y)
    defvjp_argnums(product, lambda argnums, ans, args, kwargs: lambda g: [g * args[i] for i in argnums])
    report = gradcheck(product, [data(3), data(3)[::-1]], engine=library.engine, raise_exception=False)
    assert [fault.law for fault in report.faults] == ["slope", "slope"]
    assert "it is the gradient of input 1" in str(report)


def test_an_autograd_op_that_leaves_broadcasting_as_it_is_has_a_gradient_of_the_wrong_shape():
    library = of_autograd()
    from autograd.extend import defvjp, primitive

    add = primitive(lambda x, y: x + y)
    defvjp(add, lambda ans, x, y: lambda g: g, lambda ans, x, y: lambda g: g)
    report = gradcheck(add, [data(4, 3), data(3)], engine=library.engine, raise_exception=False)
    assert report.broken == ("shape",)
    assert "input 1 has shape (3,) but its gradient has shape (4, 3): broadcasting not undone?" in str(report)
