"""Losses: how far a prediction is from what was wanted. `reduction` is "mean", "sum" or "none"."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backend import Array
from minidl.nn.functional.activation import log_softmax
from minidl.ops import accelerated, as_tensors, getitem, mean, reshape, softplus, take_along_axis, where
from minidl.ops import sum as total
from minidl.tensor import Tensor


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ_c q_c log softmax(input)_c for scores (N, C, ...) and class indices (N, ...) or probabilities (N, C, ...).

    Label smoothing ε makes q = (1 - ε)·target + ε/C. (Szegedy et al., arXiv:1512.00567, section 7.) With indices, the
    mean is weighted by the classes' weights and leaves out `ignore_index`.
    """
    (input,), (target,), (weight,) = (as_tensors("cross_entropy", [x]) for x in (input, target, weight))
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], got {label_smoothing}")
    axis = _class_axis("cross_entropy", input, weight)
    if target.dtype.kind == "f":
        return _soft_cross_entropy(log_softmax(input, axis), target, weight, axis, reduction, label_smoothing)
    labels, counts = _labels("cross_entropy", input, target, ignore_index, axis)
    if weight is None and not label_smoothing and reduction in ("mean", "sum"):
        return _cross_entropy(input, labels, counts, axis, reduction)
    log_p = log_softmax(input, axis)
    loss, weights = _nll(log_p, labels, counts, weight, axis)
    if not label_smoothing:
        return _reduce(loss, reduction, weights)
    per_class = -log_p if weight is None else -log_p * _along(weight, log_p, axis)
    uniform = where(counts, total(per_class, axis), 0)
    mixed = (1 - label_smoothing) * loss + (label_smoothing / input.shape[axis]) * uniform
    return _reduce(mixed, reduction, weights)


@accelerated(by="cross_entropy")
def _cross_entropy(input: Tensor, /, labels: Array, counts: Array, axis: int, reduction: str) -> Tensor:
    """That of class indices, all of one weight; those that do not count are 0."""
    loss, weights = _nll(log_softmax(input, axis), labels, counts, None, axis)
    return _reduce(loss, reduction, weights)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-w_t input[t] for log-probabilities (N, C, ...) and class indices t (N, ...); the mean is divided by Σ w_t."""
    (input,), (target,), (weight,) = (as_tensors("nll_loss", [x]) for x in (input, target, weight))
    axis = _class_axis("nll_loss", input, weight)
    loss, weights = _nll(input, *_labels("nll_loss", input, target, ignore_index, axis), weight, axis)
    return _reduce(loss, reduction, weights)


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)²."""
    input, target = _alike("mse_loss", input, target)
    difference = input - target
    return _reduce(difference * difference, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target|."""
    input, target = _alike("l1_loss", input, target)
    return _reduce(abs(input - target), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-w [p·t log σ(x) + (1 - t) log(1 - σ(x))] for logits x and targets t in [0, 1]; p is `pos_weight`."""
    input, target = _alike("binary_cross_entropy_with_logits", input, target)
    positive = target * softplus(-input)
    loss = (positive if pos_weight is None else positive * pos_weight) + (1 - target) * softplus(input)
    return _reduce(loss if weight is None else loss * weight, reduction)


def _class_axis(op: str, input: Tensor, weight: Tensor | None) -> int:
    """Which axis the classes are on: 1, or 0 for the scores of one example. There must be a weight for each class."""
    if input.ndim == 0:
        raise ValueError(f"{op}: expected scores of shape (N, C, ...) or (C,), got a number")
    axis = 0 if input.ndim == 1 else 1
    if weight is not None and weight.shape != (input.shape[axis],):
        raise ValueError(f"{op}: expected weight of shape ({input.shape[axis]},), got {weight.shape}")
    return axis


def _labels(op: str, scores: Tensor, target: Tensor, ignore_index: int, axis: int) -> tuple[Array, Array]:
    """The target classes, and whether they count: 0 in the place of those that are to be ignored."""
    classes, wanted = scores.shape[axis], scores.shape[:axis] + scores.shape[axis + 1 :]
    if target.dtype.kind not in "iu" or target.shape != wanted:
        raise ValueError(
            f"{op}: scores of shape {scores.shape} want integer classes of shape {wanted}, "
            f"got {target.dtype} of shape {target.shape}"
        )
    counts = target.data != ignore_index
    labels = np.where(counts, target.data, 0)
    if ((labels < 0) | (labels >= classes)).any():  # one question, for a GPU's answer takes a wait
        raise ValueError(f"{op}: targets must be classes 0 to {classes - 1}, got {labels.min()} to {labels.max()}")
    return labels, counts


def _nll(log_p: Tensor, labels: Array, counts: Array, weight: Tensor | None, axis: int) -> tuple[Tensor, Tensor]:
    """-w_t log p_t for each target t, and the weights w_t: both 0 where the target does not count."""
    weights = Tensor(counts.astype(log_p.dtype))
    if weight is not None:
        weights = weights * getitem(weight, labels)
    picked = reshape(take_along_axis(log_p, np.expand_dims(labels, axis), axis), labels.shape)
    return -where(counts, picked, 0) * weights, weights


def _soft_cross_entropy(
    log_p: Tensor, target: Tensor, weight: Tensor | None, axis: int, reduction: str, label_smoothing: float
) -> Tensor:
    if target.shape != log_p.shape:
        raise ValueError(f"cross_entropy: target probabilities have shape {target.shape}, scores {log_p.shape}")
    q = target if not label_smoothing else target * (1 - label_smoothing) + label_smoothing / log_p.shape[axis]
    loss = -total(q * (log_p if weight is None else log_p * _along(weight, log_p, axis)), axis)
    if reduction == "mean":
        return total(loss) / (log_p.numel() // max(log_p.shape[axis], 1))
    return _reduce(loss, reduction)


def _along(weight: Tensor, x: Tensor, axis: int) -> Tensor:
    """A number for each class, in the shape that broadcasts over x."""
    return reshape(weight, [-1 if i == axis else 1 for i in range(x.ndim)])


def _alike(op: str, input: Any, target: Any) -> list[Tensor]:
    input, target = as_tensors(op, [input, target])
    if input.shape != target.shape:
        raise ValueError(f"{op}: input has shape {input.shape} but target has shape {target.shape}")
    return [input, target]


def _reduce(loss: Tensor, reduction: str, weights: Tensor | None = None) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return total(loss)
    if reduction == "mean":
        return mean(loss) if weights is None else total(loss) / total(weights)
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
