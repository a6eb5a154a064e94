"""The linear layer: one product each way, and gradients in the layout of what they belong to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from minidl.backend import Array

Gradients = tuple[Array | None, Array | None, Array | None]


def linear(x: Array, weight: Array, bias: Array | None) -> tuple[Array, Callable[[Array, Sequence[bool]], Gradients]]:
    """y = x Wᵀ + b for x (..., C), W (O, C), b (O), and the pullback dx = g W, dW = gᵀ x, db = Σ g."""
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    y = np.matmul(rows, weight.T)
    if bias is not None:
        y += bias

    def pull(g: Array, wanted: Sequence[bool]) -> Gradients:
        upstream = g.reshape(len(rows), len(weight))
        return (
            np.matmul(upstream, weight).reshape(x.shape) if wanted[0] else None,
            np.matmul(upstream.T, rows) if wanted[1] else None,
            upstream.sum(axis=0) if bias is not None and wanted[2] else None,
        )

    return y.reshape(*x.shape[:-1], len(weight)), pull
