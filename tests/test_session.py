"""A session with the engine, of any length: building, sharing, cutting, going backward from anywhere, again and again.

Each step is also taken by a naive engine, which walks every path, and after each everything is compared.
"""

import contextlib
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from minidl import Tensor, grad, no_grad, ops
from minidl.backend import array_module
from minidl.testing.strategies import arrays

MOST_PATHS, WIDEST = 64, 8
MOSTLY = st.sampled_from([True, True, True, False])


class Naive:
    """A tensor that is not clever: it knows its parents and how a gradient becomes theirs, and walks every path."""

    recording = True

    def __init__(self, value, *edges, requires_grad=False):
        self.value = value
        self.edges = [(x, pull) for x, pull in edges if x.requires_grad and Naive.recording]
        self.requires_grad = self.keeps_grad = requires_grad
        self.requires_grad |= bool(self.edges)
        self.paths = 1 + sum(x.paths for x, _ in self.edges)
        self.consumed, self.grad = False, None

    def __add__(self, other):
        return Naive(self.value + other.value, (self, self.fit), (other, other.fit))

    def __mul__(self, other):
        to_self, to_other = (lambda g: self.fit(g * other.value)), (lambda g: other.fit(g * self.value))
        return Naive(self.value * other.value, (self, to_self), (other, to_other))

    def __getitem__(self, index):
        def pull(g):
            whole = np.zeros_like(self.value)
            whole[index] = g
            return whole

        return Naive(self.value[index], (self, pull))

    def fit(self, g):
        return g if g.shape == self.value.shape else g.sum(1, keepdims=True)

    def detach(self):
        return Naive(self.value)

    def retain_grad(self):
        if not self.requires_grad:
            raise RuntimeError
        self.keeps_grad = True

    def lineage(self):
        """The tensor and all that it was computed from, some of it many times."""
        return [self, *(x for parent, _ in self.edges for x in parent.lineage())]

    def walk(self, g, arrived):
        arrived[self] = arrived.get(self, 0) + g
        for parent, pull in self.edges:
            parent.walk(pull(g), arrived)

    def go_back(self, g):
        if not self.requires_grad or any(x.consumed for x in self.lineage()):
            raise RuntimeError
        self.walk(g, arrived := {})
        return arrived

    def backward(self, g, retain_graph):
        for x, total in self.go_back(g).items():
            if x.keeps_grad:
                x.grad = total if x.grad is None else x.grad + total
            x.consumed |= bool(x.edges) and not retain_graph

    def derivative(self, source, g, retain_graph, allow_unused):
        if not source.requires_grad:
            raise RuntimeError
        arrived = self.go_back(g)
        if source not in arrived and not allow_unused:
            raise RuntimeError
        for x in arrived:  # what lies between is used up
            x.consumed |= x is not source and source in x.lineage() and not retain_graph
        return arrived.get(source)


def concatenate(xs):
    x, y = xs
    if isinstance(x, Tensor):
        return ops.concatenate(xs, 1)
    width = x.value.shape[1]
    return Naive(np.concatenate([x.value, y.value], 1), (x, lambda g: g[:, :width]), (y, lambda g: g[:, width:]))


class Twin(NamedTuple):
    """The same tensor in both engines."""

    real: Tensor
    naive: Naive


