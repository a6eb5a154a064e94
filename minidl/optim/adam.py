"""Adam, and its variant with decoupled weight decay."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minidl.backend import Array
from minidl.optim.elementwise import elementwise
from minidl.optim.optimizer import Group, Optimizer
from minidl.tensor import Tensor


class Adam(Optimizer):
    """Steps in units of the gradient's running root mean square; (β₁, β₂) = betas, weight decay λ, step t.

        g ← ∇f(p) + λ p
        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        p ← p - lr m̂ / (√v̂ + ε)    with m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)

    Kingma & Ba, Adam: a method for stochastic optimization, 2015, arXiv:1412.6980, algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Group],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(
        self,
        p: Array,
        g: Array,
        state: dict[str, Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
        state["step"] += 1
        t, (beta1, beta2) = state["step"], betas

        def move(p: Array, g: Array, m: Array, v: Array) -> None:
            if weight_decay:
                g = g + weight_decay * p
            m += (1 - beta1) * (g - m)
            v *= beta2
            v += (1 - beta2) * g * g
            root = np.sqrt(v) / math.sqrt(1 - beta2**t)
            p -= lr / (1 - beta1**t) * (m / (root + eps))

        elementwise(move, p, g, state["exp_avg"], state["exp_avg_sq"])


class AdamW(Adam):
    """Adam whose weight decay bypasses the running means: first p ← p - lr λ p, then Adam's step with λ = 0.

    Loshchilov & Hutter, Decoupled weight decay regularization, 2019, arXiv:1711.05101, algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[Group],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, p: Array, g: Array, state: dict[str, Any], **settings: Any) -> None:
        p *= 1 - settings["lr"] * settings["weight_decay"]
        super().update(p, g, state, **{**settings, "weight_decay": 0.0})
