"""Gradient clipping: bounds on the gradients, applied between `backward` and the optimiser's step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minidl.backend import Array
from minidl.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale the gradients, as one vector, by min(1, max_norm / (norm + 1e-6)); returns the norm they had.

    Pascanu et al., On the difficulty of training recurrent neural networks, 2013, arXiv:1211.5063, alg. 1.
    Without error_if_nonfinite, nothing waits for a GPU.
    """
    gradients = _gradients(parameters)
    if not gradients:
        return Tensor(np.zeros((), np.float32))
    total = _norm(np.stack([_norm(g, norm_type) for _, g in gradients]), norm_type)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {float(total)}: find the op that made it so, "
            "or pass error_if_nonfinite=False"
        )
    scale = np.minimum(float(max_norm) / (total + 1e-6), 1.0)
    for p, g in gradients:
        p.grad = Tensor((g * scale).astype(g.dtype, copy=False))
    return Tensor(total)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of the gradients to [-clip_value, clip_value]."""
    for p, g in _gradients(parameters):
        p.grad = Tensor(np.clip(g, -float(clip_value), float(clip_value)))


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Array]]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [(p, p.grad.data) for p in parameters if p.grad is not None]


def _norm(x: Array, p: float) -> Array:
    """(Σ |x|^p)^(1/p) over all elements; for p = ∞ the largest |x|."""
    size = np.abs(x)
    return size.max() if p == math.inf else (size**p).sum() ** (1 / p)
