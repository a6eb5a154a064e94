"""The linear layer: on each thread products with some of the weights, and gradients in their own layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from minidl.kernels.common.slices import slices, tiles
from minidl.kernels.numpy.parallel import HELD, parallel

Gradients = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]

PART = 1 << 26
"""How many multiplications to do at a time: about a millisecond."""

SLOW = 32
"""To read a weight from memory takes as long as so many multiplications."""


def linear(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None
) -> tuple[np.ndarray, Callable[[np.ndarray, Sequence[bool]], Gradients]]:
    """y = x Wᵀ + b for x (..., C), W (O, C), b (O), and the pullback dx = g W, dW = gᵀ x, db = Σ g."""
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    (n, c), o = rows.shape, len(weight)
    y = np.empty((n, o), x.dtype)

    def forward(part: slice) -> None:
        y[:, part] = rows @ weight[part].T
        if bias is not None:
            y[:, part] += bias[part]

    parallel(forward, _parts(o, c, n))

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> Gradients:
        upstream = g.reshape(n, o)
        dx = np.empty((n, c), g.dtype) if wanted[0] else None
        dweight = np.empty((o, c), g.dtype) if wanted[1] else None

        def for_x(part: slice) -> None:
            dx[:, part] = upstream @ weight[:, part]  # type: ignore[index]  # called only if wanted

        def for_weight(part: slice) -> None:
            np.matmul(upstream[:, part].T, rows, out=dweight[part])  # type: ignore[index]

        if wanted[0]:
            parallel(for_x, _parts(c, o, n))
        if wanted[1]:
            parallel(for_weight, tiles(o, n * c, PART))
        return (
            None if dx is None else dx.reshape(x.shape),
            dweight,
            upstream.sum(axis=0) if bias is not None and wanted[2] else None,
        )

    return y.reshape(*x.shape[:-1], o), pull


def _parts(outputs: int, inputs: int, n: int) -> list[slice]:
    """Some outputs of each of n rows at a time."""
    step = max(1, PART // max(1, max(n, SLOW) * inputs), HELD // max(1, n) + 1)
    return slices(outputs, step)
