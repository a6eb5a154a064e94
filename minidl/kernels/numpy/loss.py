"""The softmax's cross entropy from scores to one number: a dozen calls where the composition makes sixty.

For the few scores of a classifier the arithmetic is nothing; the time goes into calls, and nodes of a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def cross_entropy(
    x: np.ndarray, labels: np.ndarray, counts: np.ndarray, axis: int, reduction: str
) -> tuple[np.ndarray, Callable[[np.ndarray, Sequence[bool]], tuple[np.ndarray]]]:
    """Σ_n (log Σ_c exp(x_nc) - x_nt) over the examples n that count, with labels t; "mean" divides by how many count.

    The pullback is g · (softmax(x) - [c = t]), where [c = t] is 1 for the label and 0 for others, divided alike.
    """
    scores = np.moveaxis(x, axis, -1)
    shape = scores.shape
    scores = scores.reshape(-1, shape[-1])
    places = np.arange(len(scores)), labels.reshape(-1)
    exponentials = scores - scores.max(axis=1, keepdims=True)
    losses = -exponentials[places]
    np.exp(exponentials, out=exponentials)
    sums = exponentials.sum(axis=1)
    losses += np.log(sums)
    ignored = None if counts.all() else ~counts.reshape(-1)
    if ignored is not None:
        losses[ignored] = 0
    divisor = counts.sum(dtype=losses.dtype) if reduction == "mean" else losses.dtype.type(1)
    value = np.asarray(losses.sum() / divisor)

    def pull(g: np.ndarray, wanted: Sequence[bool]) -> tuple[np.ndarray]:
        dx = exponentials / sums[:, None]
        dx[places] -= 1
        dx *= g / divisor
        if ignored is not None:
            dx[ignored] = 0
        return (np.moveaxis(dx.reshape(shape), -1, axis),)

    return value, pull