class Session(RuleBasedStateMachine):
    tensors = Bundle("tensors")

    def __init__(self, backend):
        super().__init__()
        self.backend, self.twins, self.silent = backend, [], 0

    @contextlib.contextmanager
    def mode(self):
        """Without recording, if this is one of the steps that are not to be recorded."""
        Naive.recording = self.silent == 0
        self.silent = max(self.silent - 1, 0)
        try:
            with contextlib.nullcontext() if Naive.recording else no_grad():
                yield
        finally:
            Naive.recording = True

    def make(self, f, *twins):
        """A new tensor, computed in both engines; but the first of the old ones, if it has too many paths."""
        with self.mode():
            made = Twin(*(f(*xs) for xs in zip(*twins, strict=True)))
        if made.naive.paths > MOST_PATHS or made.naive.value.shape[1] > WIDEST:
            return twins[0]
        self.twins.append(made)
        return made

    def upstream(self, twin, seed):
        """What to begin with going backward, and the same for minidl."""
        g = np.random.default_rng(seed).integers(1, 9, twin.naive.value.shape).astype(float)
        return g, Tensor(g.copy()).to(self.backend)

    def agree(self, naive, real):
        """Both raise, or both return the same."""
        try:
            wanted = naive()
        except RuntimeError:
            with pytest.raises(RuntimeError):
                real()
        else:
            check(real(), wanted)

    @initialize(target=tensors, values=arrays((2, 5), low=0.5, high=1.5, layout="C"))
    def begin(self, values):
        return multiple(*(self.leaf(value, True) for value in (values[:, :2], values[:, 2:4], values[:, 4:])))

    @rule(
        target=tensors,
        value=st.integers(1, 3).flatmap(lambda width: arrays((2, width), low=0.5, high=1.5, layout="C")),
        requires_grad=MOSTLY,
    )
    def leaf(self, value, requires_grad):
        real = Tensor(value.copy()).to(self.backend).requires_grad_(requires_grad)
        self.twins.append(Twin(real, Naive(value, requires_grad=requires_grad)))
        return self.twins[-1]

    def fitting(self, x, y):
        """y, or if its width is none that goes with x, its first column."""
        widths = {x.naive.value.shape[1], y.naive.value.shape[1]}
        return y if len(widths - {1}) < 2 else self.make(lambda y: y[:, :1], y)

    @rule(target=tensors, x=tensors, y=tensors)
    def add(self, x, y):
        return self.make(lambda x, y: x + y, x, self.fitting(x, y))

    @rule(target=tensors, x=tensors, y=tensors)
    def multiply(self, x, y):
        return self.make(lambda x, y: x * y, x, self.fitting(x, y))

    @rule(target=tensors, x=tensors, y=tensors)
    def concatenate(self, x, y):
        return self.make(lambda x, y: concatenate([x, y]), x, y)

    @rule(target=tensors, x=tensors, start=st.integers(0, WIDEST - 1), count=st.integers(1, WIDEST))
    def slice(self, x, start, count):
        start = min(start, x.naive.value.shape[1] - 1)
        return self.make(lambda x: x[:, start : start + count], x)

    @rule(target=tensors, x=tensors, room=st.integers(0, 4))
    def reserve(self, x, room):
        """Room for concatenation in place; to the naive engine, times one."""
        ones = np.ones_like(x.naive.value)
        with self.mode():
            self.twins.append(Twin(ops.reserve(x.real, x.real.shape[1] + room), x.naive * Naive(ones)))
        return self.twins[-1]

    @rule(target=tensors, x=tensors)
    def detach(self, x):
        return self.make(lambda x: x.detach(), x)

    @rule(x=tensors)
    def retain_grad(self, x):
        self.agree(x.naive.retain_grad, x.real.retain_grad)

    @rule(steps=st.integers(0, 3))
    def no_grad(self, steps):
        self.silent = steps

    @rule(x=tensors)
    def zero_grad(self, x):
        x.real.grad = x.naive.grad = None

    @rule(y=tensors, retain_graph=MOSTLY, seed=st.integers(0, 9))
    def backward(self, y, retain_graph, seed):
        g, real_g = self.upstream(y, seed)
        with self.mode():
            self.agree(lambda: y.naive.backward(g, retain_graph), lambda: y.real.backward(real_g, retain_graph))
        check(real_g, g)

    @rule(back=st.integers(0, 3), retain_graph=MOSTLY, seed=st.integers(0, 9))
    def backward_from_one_of_the_latest(self, back, retain_graph, seed):
        ready = [x for x in self.twins if x.naive.requires_grad and not any(y.consumed for y in x.naive.lineage())]
        self.backward(ready[-1 - back % len(ready)], retain_graph, seed)

    @rule(y=tensors, x=tensors, retain_graph=MOSTLY, allow_unused=MOSTLY, seed=st.integers(0, 9))
    def grad(self, y, x, retain_graph, allow_unused, seed):
        g, real_g = self.upstream(y, seed)
        options = {"retain_graph": retain_graph, "allow_unused": allow_unused}
        with self.mode():
            self.agree(
                lambda: y.naive.derivative(x.naive, g, **options), lambda: grad(y.real, x.real, real_g, **options)[0]
            )
        check(real_g, g)

    @invariant()
    def nothing_differs(self):
        for real, naive in self.twins:
            assert real.requires_grad == naive.requires_grad
            check(real, naive.value)
            check(real.grad, naive.grad)

    @invariant()
    def no_gradient_shares_memory(self):
        gradients = [real.grad.data for real, _ in self.twins if real.grad is not None]
        held = [*gradients, *(real.data for real, _ in self.twins)]
        for k, g in enumerate(gradients):
            assert not any(array_module(g).shares_memory(g, other) for other in held[k + 1 :])


def check(real, wanted):
    assert (real is None) == (wanted is None)
    if wanted is not None:
        np.testing.assert_allclose(real.numpy(), wanted, rtol=1e-9)


def test_whatever_is_done_in_whatever_order_minidl_agrees_with_a_naive_engine(backend):
    more = settings(max_examples=4 * settings.default.max_examples)
    run_state_machine_as_test(lambda: Session(backend), settings=more)
