"""Whether gradients are right: those of the engine beside differences of the function's values, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.autograd import grad
from minidl.backend import to_backend
from minidl.creation import tensor, zeros_like
from minidl.mode import enable_grad
from minidl.tensor import Tensor
from minidl.testing.report import Comparison, GradientError, Report

FULL = 200  # up to so many elements of an input, each is moved by itself
DIRECTIONS = 10  # of more, all together, in so many random directions


def gradcheck(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    params: Sequence[Tensor] = (),
    order: int = 1,
    eps: float = 6e-6,
    rtol: float = 1e-6,
    atol: float = 1e-7,
    seed: int = 0,
) -> Report:
    """Compare the gradients of Σ ⟨fn(*inputs), g⟩, g random, with central differences; GradientError if they differ.

    Inputs are tensors or arrays and are checked in float64; integers are passed on as they are. `params` are other
    tensors that fn uses, float64 already. Order 2 checks the gradient of the gradient as well, and so on. Each element
    moves by eps · max(1, |element|), eps being the cube root of the rounding error.
    """
    rng = np.random.default_rng(seed)
    arguments = [_leaf(x) for x in inputs]
    if not any(x.requires_grad for x in (*arguments, *params)) or any(p.dtype != np.float64 for p in params):
        raise ValueError("gradcheck: needs inputs of floating point, or params that require grad and are float64")
    name, comparisons = _name(fn, arguments), []
    with enable_grad():
        for _ in range(order):
            upstream = [_leaf(rng.standard_normal(y.shape), y.backend) for y in _outputs(fn, arguments)]
            leaves = {f"input {i}": x for i, x in enumerate(arguments) if x.requires_grad}
            leaves |= {f"param {i}": p for i, p in enumerate(params)}
            for label, g in _lawful_gradients(name, fn, arguments, leaves, upstream).items():
                tried = _slopes(fn, arguments, upstream, leaves[label], to_backend(g.data, "numpy"), eps, rng)
                rows = [Comparison(name, label, *row, atol + rtol * max(map(abs, row[1:]))) for row in tried]
                if rows:  # else the input has no elements
                    comparisons.append(max(rows, key=lambda row: (not row.ok, row.excess)))
            if not (report := Report(tuple(comparisons))).ok:
                raise GradientError(f"gradcheck: a gradient is wrong\n{report}")
            fn, name = _gradient(fn, len(arguments), params), f"gradient of {name}"
            arguments = [*arguments, *upstream]
    return report


def _lawful_gradients(
    name: str, fn: Callable[..., Any], arguments: list[Tensor], leaves: dict[str, Tensor], upstream: list[Tensor]
) -> dict[str, Tensor]:
    """The engine's gradients, of the inputs' shapes and types, the same each time, and nothing else changed by them."""
    given = [*arguments, *leaves.values(), *upstream]
    before = [x.data.copy() for x in given]
    first, again = (_pull(fn, arguments, list(leaves.values()), upstream, False) for _ in range(2))
    for x, copy in zip(given, before, strict=True):
        if not np.array_equal(x.data, copy, equal_nan=True):
            raise GradientError(f"gradcheck: {name} or its pullback wrote to an array of shape {x.shape} it was given")
    for (label, x), g, other in zip(leaves.items(), first, again, strict=True):
        if g.shape != x.shape or g.dtype != x.dtype:
            found, wanted = f"{g.shape} {g.dtype}", f"{x.shape} {x.dtype}"
            raise GradientError(f"gradcheck: {name}: {label} is {wanted} but its gradient is {found}")
        if not np.array_equal(g.data, other.data, equal_nan=True):
            raise GradientError(f"gradcheck: {name}: the gradient of {label} differs when computed twice: fix the seed")
    return dict(zip(leaves, first, strict=True))


def _pull(
    fn: Callable[..., Any], arguments: Sequence[Tensor], leaves: list[Tensor], upstream: Sequence[Tensor], record: bool
) -> list[Tensor]:
    """The gradients of Σ ⟨output, upstream⟩ by the leaves; zeros where there is no dependence."""
    pairs = [(y, g) for y, g in zip(_outputs(fn, arguments), upstream, strict=True) if y.requires_grad]
    if not pairs:
        return [zeros_like(x) for x in leaves]
    ys, gs = zip(*pairs, strict=True)
    found = grad(ys, leaves, gs, create_graph=record, allow_unused=True)
    return [zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]


def _gradient(fn: Callable[..., Any], count: int, params: Sequence[Tensor]) -> Callable[..., list[Tensor]]:
    """The gradient as a function of the inputs, which are so many, and of the upstream gradients behind them."""

    def gradient(*arguments: Tensor) -> list[Tensor]:
        leaves = [*(x for x in arguments[:count] if x.requires_grad), *params]
        return _pull(fn, arguments[:count], leaves, arguments[count:], True)

    return gradient


def _slopes(
    fn: Callable[..., Any],
    arguments: list[Tensor],
    upstream: list[Tensor],
    x: Tensor,
    g: np.ndarray[Any, Any],
    eps: float,
    rng: np.random.Generator,
) -> Iterator[tuple[str, float, float]]:
    """Places in x, and what the slope there is: by the gradient g, and by the values on both sides."""
    array, point = x.data, to_backend(x.data, "numpy")
    scale = np.maximum(1, np.abs(point))

    def value(point: np.ndarray[Any, Any]) -> float:
        x.data = to_backend(point, x.backend)
        try:
            return sum(float((y.data * g.data).sum()) for y, g in zip(_outputs(fn, arguments), upstream, strict=True))
        finally:
            x.data = array

    def slope(step: np.ndarray[Any, Any]) -> float:
        return (value(point + eps * step) - value(point - eps * step)) / (2 * eps)

    if x.numel() > FULL:
        for k in range(DIRECTIONS):
            step = rng.standard_normal(x.shape) * scale
            yield f"direction {k}", float(np.sum(g * step)), slope(step)
    else:
        for index in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[index] = scale[index]
            yield str(index), float(g[index]), slope(step) / float(scale[index])


def _name(fn: Callable[..., Any], arguments: list[Tensor]) -> str:
    """The function's name or, if it has none, that of the op it ends with."""
    name = getattr(fn, "__name__", type(fn).__name__)
    nodes = [y.node for y in _outputs(fn, arguments) if y.node is not None]
    return nodes[0].name if name == "<lambda>" and nodes else name


def _leaf(x: Any, backend: str | None = None) -> Tensor:
    """A copy of an input: if it is of floating point, as a leaf in float64."""
    copy = tensor(x, backend=backend)
    return copy.to(np.float64).requires_grad_() if copy.dtype.kind == "f" else copy


def _outputs(fn: Callable[..., Any], arguments: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of floating point that the function returns."""
    result = fn(*arguments)
    return [y for y in ([result] if isinstance(result, Tensor) else result) if y.dtype.kind == "f"]
