"""Layers that add noise in training and do nothing otherwise."""

from __future__ import annotations

from minidl.nn import functional as F
from minidl.nn.module import Module
from minidl.tensor import Tensor


class _Noise(Module):
    def __init__(self, p: float = 0.5):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must be a probability, got {p}")
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Noise):
    """Each element is 0 with probability p: see `functional.dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)


class Dropout2d(_Noise):
    """Each channel is 0 with probability p: see `functional.dropout2d`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p, self.training)


class DropPath(_Noise):
    """Each example is 0 with probability p, for the residual branch of stochastic depth: see `functional.drop_path`."""

    def forward(self, x: Tensor) -> Tensor:
        return F.drop_path(x, self.p, self.training)
