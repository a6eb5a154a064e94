"""Right engines keep the laws; of each way to be wrong the law that it breaks is named."""

import numpy as np
import pytest

import minidl
from minidl.testing.adapters import Autograd, PyTorch
from minidl.testing.engine import Minidl
from minidl.testing.engine_law import check_engine
from minidl.testing.report import GradientError


class Matrix:
    """The tensors of a right engine: values that remember their parents and how a gradient becomes theirs."""

    count = 0

    def __init__(self, value, *edges):
        self.value, self.edges, self.grad = value, edges, 0
        Matrix.count += 1
        self.number = Matrix.count

    def __add__(self, other):
        return Matrix(self.value + other.value, (self, lambda g: g), (other, lambda g: g))

    def __mul__(self, other):
        return Matrix(self.value * other.value, (self, lambda g: g * other.value), (other, lambda g: g * self.value))

    def __getitem__(self, index):
        def pull(g):
            whole = np.zeros_like(self.value)
            whole[index] = g
            return whole

        return Matrix(self.value[index], (self, pull))


def concatenate(xs, axis):
    ends = np.cumsum([x.value.shape[axis] for x in xs])
    starts = ends - [x.value.shape[axis] for x in xs]
    pulls = [lambda g, a=a, b=b: g[:, a:b] for a, b in zip(starts, ends, strict=True)]
    return Matrix(np.concatenate([x.value for x in xs], axis), *zip(xs, pulls, strict=True))


def swapped(xs, axis):
    """Hands the gradient out in the wrong order."""
    (x, to_x), (y, to_y) = concatenate(xs, axis).edges
    return Matrix(np.concatenate([x.value, y.value], axis), (x, to_y), (y, to_x))


def in_order(y):
    """All that y was computed from, the latest first."""
    found, stack = {y}, [y]
    while stack:
        for parent, _ in stack.pop().edges:
            if parent not in found:
                found.add(parent)
                stack.append(parent)
    return sorted(found, key=lambda x: -x.number)


class Right:
    aliasing = True

    def tensor(self, array):
        return Matrix(array)

    def array(self, x):
        return x.value

    def vjp(self, fn, xs):
        y = fn(*xs)

        def pull(gs):
            for x in in_order(y):
                x.grad = 0
            self.backward(y, gs[0].value)
            return [Matrix(x.grad + np.zeros_like(x.value)) for x in xs]

        return [y], pull

    def backward(self, y, g):
        y.grad = g
        for x in in_order(y):
            for parent, pull in x.edges:
                parent.grad = parent.grad + pull(x.grad)


class Overwrites(Right):
    def backward(self, y, g):
        y.grad = g
        for x in in_order(y):
            for parent, pull in x.edges:
                parent.grad = pull(x.grad)


class InAnyOrder(Right):
    """Visits each node once, as soon as it is met."""

    def backward(self, y, g):
        y.grad = g
        met, stack = {y}, [y]
        while stack:
            x = stack.pop()
            for parent, pull in x.edges:
                parent.grad = parent.grad + pull(x.grad)
                if parent not in met:
                    met.add(parent)
                    stack.append(parent)


class ByPath(Right):
    """Right, after 2ⁿ visits."""

    def backward(self, y, g):
        stack = [(y, g)]
        while stack:
            x, g = stack.pop()
            x.grad = x.grad + g
            stack += [(parent, pull(g)) for parent, pull in x.edges]


class Recursive(Right):
    def backward(self, y, g):
        order, met = [], set()

        def visit(x):
            if x not in met:
                met.add(x)
                for parent, _ in x.edges:
                    visit(parent)
                order.append(x)

        visit(y)
        y.grad = g
        for x in reversed(order):
            for parent, pull in x.edges:
                parent.grad = parent.grad + pull(x.grad)


class Stale(Right):
    """Clears the gradients of the inputs, and not those on the way."""

    def vjp(self, fn, xs):
        y = fn(*xs)

        def pull(gs):
            for x in xs:
                x.grad = 0
            y.grad = gs[0].value
            for x in in_order(y):
                for parent, pull in x.edges:
                    parent.grad = parent.grad + pull(x.grad)
            return [Matrix(x.grad + np.zeros_like(x.value)) for x in xs]

        return [y], pull


class Clipped(Right):
    """Gradients of at most 99."""

    def backward(self, y, g):
        super().backward(y, g)
        for x in in_order(y):
            x.grad = np.minimum(x.grad, 99)


class Coarse(Right):
    """Values in float32, called float64."""

    def vjp(self, fn, xs):
        (y,), pull = super().vjp(fn, xs)
        return [Matrix(np.float64(np.float32(y.value)))], pull


def test_minidl_keeps_the_laws():
    assert check_engine(Minidl(), concatenate=minidl.concatenate).ok


def test_other_peoples_engines_keep_the_laws():
    torch = pytest.importorskip("torch")
    autograd = pytest.importorskip("autograd")
    assert check_engine(PyTorch(torch), concatenate=torch.cat).ok
    assert check_engine(Autograd(autograd), concatenate=autograd.numpy.concatenate).ok


def test_a_right_engine_keeps_the_laws_with_slices_and_concatenation_or_without():
    assert check_engine(Right(), concatenate=concatenate).ok
    assert check_engine(Right(), slices=False).ok


@pytest.mark.parametrize(
    ("engine", "broken", "says"),
    [
        (Overwrites, ("paths", "depth"), "d ← a counts 0 times\n    d ← c ← a counts once"),
        (InAnyOrder, ("paths",), "is not the sum over all paths"),
        (ByPath, ("visits",), r"n = 4, 8, 12 diamonds took \d+, \d{4}, \d{5,} calls"),
        (Recursive, ("depth",), "a chain of 10000 ops is too deep: RecursionError: maximum recursion"),
        (Stale, ("again",), "asked for again, is .* and should be"),
        (Clipped, ("depth",), r"the gradients by a and b are \[1.0, 99.0\], not \[1, 10000\]"),
        (Coarse, ("value",), "d is .* and should be"),
    ],
)
def test_a_wrong_engine_breaks_the_law_that_is_against_its_mistake(engine, broken, says):
    with pytest.raises(GradientError, match=says) as caught:
        check_engine(engine(), concatenate=concatenate)
    assert caught.value.report.broken == broken


def test_slices_handed_out_in_the_wrong_order_are_found():
    report = check_engine(Right(), concatenate=swapped, raise_exception=False)
    assert report.broken == ("paths",)
    assert "d = concatenate(a, b)" in str(report)


def test_a_recursive_engine_is_right_where_it_is_not_asked_for_more():
    assert check_engine(Recursive(), concatenate=concatenate, depth=200).ok


def test_an_error_of_the_engines_own_says_on_which_graph():
    def refuse(xs, axis):
        raise NotImplementedError("not yet")

    with pytest.raises(NotImplementedError, match="not yet") as caught:
        check_engine(Right(), concatenate=refuse)
    assert "d = concatenate(a, b)" in caught.value.__notes__[0]
