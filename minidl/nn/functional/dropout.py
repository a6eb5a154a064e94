"""Noise for training: parts of a signal become zero at random, the rest is scaled so that the expectation stays."""

from __future__ import annotations

import numpy as np

from minidl import random
from minidl.ops import as_tensors
from minidl.tensor import Tensor


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each element is 0 with probability p. (Srivastava et al., JMLR 15, 2014; scaled in training, not in testing.)"""
    return _drop("dropout", x, p, training, kept_axes=None)


def dropout2d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each channel of x (N, C, H, W) is 0 with probability p. (Tompson et al., arXiv:1411.4280, section 3.2.)"""
    return _drop("dropout2d", x, p, training, kept_axes=2)


def drop_path(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each example of x (N, ...) is 0 with probability p: stochastic depth. (Huang et al., arXiv:1603.09382, eq. 2.)"""
    return _drop("drop_path", x, p, training, kept_axes=1)


def _drop(op: str, x: Tensor, p: float, training: bool, kept_axes: int | None) -> Tensor:
    """x times a mask that varies over the first axes only (None: over all)."""
    (x,) = as_tensors(op, [x])
    if x.dtype.kind != "f":
        raise TypeError(f"{op}: expected x of floating point, got {x.dtype}")
    if not 0 <= p <= 1:
        raise ValueError(f"{op}: p must be a probability, got {p}")
    if not training or p == 0:
        return x
    if kept_axes is not None and x.ndim < kept_axes:
        raise ValueError(f"{op}: expected x of at least {kept_axes} axes, got shape {x.shape}")
    shape = x.shape if kept_axes is None else x.shape[:kept_axes] + (1,) * (x.ndim - kept_axes)
    kept = random.generator().random(shape, dtype=np.float32) >= p
    scale = 0 if p == 1 else 1 / (1 - p)
    return x * np.asarray(kept * x.dtype.type(scale), dtype=x.dtype, like=x.data)
