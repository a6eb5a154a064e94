"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minidl.backend import Array
from minidl.optim.elementwise import elementwise
from minidl.optim.optimizer import Group, Optimizer
from minidl.tensor import Tensor


class SGD(Optimizer):
    """Gradient descent with momentum μ, dampening τ, weight decay λ.

        g ← ∇f(p) + λ p
        v ← μ v + (1 - τ) g         (v = g at the first step)
        p ← p - lr v                (Nesterov: p - lr (g + μ v))

    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013 (with lr in v).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Group],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def check(self, **settings: Any) -> None:
        super().check(**settings)
        momentum, dampening = settings["momentum"], settings["dampening"]
        if settings["nesterov"] and not (momentum > 0 and dampening == 0):
            raise ValueError(f"SGD: nesterov needs momentum > 0 and dampening 0, got {momentum} and {dampening}")

    def update(
        self,
        p: Array,
        g: Array,
        state: dict[str, Any],
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
    ) -> None:
        first = momentum != 0 and "momentum_buffer" not in state
        if first:
            state["momentum_buffer"] = np.zeros_like(p)

        def move(p: Array, g: Array, v: Array) -> None:
            if weight_decay:
                g = g + weight_decay * p
            if momentum:
                v *= momentum
                v += g if first or not dampening else (1 - dampening) * g
                g = g + momentum * v if nesterov else v
            p -= lr * g

        elementwise(move, p, g, state["momentum_buffer"] if momentum else p)
