"""Reverse-mode differentiation: ops record how gradients flow back; `backward` and `grad` follow the record.

An op's value is computed at once. If one of its inputs requires a gradient, the result gets a `Node`, which knows the
nodes of the inputs and a function that pulls the gradient of the result back to the inputs. Pullbacks are written in
tensors, so their work can be recorded as well: that gives derivatives of any order.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from minidl import kernels, ops
from minidl.backend import Array, shares_memory
from minidl.mode import mode, set_mode
from minidl.tensor import Memory, Tensor

Pull = Callable[[Tensor, Sequence[bool]], Sequence[Tensor | None]]
"""From the gradient of an op's value, and which inputs want one, to the gradients of its inputs."""

_numbers = itertools.count()


def _count_alone() -> int:
    """What getrefcount says of an object that one variable holds: 2, or from Python 3.14 on 1."""
    held = [object()]
    node = held.pop()
    return getrefcount(node)


_ALONE = _count_alone()


class Node:
    """What the graph knows of one tensor: its parents, and how its gradient becomes theirs.

    A node refers to its parents' nodes, never to a tensor, so the graph has no reference cycles; `number` grows in
    the order of creation, so consumers have higher numbers than what they consume. A leaf has no pull; it keeps its
    gradient. `hands_out` tells what memory the pull returns: "new" arrays, disjoint "parts" of the gradient it was
    given, or "any".
    """

    __slots__ = (
        "dtype",
        "grad",
        "hands_out",
        "keeps_grad",
        "memories",
        "name",
        "number",
        "parents",
        "pull",
        "shape",
    )

    def __init__(
        self,
        name: str,
        value: Tensor,
        parents: tuple[Node | None, ...] = (),
        pull: Pull | None = None,
        hands_out: str = "any",
    ):
        self.name, self.shape, self.dtype = name, value.shape, value.dtype
        self.parents, self.pull, self.hands_out = parents, pull, hands_out
        self.number = next(_numbers)
        self.memories: tuple[Memory, ...] = ()  # what the pull may have to read
        self.keeps_grad = pull is None
        self.grad: Tensor | None = None

    def __del__(self) -> None:
        """Free the ancestors that nobody else holds one by one: one inside another, many would overflow the stack."""
        doomed = [self]
        while doomed:
            node = doomed.pop()
            if node is self or getrefcount(node) <= _ALONE:
                parents, node.parents, node.pull = node.parents, (), None
                doomed += [parent for parent in parents if parent is not None]
                del parents


def record(name: str, value: Array, inputs: Sequence[Tensor | None], pull: Pull, hands_out: str = "any") -> Tensor:
    """The value as a tensor which, if an input requires a gradient, remembers how to pass one on."""
    result = Tensor(value)
    for x in inputs:
        if x is not None and shares_memory(value, x.data):
            result.memory = x.memory
    if mode.recording and result.dtype.kind == "f":
        parents = tuple(None if x is None else x.node for x in inputs)
        if any(parents):
            result.node = Node(name, result, parents, pull, hands_out)
            result.node.memories = tuple(x.memory for x in inputs if x is not None)
            for memory in result.node.memories:
                memory.frozen = True
    return result


def note_write(x: Tensor) -> None:
    """Tell that x.data was changed in place: a graph that used it before then refuses to go backward."""
    x.memory.written = next(_numbers)


def backward(
    outputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add to the `grad` of every leaf that the outputs were computed from the derivative of Σ ⟨output, grad_output⟩."""
    seeds = _seeds("backward", outputs, grad_outputs)
    _propagate(seeds, _ancestors([node for node, _ in seeds]), None, retain_graph, create_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor, ...]:
    """The derivatives of Σ ⟨output, grad_output⟩ by the inputs, leaves or not; no `grad` attribute changes.

    With `create_graph` the derivatives are themselves recorded and can be differentiated again.
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for index, x in enumerate(inputs):
        if x.node is None:
            raise RuntimeError(
                f"grad: input {index} does not require grad: call requires_grad_() on it before it is used"
            )
    targets = {x.node for x in inputs}
    seeds = _seeds("grad", outputs, grad_outputs)
    relevant = _leading_to(targets, _ancestors([node for node, _ in seeds]))
    if not allow_unused and not targets <= relevant:
        index = next(index for index, x in enumerate(inputs) if x.node not in relevant)
        raise RuntimeError(f"grad: the outputs do not depend on input {index}: allow_unused=True gives None for it")
    found = _propagate(seeds, relevant, targets, retain_graph, create_graph)
    return tuple(found.get(x.node) for x in inputs)  # type: ignore[misc, arg-type]


def _seeds(caller: str, outputs: Tensor | Sequence[Tensor], grad_outputs: Any) -> list[tuple[Node, Tensor]]:
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    grad_outputs = list(grad_outputs) if isinstance(grad_outputs, (list, tuple)) else [grad_outputs] * len(outputs)
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"{caller}: got {len(grad_outputs)} grad_outputs for {len(outputs)} outputs")
    seeds = []
    for y, g in zip(outputs, grad_outputs, strict=True):
        if y.node is None:
            raise RuntimeError(
                f"{caller}: the output does not require grad: nothing it was computed from has requires_grad=True, "
                "or it was computed under no_grad()"
            )
        if g is None and y.numel() != 1:
            raise RuntimeError(
                f"{caller}: the output has shape {y.shape}; without a gradient to start from it must have one element: "
                "reduce it, with .sum() say, or pass the gradient"
            )
        _, g = ops.as_tensors(caller, [y, np.ones_like(y.data) if g is None else g])
        if g.shape != y.shape:
            raise ValueError(f"{caller}: the gradient has shape {g.shape} but the output has shape {y.shape}")
        seeds.append((y.node, ops.astype(g, y.dtype)))
    return seeds


