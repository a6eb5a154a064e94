"""What an op takes: floating-point operations, and bytes that are read and written.

A multiplication and its addition to a sum are two operations, as hardware counts; papers, and `minidl.summary`, count
them once. An elementwise op is one for each element it makes, a reduction one for each it takes, and the bias of a
convolution none. Bytes are those of the inputs, each read once, and of the result, written once: the least that must
move, whatever caches there are. A view moves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from minidl.backend import Array, shares_memory

PullFlops = Sequence[tuple[int, Sequence[int]]]
"""Operations of a kernel's pull: so many, if the gradient of one of these inputs is wanted, and so on."""
Flops = tuple[int, PullFlops]
"""Operations of an op, and of its pull. A pullback that is made of ops takes what they take, and has nothing here."""


def _elementwise(inputs: Sequence[Array], value: Array, /, *settings: Any, **named: Any) -> Flops:
    return value.size, ()


def _reduction(inputs: Sequence[Array], value: Array, /, *settings: Any, **named: Any) -> Flops:
    return inputs[0].size, ()


def _matmul(inputs: Sequence[Array], value: Array, /) -> Flops:
    return 2 * value.size * inputs[0].shape[-1], ()


def _einsum(operands: Sequence[Array], value: Array, /, inputs: Sequence[str], output: str) -> Flops:
    """A product of all factors for each choice of letters, and an addition where some are summed over."""
    lengths = {c: n for letters, x in zip(inputs, operands, strict=True) for c, n in zip(letters, x.shape, strict=True)}
    sums = 1 if lengths.keys() - set(output) else 0
    return math.prod(lengths.values()) * (len(operands) - 1 + sums), ()


def _weighted(inputs: Sequence[Array], value: Array, /, *settings: Any, **named: Any) -> Flops:
    """Every output element is a sum over the weights of its channel; both gradients pair the same."""
    flops = 2 * value.size * math.prod(inputs[1].shape[1:])
    return flops, [(flops, [0]), (flops, [1])]


def _norm_relu_conv2d(inputs: Sequence[Array], value: Array, /, *settings: Any, **named: Any) -> Flops:
    """Those of the convolution; the normalisation is recomputed at a cost of its own, which is not counted."""
    flops, _ = _weighted([inputs[0], inputs[3]], value)
    return flops, [(flops, [0, 1, 2]), (flops, [3])]


def _sum_pool2d(inputs: Sequence[Array], value: Array, /, kernel_size: Sequence[int], *settings: Any) -> Flops:
    additions = value.size * math.prod(kernel_size)
    return additions, [(additions, [0])]


def _max_pool2d(inputs: Sequence[Array], value: Array, /, kernel_size: Sequence[int], *settings: Any) -> Flops:
    return value.size * math.prod(kernel_size), [(value.size, [0])]


ELEMENTWISE = """absolute add clip divide erf exp leaky_relu log maximum minimum multiply negative power relu relu6
    sigmoid softplus sqrt subtract tanh where"""
RULES: dict[str, Callable[..., Flops]] = {
    **dict.fromkeys(ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(["sum", "amax", "amin", "col2im"], _reduction),
    "matmul": _matmul,
    "einsum": _einsum,
    "conv2d": _weighted,
    "linear": _weighted,
    "norm_relu_conv2d": _norm_relu_conv2d,
    "sum_pool2d": _sum_pool2d,
    "max_pool2d": _max_pool2d,
}
"""By the name of an op: what its operations are, given its inputs' arrays, its value and its settings."""


def flops(name: str, inputs: Sequence[Array | None], value: Array, /, *settings: Any, **named: Any) -> Flops:
    """The operations of an op; none where there is no rule."""
    rule = RULES.get(name)
    return (0, ()) if rule is None else rule(inputs, value, *settings, **named)


def flops_of_pull(pull: PullFlops, wanted: Sequence[bool]) -> int:
    """The operations for these gradients."""
    return sum(count for count, inputs in pull if any(wanted[i] for i in inputs))


def bytes_moved(inputs: Sequence[Array | None], value: Array) -> int:
    """The least that is read and written; what the value shares with an input stays where it is."""
    given = [x for x in inputs if x is not None]
    foreign = [x for x in given if not shares_memory(value, x)]
    if len(foreign) < len(given):
        return 2 * footprint(*foreign)
    return footprint(*given, value)


def footprint(*arrays: Array | None) -> int:
    """The bytes that the arrays take; what is repeated along an axis is there once."""
    return sum(
        x.itemsize * math.prod(n for n, step in zip(x.shape, x.strides, strict=True) if step)
        for x in arrays
        if x is not None
    )
