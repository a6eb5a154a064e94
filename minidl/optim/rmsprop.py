"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minidl.backend import Array
from minidl.optim.elementwise import elementwise
from minidl.optim.optimizer import Group, Optimizer
from minidl.tensor import Tensor


class RMSprop(Optimizer):
    """The gradient divided by its running root mean square, with weight decay λ and momentum μ.

        g ← ∇f(p) + λ p
        v ← α v + (1 - α) g²
        u ← g / (√v + ε)            (eps_inside_sqrt: g / √(v + ε))
        b ← μ b + u
        p ← p - lr b

    Tieleman & Hinton, Neural networks for machine learning, lecture 6.5, 2012. Centered, u has v - m² for v,
    with m ← α m + (1 - α) g (Graves, Generating sequences with recurrent neural networks, arXiv:1308.0850).

    ε inside the root is TensorFlow's way, with which MobileNet and EfficientNet were trained. TensorFlow also
    starts v at 1, not 0, and puts lr into b: its first steps, and those after a change of lr, are others.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Group],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        eps_inside_sqrt: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            eps_inside_sqrt=eps_inside_sqrt,
        )

    def update(
        self,
        p: Array,
        g: Array,
        state: dict[str, Any],
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
        eps_inside_sqrt: bool,
    ) -> None:
        names = ["square_avg", *["grad_avg"] * centered, *["momentum_buffer"] * (momentum != 0)]

        def move(p: Array, g: Array, v: Array, *rest: Array) -> None:
            if weight_decay:
                g = g + weight_decay * p
            v *= alpha
            v += (1 - alpha) * g * g
            if centered:
                mean = rest[0]
                mean += (1 - alpha) * (g - mean)
                v = np.maximum(v - mean * mean, 0)  # a variance, but for rounding
            u = g / (np.sqrt(v + eps) if eps_inside_sqrt else np.sqrt(v) + eps)
            if momentum:
                b = rest[-1]
                b *= momentum
                b += u
                u = b
            p -= lr * u

        elementwise(move, p, g, *(_running(state, name, p) for name in names))


def _running(state: dict[str, Any], name: str, p: Array) -> Array:
    """The array of this name in a parameter's state, zeros at first."""
    if name not in state:
        state[name] = np.zeros_like(p)
    return state[name]
