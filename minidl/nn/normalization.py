"""Layers that normalise, with a learned scale and shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.nn import functional as F
from minidl.nn.module import Module, Parameter
from minidl.tensor import Tensor


class _BatchNorm(Module):
    """Running statistics move by `momentum`; None averages over all batches. (Ioffe & Szegedy, arXiv:1502.03167.)"""

    axes: tuple[int, ...]
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight, self.bias = _scale_and_shift((num_features,), affine)
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, np.float32)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(num_features, np.float32)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(np.array(0)) if tracked else None)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, *self.settings(x))

    def settings(self, x: Tensor) -> tuple[Any, ...]:
        """What `functional.batch_norm` takes beside x; in training the batch has been counted."""
        if x.ndim not in self.axes:
            wanted = " or ".join(map(str, self.axes))
            raise ValueError(f"{type(self).__name__}: expected x of {wanted} axes, got shape {x.shape}")
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.data += 1
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked.item()
        batch_statistics = self.training or self.running_mean is None
        running = (self.running_mean, self.running_var)
        return *running, self.weight, self.bias, batch_statistics, momentum, self.eps

    def extra_repr(self) -> str:
        affine, tracked = self.weight is not None, self.running_mean is not None
        settings = f"eps={self.eps}, momentum={self.momentum}, affine={affine}, track_running_stats={tracked}"
        return f"{self.num_features}, {settings}"


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of features (N, C) or sequences (N, C, L)."""

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (N, C, H, W)."""

    axes = (4,)


class LayerNorm(Module):
    """Normalisation of each example over its last axes: see `functional.layer_norm`."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.weight, self.bias = _scale_and_shift(self.normalized_shape, elementwise_affine, bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"


class GroupNorm(Module):
    """Normalisation of each example over groups of channels: see `functional.group_norm`."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True):
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_groups} groups cannot share {num_channels} channels evenly")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight, self.bias = _scale_and_shift((num_channels,), affine)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.weight is not None}"


class LocalResponseNorm(Module):
    """Competition between neighbouring channels: see `functional.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _scale_and_shift(
    shape: tuple[int, ...], affine: bool, shifted: bool = True
) -> tuple[Parameter | None, Parameter | None]:
    """γ = 1 and β = 0, or None for what the layer does without."""
    weight = Parameter(np.ones(shape, np.float32)) if affine else None
    return weight, Parameter(np.zeros(shape, np.float32)) if affine and shifted else None
