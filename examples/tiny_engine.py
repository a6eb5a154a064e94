"""A small engine that is right: values with their derivatives beside them, a way back, and its adapter.

    print(gradcheck(gate, [x, w, b], engine=Tiny(Engine())))

wrong_gradients.py replaces its parts by wrong ones, one at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Var:
    """An array in a graph: what it was computed from, and how a gradient is pulled back to there."""

    births = itertools.count()

    def __init__(
        self, data: Array, parents: Sequence[Var] = (), pull: Callable[[Array], Sequence[Array]] = lambda g: ()
    ):
        self.data, self.parents, self.pull = data, parents, pull
        self.grad: Any = None
        self.birth = next(Var.births)

    def __add__(self, other: Var) -> Var:
        return Var(self.data + other.data, (self, other), lambda g: (g, g))

    def __mul__(self, other: Var) -> Var:
        return Var(self.data * other.data, (self, other), lambda g: (g * other.data, g * self.data))


class Engine:
    """Goes back from outputs to all that they were computed from."""

    def backward(self, ys: Sequence[Var], gs: Sequence[Array]) -> None:
        """Leave the derivative of Σ ⟨y, g⟩ in the grad of every node; leaves add it to the one they have."""
        nodes = self.order(ys)
        for node in nodes:
            if node.parents:
                node.grad = None
        for y, g in zip(ys, gs, strict=True):
            self.receive(y, g)
        for node in nodes:
            for x, g in zip(node.parents, node.pull(node.grad), strict=True):
                self.receive(x, g)

    def receive(self, x: Var, g: Array) -> None:
        """Take in what one of the nodes that read x sends back."""
        if x.grad is None:
            x.grad = g.copy()
        else:
            x.grad += g

    def order(self, ys: Sequence[Var]) -> list[Var]:
        """The nodes behind ys, each before those that it was computed from: the youngest first."""
        return sorted(self.behind(ys), key=lambda node: node.birth, reverse=True)

    def behind(self, ys: Sequence[Var]) -> list[Var]:
        """All nodes that ys were computed from, and ys, in the order in which one meets them."""
        nodes = dict.fromkeys(ys)
        front = list(nodes)
        while front:
            front = [x for x in dict.fromkeys(x for node in front for x in node.parents) if x not in nodes]
            nodes.update(dict.fromkeys(front))
        return list(nodes)


def relu(x: Var) -> Var:
    """max(x, 0)."""
    return Var(np.maximum(x.data, 0), (x,), lambda g: (g * (x.data > 0),))


def sigmoid(x: Var) -> Var:
    """1 / (1 + e⁻ˣ)."""
    y = 1 / (1 + np.exp(-x.data))
    return Var(y, (x,), lambda g: (g * y * (1 - y),))


def linear(x: Var, w: Var, b: Var) -> Var:
    """x (N, F) · w (F, G) + b (G): the bias goes to every row."""
    return Var(x.data @ w.data + b.data, (x, w, b), lambda g: (g @ w.data.T, x.data.T @ g, g.sum(0)))


def concatenate(*xs: Var) -> Var:
    """The columns of all xs side by side."""
    ends = np.cumsum([x.data.shape[1] for x in xs])
    return Var(np.hstack([x.data for x in xs]), xs, lambda g: np.hsplit(g, ends[:-1]))


def batch_norm(x: Var) -> Var:
    """Every column less its mean, over its standard deviation."""
    deviation = np.sqrt(x.data.var(0) + 1e-5)
    y = (x.data - x.data.mean(0)) / deviation
    return Var(y, (x,), lambda g: ((g - g.mean(0) - y * (g * y).mean(0)) / deviation,))


def max_pool(x: Var) -> Var:
    """The larger one of each two neighbouring columns."""
    pairs = x.data.reshape(len(x.data), -1, 2)
    won = pairs.argmax(2)[..., None] == [0, 1]
    return Var(pairs.max(2), (x,), lambda g: ((g[..., None] * won).reshape(x.data.shape),))


def gate(x: Var, w: Var, b: Var) -> Var:
    """A squeeze-and-excitation gate: channels, averaged over the image already, scaled by what all of them say."""
    return x * sigmoid(linear(x, w, b))


class Tiny:
    """The engine as minidl.testing wants it: how to make a tensor, how to read it, how to go forward and back."""

    aliasing = False

    def __init__(self, engine: Engine):
        self.engine = engine

    def tensor(self, array: Array) -> Var:
        return Var(array)

    def array(self, x: Var) -> Array:
        return x.data

    def vjp(self, fn: Callable[..., Var], xs: Sequence[Var]) -> tuple[list[Var], Callable[..., list[Var | None]]]:
        leaves = [Var(x.data) for x in xs]
        y = fn(*leaves)

        def pull(gs: Sequence[Var]) -> list[Var | None]:
            for leaf in leaves:
                leaf.grad = None  # as zero_grad does
            self.engine.backward([y], [g.data for g in gs])
            return [None if leaf.grad is None else Var(leaf.grad) for leaf in leaves]

        return [y], pull
