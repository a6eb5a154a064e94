"""Ops that multiply and sum: matrix products and Einstein sums."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from minidl.ops.primitive import as_tensors, primitive
from minidl.ops.shape import broadcast_to, reshape, transpose, unsqueeze
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


@primitive
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
    for i, letters in enumerate(list(inputs)):
        for letter in sorted({c for c in letters if letters.count(c) > 1}):
            while inputs[i].count(letter) > 1:  # a diagonal is a product with the identity matrix
                twin = _unused("".join(inputs) + output)
                size = tensors[i].shape[inputs[i].index(letter)]
                inputs[i] = twin.join(inputs[i].rsplit(letter, 1))
                inputs.append(letter + twin)
                counted = _range(tensors[i], size)
                tensors.append(Tensor((counted[:, None] == counted).astype(tensors[i].dtype)))
    return _einsum(*tensors, inputs=tuple(inputs), output=output)


@primitive
def _einsum(*operands, inputs, output):
    def pullback(k):
        others = [x for i, x in enumerate(operands) if i != k]
        letters = [output, *(inputs[i] for i in range(len(inputs)) if i != k)]
        known = "".join(c for c in inputs[k] if any(c in other for other in letters))

        def pull(g):
            part = _einsum(g, *others, inputs=tuple(letters), output=known)
            if known == inputs[k]:
                return part
            sizes = dict(
                zip(known, part.shape, strict=True)
            )  # what the sum ran over alone gets the same gradient everywhere
            part = reshape(part, tuple(sizes.get(c, 1) for c in inputs[k]))
            return broadcast_to(part, tuple(sizes.get(c, n) for c, n in zip(inputs[k], operands[k].shape, strict=True)))

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


def _unused(letters: str) -> str:
    return next(c for c in string.ascii_letters if c not in letters)


def _range(x: Tensor, size: int) -> Any:
    """0, 1, ..., size - 1 on the tensor's backend."""
    return np.cumsum(np.ones_like(x.data, shape=(size,), dtype=np.int64)) - 1