def _ancestors(roots: Iterable[Node]) -> set[Node]:
    """The roots and everything they were computed from, all of it still as it was then."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node.pull is _consumed:
            raise RuntimeError(
                f"this graph was consumed by an earlier backward pass (at {node.name!r}): "
                "pass retain_graph=True to the first pass to go through it again"
            )
        if any(memory.written > node.number for memory in node.memories):
            raise RuntimeError(
                f"what {node.name!r} was computed from has been changed in place since, by an optimiser's step say: "
                "compute the output anew before going backward"
            )
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return seen


def _leading_to(targets: set[Any], nodes: set[Node]) -> set[Node]:
    """The nodes on a way to a target."""
    leading = targets & nodes
    for node in sorted(nodes, key=lambda node: node.number):
        if any(parent in leading for parent in node.parents):
            leading.add(node)
    return leading


def _consumed(g: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
    raise AssertionError("a consumed node has no pullback")


def _propagate(
    seeds: list[tuple[Node, Tensor]],
    relevant: set[Node],
    targets: set[Any] | None,
    retain_graph: bool | None,
    create_graph: bool,
) -> dict[Node, Tensor]:
    """Visit the relevant nodes, latest first: once each, when the gradients of all its consumers have arrived.

    Without targets, nodes that keep their gradient add to it.
    """
    pending: dict[Node, _Total] = {}
    queue: list[tuple[int, Node]] = []
    found: dict[Node, Tensor] = {}

    def arrive(node: Node, g: Tensor, ours: bool) -> None:
        if node in pending:
            pending[node].add(g, ours, record=create_graph)
        else:
            heapq.heappush(queue, (-node.number, node))
            pending[node] = _Total(g, ours)

    with set_mode("recording", create_graph):
        for node, g in seeds:
            arrive(node, g, False)
        while queue:
            node = heapq.heappop(queue)[1]
            total = pending.pop(node)
            if node.keeps_grad if targets is None else node in targets:
                g = total.kept()
                if targets is None:
                    node.grad = g if node.grad is None else node.grad + g
                else:
                    found[node] = g
            wanted = [parent in relevant for parent in node.parents]
            if node.pull is None or not any(wanted):
                continue
            step = _step if mode.profiler is None else mode.profiler.backward(node.name, _step)
            parts = step(node, total.gradient, wanted)
            ours = not create_graph and (node.hands_out == "new" or (node.hands_out == "parts" and total.ours))
            for parent, part in zip(node.parents, parts, strict=True):
                if parent is not None and part is not None:
                    arrive(parent, part, ours)
            if not (create_graph if retain_graph is None else retain_graph):
                node.pull, node.parents, node.memories = _consumed, (), ()
    return found


class _Total:
    """What has arrived of a node's gradient.

    It is `ours` when nobody else refers to its array: then what arrives later is added in place, and nobody who keeps
    it needs a copy.
    """

    __slots__ = ("gradient", "ours")

    def __init__(self, gradient: Tensor, ours: bool):
        self.gradient, self.ours = gradient, ours

    def add(self, g: Tensor, ours: bool, record: bool) -> None:
        if ours and not self.ours:
            self.gradient, self.ours, g = g, True, self.gradient
        if self.ours:
            kernels.table(g.data).accumulate(self.gradient.data, g.data)
        else:
            self.gradient, self.ours = self.gradient + g, not record

    def kept(self) -> Tensor:
        """The gradient, for somebody who keeps it."""
        if not self.ours:
            return ops.clone(self.gradient)
        self.ours = False
        return self.gradient


def _step(node: Node, g: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
    """What the gradient of a node adds to those of its parents."""
    parts = node.pull(g, wanted)  # type: ignore[misc]  # a node without a pull is not asked
    return [
        None if parent is None or part is None else _fit(part, parent, node.name)
        for parent, part in zip(node.parents, parts, strict=True)
    ]


def _fit(part: Tensor, parent: Node, op: str) -> Tensor:
    """Undo broadcasting: sum a gradient over the axes along which its input was repeated, and restore its type."""
    if not isinstance(part, Tensor):
        raise TypeError(
            f"{op}: a pullback returned a {type(part).__name__}: write it in tensor arithmetic, without .data, "
            "so that it can be differentiated again"
        )
    if part.shape != parent.shape:
        aligned = (1,) * (part.ndim - len(parent.shape)) + parent.shape
        if len(aligned) != part.ndim or any(a not in (1, b) for a, b in zip(aligned, part.shape, strict=True)):
            raise RuntimeError(f"{op}: a pullback returned shape {part.shape} for an input of shape {parent.shape}")
        repeated = tuple(axis for axis, (a, b) in enumerate(zip(aligned, part.shape, strict=True)) if a != b)
        part = ops.reshape(ops.sum(part, repeated) if repeated else part, parent.shape)
    return ops.astype(part, parent.dtype)
