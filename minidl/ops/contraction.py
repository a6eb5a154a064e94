"""Ops that multiply and sum: matrix products and Einstein sums."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from minidl.backend import array_module
from minidl.ops.primitive import as_tensors, primitive
from minidl.ops.shape import broadcast_to, permute, reshape, transpose, unsqueeze
from minidl.tensor import Tensor


def matmul(x: Any, y: Any) -> Tensor:
    """The matrix product over the last two axes; the others broadcast. A vector is a row at left, a column at right."""
    x, y = as_tensors("matmul", [x, y])
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"matmul: a number is no matrix: got shapes {x.shape} and {y.shape}, use *")
    rows = unsqueeze(x, 0) if x.ndim == 1 else x
    columns = unsqueeze(y, 1) if y.ndim == 1 else y
    if rows.shape[-1] != columns.shape[-2]:
        raise ValueError(
            f"matmul: x has {rows.shape[-1]} columns but y has {columns.shape[-2]} rows: {x.shape} @ {y.shape}"
        )
    product = _matmul(rows, columns)
    dropped = {product.ndim - 2} if x.ndim == 1 else set()
    dropped |= {product.ndim - 1} if y.ndim == 1 else set()
    return reshape(product, tuple(n for i, n in enumerate(product.shape) if i not in dropped)) if dropped else product


@primitive(hands_out="new")
def _matmul(x, y, /):
    return (
        np.matmul(x.data, y.data),
        lambda g: _matmul(g, transpose(y, -1, -2)),
        lambda g: _matmul(transpose(x, -1, -2), g),
    )


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """The Einstein sum, as in NumPy: "ij,jk->ik" is the matrix product, "ii->i" the diagonal."""
    tensors = as_tensors("einsum", operands)
    inputs, output = _explicit(subscripts, tensors)
    for i in range(len(tensors)):
        while len(set(inputs[i])) < len(inputs[i]):
            tensors[i], inputs[i] = _diagonal(tensors[i], inputs[i])
    return _einsum(*tensors, inputs=tuple(inputs), output=output)


@primitive
def _einsum(*operands, inputs, output):
    def pullback(k):
        others = [x for i, x in enumerate(operands) if i != k]
        letters = [output, *(inputs[i] for i in range(len(inputs)) if i != k)]
        known = "".join(c for c in inputs[k] if any(c in other for other in letters))
        shape = operands[k].shape

        def pull(g):
            part = _einsum(g, *others, inputs=tuple(letters), output=known)
            if part.shape == shape:
                return part
            sizes = dict(zip(known, part.shape, strict=True))
            part = reshape(part, tuple(sizes.get(c, 1) for c in inputs[k]))
            # what the sum ran over alone, or the others have once, gets the same gradient everywhere
            return broadcast_to(part, np.broadcast_shapes(part.shape, shape))

        return pull

    value = np.einsum(",".join(inputs) + "->" + output, *(x.data for x in operands), optimize=True)
    return value, *[pullback(k) for k in range(len(operands))]


def _explicit(subscripts: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with every ellipsis spelled out."""
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(tensors):
        raise ValueError(f"einsum: {subscripts!r} names {len(inputs)} operands, got {len(tensors)}")
    counts = [x.ndim - len(letters.replace("...", "")) for x, letters in zip(tensors, inputs, strict=True)]
    for x, letters, count in zip(tensors, inputs, counts, strict=True):
        if count < 0 or (count > 0 and "..." not in letters):
            raise ValueError(f"einsum: {letters!r} does not fit an operand of shape {x.shape}")
    spare = [c for c in string.ascii_letters if c not in subscripts][: max(counts)]
    if not arrow:
        once = sorted(c for c in set(left) - set(".,") if left.count(c) == 1)
        output = ("..." if "..." in left else "") + "".join(once)
    inputs = [
        letters.replace("...", "".join(spare[len(spare) - count :]))
        for letters, count in zip(inputs, counts, strict=True)
    ]
    unknown = set(output.replace("...", "")) - set("".join(inputs))
    if unknown:
        raise ValueError(f"einsum: {subscripts!r} has {', '.join(sorted(unknown))} in the result but in no operand")
    return inputs, output.replace("...", "".join(spare))


def _diagonal(x: Tensor, letters: str) -> tuple[Tensor, str]:
    """x with two axes of the same letter walked along at once, and the letters of its axes then."""
    letter = next(c for c in letters if letters.count(c) > 1)
    first, second = letters.index(letter), letters.rindex(letter)
    if x.shape[first] != x.shape[second]:
        raise ValueError(f"einsum: {letter!r} stands for axes of lengths {x.shape[first]} and {x.shape[second]}")
    others = [k for k in range(x.ndim) if k not in (first, second)]
    along = array_module(x.data).arange(x.shape[first])
    return permute(x, first, second, *others)[along, along], letter + "".join(letters[k] for k in others)
