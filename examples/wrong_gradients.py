"""A gallery of wrong gradients: ten engines and ops, wrong as people get them wrong, and the check that finds each.

    python examples/wrong_gradients.py               # all ten
    python examples/wrong_gradients.py overwritten   # one of them

Each replaces one method or one op of tiny_engine.py, which is right. wrong_gradients.md is the guide.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import itertools
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from tiny_engine import Array, Engine, Tiny, Var, batch_norm, concatenate, gate, linear, max_pool, relu, sigmoid

from minidl.testing import Report, check_engine, gradcheck

# --------------------------------------------------------------------------------------------------- a network to train


def train(engine: Engine, steps: int = 1000, **instead: Callable[..., Var]) -> list[float]:
    """The losses while a small network learns a function of two variables; ops may be replaced by name."""
    ops = SimpleNamespace(
        **{op.__name__: op for op in (relu, linear, concatenate, batch_norm, max_pool, gate)} | instead
    )
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (128, 2))
    target = np.sin(3 * x[:, :1]) * np.cos(2 * x[:, 1:])
    sizes = [(2, 8), (8, 8), (8, 8), (16, 16), (8, 1)]
    params = [(Var(rng.normal(0, np.sqrt(2 / n), (n, m))), Var(np.zeros(m))) for n, m in sizes]
    losses = []
    for _ in range(steps):
        y = network(ops, Var(x), params)
        losses.append(float(np.mean((y.data - target) ** 2)))
        engine.backward([y], [2 * (y.data - target) / len(target)])
        for p in itertools.chain(*params):
            if p.grad is not None:
                p.data = p.data - 0.1 * p.grad
            p.grad = None
    return losses


def network(ops: Any, x: Var, params: Sequence[tuple[Var, Var]]) -> Var:
    """A layer that is normalised, one with a skip, one that is concatenated, a gate, a pooling, and the output."""
    h = ops.relu(ops.batch_norm(ops.linear(x, *params[0])))
    h = h + ops.relu(ops.linear(h, *params[1]))
    h = ops.concatenate(h, ops.relu(ops.linear(h, *params[2])))
    h = ops.max_pool(ops.gate(h, *params[3]))
    return ops.linear(h, *params[4])


# ---------------------------------------------------------------------------------------------------------- the gallery


@dataclass(frozen=True)
class Exhibit:
    """An engine or an op that is wrong, what it stands in for, and where to look at it."""

    wrong: Any
    right: Any
    on: Callable[..., Var] | None
    at: Sequence[Any]

    @property
    def name(self) -> str:
        return str(self.wrong.__name__.lower())

    @property
    def checker(self) -> str:
        return "gradcheck" if self.at else "check_engine"

    def check(self, right: bool = False) -> Report:
        """What the checker says to it, or to what is right."""
        of_engine = isinstance(self.wrong, type)
        adapter = Tiny(self.wrong() if of_engine and not right else Engine())
        if self.checker == "check_engine":
            return check_engine(
                adapter, concatenate=lambda xs, axis: concatenate(*xs), slices=False, raise_exception=False
            )
        fn = self.on or (self.right if right else self.wrong)
        return gradcheck(fn, [np.asarray(x, float) for x in self.at], engine=adapter, raise_exception=False)

    def losses(self) -> list[float]:
        """Those of the network that is trained with it."""
        if isinstance(self.wrong, type):
            return train(self.wrong())
        return train(Engine(), **{self.right.__name__: self.wrong})

    def lines(self) -> str:
        """What stands there (-) and what should (+)."""
        lines = body(getattr(self.wrong, self.right.__name__, self.wrong)), body(self.right)
        return "\n".join(line for line in difflib.ndiff(*lines) if line[0] != "?")


GALLERY: dict[str, Exhibit] = {}


def instead_of(right: Any, on: Callable[..., Var] | None = None, at: Sequence[Any] = ()) -> Callable[[Any], Any]:
    """Hang an exhibit: checked as an op at these arrays, or as an engine, through a function of them or on graphs."""

    def hang(wrong: Any) -> Any:
        exhibit = Exhibit(wrong, right, on, at)
        GALLERY[exhibit.name] = exhibit
        return wrong

    return hang


def some(*shape: int) -> Array:
    """Numbers to look at functions at."""
    return np.random.default_rng(sum(shape)).normal(size=shape)


def residual(x: Var, w: Var, b: Var) -> Var:
    """A block with a skip connection."""
    return x + relu(linear(x, w, b))


def total(x: Var, y: Var) -> Var:
    """A sum, which sends the same gradient to both."""
    return x + y


@instead_of(Engine.order)
class Unordered(Engine):
    """A node passes its gradient on in the order in which one meets it, perhaps before all of it has arrived.

    Chains are right, and so are branches of equal length. Where a skip is shorter than what it skips, all that lies
    before it learns from the short way only: the loss still falls, but not as far.
    """

    def order(self, ys: Sequence[Var]) -> list[Var]:
        return self.behind(ys)


@instead_of(Engine.receive, on=residual, at=[some(3, 2), some(2, 2), some(2)])
class Overwritten(Engine):
    """Of the gradients that arrive at a node, only the last is kept.

    All is right as long as no value is used twice. With a skip connection the loss still falls, but not as far.
    """

    def receive(self, x: Var, g: Array) -> None:
        x.grad = g.copy()


@instead_of(Engine.backward)
class Exponential(Engine):
    """What arrives is passed on at once, so that a node is visited once for every path that leads to it.

    The numbers are right, but time doubles with every skip: through 20 residual blocks there are a million paths.
    """

    def backward(self, ys: Sequence[Var], gs: Sequence[Array]) -> None:
        for y, g in zip(ys, gs, strict=True):
            self.receive(y, g)
            self.backward(y.parents, y.pull(g))


@instead_of(Engine.receive, on=total, at=[some(3), some(3) + 1])
class Aliased(Engine):
    """The first array that arrives is kept as it is, though others may have it too: addition sends one to both sides.

    Nothing, for long. But in x + y + x, what is added to x's gradient is added to y's as well, which becomes 2; and who
    scales one gradient in place, to clip it, scales the other.
    """

    def receive(self, x: Var, g: Array) -> None:
        if x.grad is None:
            x.grad = g
        else:
            x.grad += g


@instead_of(linear, at=[some(4, 3), some(3, 2), some(2)])
def unsummed(x: Var, w: Var, b: Var) -> Var:
    """The bias goes to every row of x, but what the rows send back is not added up.

    The loss falls further than it should: with the first step the bias, of shape (G,), becomes (N, G), and the network
    learns its samples by heart, each with a bias of its own. Then a batch of another size comes, and an error.
    """
    return Var(x.data @ w.data + b.data, (x, w, b), lambda g: (g @ w.data.T, x.data.T @ g, g))


@instead_of(concatenate, at=[some(3, 2), some(3, 2) + 1])
def swapped(*xs: Var) -> Var:
    """Each of the inputs gets a slice of the gradient, but another's.

    If they differ in width, an error about shapes. If not, the loss still falls, but not as far.
    """
    ends = np.cumsum([x.data.shape[1] for x in xs])
    return Var(np.hstack([x.data for x in xs]), xs, lambda g: np.hsplit(g, ends[:-1])[::-1])


@instead_of(batch_norm, at=[some(4, 3)])
def constant_mean(x: Var) -> Var:
    """The mean moves with every number in its column, but is treated as a constant.

    Nothing: the loss falls as it does with right gradients, here even a little further.
    """
    deviation = np.sqrt(x.data.var(0) + 1e-5)
    y = (x.data - x.data.mean(0)) / deviation
    return Var(y, (x,), lambda g: ((g - y * (g * y).mean(0)) / deviation,))


@instead_of(max_pool, at=[[[1, 1, 2, 3], [0, 4, 5, 5]]])
def counted_twice(x: Var) -> Var:
    """Where two are equal and the largest, both get the whole gradient.

    Nothing: in this network only zeros behind a ReLU are equal, and those pass no gradient on. Pixels, or numbers of a
    few bits, often are, and then the gradient is twice what it should be.
    """
    pairs = x.data.reshape(len(x.data), -1, 2)
    won = pairs == pairs.max(2)[..., None]
    return Var(pairs.max(2), (x,), lambda g: ((g[..., None] * won).reshape(x.data.shape),))


@instead_of(Engine.backward)
class Stale(Engine):
    """Between inputs and output, gradients of the last pass are still there, and the next is added to them.

    Nothing, since every step makes a new graph. Whoever goes back through one graph twice, for two losses on one trunk
    or in a notebook, gets too large a gradient the second time, although those of the leaves were set to zero.
    """

    def backward(self, ys: Sequence[Var], gs: Sequence[Array]) -> None:
        nodes = self.order(ys)
        for y, g in zip(ys, gs, strict=True):
            self.receive(y, g)
        for node in nodes:
            for x, g in zip(node.parents, node.pull(node.grad), strict=True):
                self.receive(x, g)


@instead_of(gate, at=[some(4, 2), some(2, 2), some(2)])
def detached(x: Var, w: Var, b: Var) -> Var:
    """The gate's numbers are taken out of the graph, so that no gradient reaches what opens and closes it.

    The loss still falls, but not as far: the gate's weights stay what they were in the beginning.
    """
    return x * Var(sigmoid(linear(x, w, b)).data)


# ------------------------------------------------------------------------------------------------------------- the tour


def body(code: Any) -> list[str]:
    """The lines of a function, but for its head and its docstring."""
    lines = textwrap.dedent(inspect.getsource(code)).splitlines()
    function = ast.parse("\n".join(lines)).body[0]
    assert isinstance(function, ast.FunctionDef)
    first = function.body[1 if ast.get_docstring(function) else 0]
    return textwrap.dedent("\n".join(lines[first.lineno - 1 :])).splitlines()


def show(number: int, exhibit: Exhibit, best: float) -> bool:
    """Print all there is to see of an exhibit, as Markdown; whether it is caught, and what is right is not."""
    what, _, seen = (inspect.getdoc(exhibit.wrong) or "").partition("\n\n")
    report = exhibit.check()
    verdict = ", ".join(report.broken) or "nothing"
    print(f"## {number}. {exhibit.name.replace('_', ' ').capitalize()}\n\n{what}\n\n```diff\n{exhibit.lines()}\n```\n")
    print(f"**A learner sees:** {seen}\n\n**Loss:** {exhibit.losses()[-1]:.2g}; with right gradients {best:.2g}.\n")
    print(f"**The checker says:**\n\n```text\n{report}\n```\n\n**Caught by** `{exhibit.checker}`: {verdict}.\n")
    return not report.ok and exhibit.check(right=True).ok


def main() -> bool:
    """Whether all that was asked for is caught."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("exhibit", nargs="?", choices=GALLERY, help="one of them; all if left out")
    chosen, best = parser.parse_args().exhibit, train(Engine())[-1]
    shown = [(k, exhibit) for k, exhibit in enumerate(GALLERY.values(), 1) if chosen in (None, exhibit.name)]
    verdicts = [show(number, exhibit, best) for number, exhibit in shown]
    return all(verdicts)


if __name__ == "__main__":
    sys.exit(not main())
