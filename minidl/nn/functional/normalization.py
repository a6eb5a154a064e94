"""Normalisation: subtract a mean, divide by a deviation, scale and shift; methods differ in what they average over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl import kernels
from minidl.autograd import note_write
from minidl.nn.functional.convolution import _conv2d, prepare_conv
from minidl.ops import accelerated, as_tensors, mean, pad, relu, reshape, sqrt
from minidl.tensor import Tensor


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """γ (x - μ) / √(σ² + ε) + β, for each channel of x (N, C, ...). (Ioffe & Szegedy, arXiv:1502.03167, algorithm 1.)

    In training, μ and σ² are those of the batch, and the running ones, if given, move towards them in place by
    `momentum`, the variance in its unbiased form. Otherwise the running ones are used.
    """
    x, weight, bias, eps, moments, of_batch = prepare_norm(
        x, running_mean, running_var, weight, bias, training, momentum, eps
    )
    if _learned(running_mean, running_var, training):
        return _normalized(x, weight, bias, eps, (running_mean, running_var), of_batch)
    return _batch_norm(x, weight, bias, eps, moments, of_batch)


def _learned(running_mean: Tensor | None, running_var: Tensor | None, training: bool) -> bool:
    """Whether gradients are wanted by the statistics that are used: no kernel has them."""
    return not training and any(
        isinstance(given, Tensor) and given.requires_grad for given in (running_mean, running_var)
    )


def prepare_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Any, ...]:
    """The arguments of `batch_norm`, checked, as those of `_batch_norm`; the running statistics have moved."""
    x, running_mean, running_var, weight, bias = as_tensors("batch_norm", [x, running_mean, running_var, weight, bias])
    if x.ndim < 2:
        raise ValueError(f"batch_norm: expected x of shape (N, C, ...), got {x.shape}")
    named = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    for name, given in named.items():
        if given is not None and given.shape != (x.shape[1],):
            raise ValueError(f"batch_norm: x has {x.shape[1]} channels but {name} has shape {given.shape}")
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: without training=True it needs running_mean and running_var")
        return x, weight, bias, eps, (running_mean.data.copy(), running_var.data.copy()), False
    n = x.numel() // max(x.shape[1], 1)
    if n <= 1:
        raise ValueError(f"batch_norm: a batch of shape {x.shape} has {n} values for each channel: training needs two")
    if x.room is None:
        mu, variance = kernels.table(x.data).channel_moments(x.data)
    else:
        mu, variance = x.room.moments(x.shape[1])
    for running, now in ((running_mean, mu), (running_var, variance * (n / (n - 1)))):
        if running is not None:
            running.data += (now - running.data) * momentum
            note_write(running)
    return x, weight, bias, eps, (mu, variance), True


@accelerated(by="batch_norm")
def _batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, /, eps: float, moments: Any, of_batch: bool
) -> Tensor:
    return _normalized(x, weight, bias, eps, moments, of_batch)


def _normalized(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, moments: Any, of_batch: bool
) -> Tensor:
    """`moments`: the mean and variance of each channel, which kernels need not compute again if they are `of_batch`."""
    if of_batch:
        standard = _standardize(x, (0, *range(2, x.ndim)), eps)
    else:
        mean, variance = (_wide(moment, x) for moment in moments)
        standard = (x - mean) / sqrt(variance + eps)
    return _affine(standard, _wide(weight, x), _wide(bias, x))


def convolution_and_norm(conv: Sequence[Any], norm: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments of `conv2d` beside x that make it batch_norm(conv2d(x, *conv), *norm) with running statistics."""
    (weight, bias, *geometry), (mean, variance, gamma, beta, *_, eps) = conv, norm
    scale = (variance.data + eps) ** -0.5
    if gamma is not None:
        scale *= gamma.data
    shift = -mean.data * scale
    for added in (None if bias is None else bias.data * scale, None if beta is None else beta.data):
        if added is not None:
            shift += added
    return Tensor(weight.data * scale[:, None, None, None]), Tensor(shift), *geometry


def norm_relu(x: Tensor, *norm: Any) -> Tensor:
    """relu(batch_norm(x, *norm)), in one kernel where there is one."""
    if _learned(norm[0], norm[1], norm[4]):
        return relu(batch_norm(x, *norm))
    return _norm_relu(*prepare_norm(x, *norm))


@accelerated(by="norm_relu")
def _norm_relu(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, /, eps: float, moments: Any, of_batch: bool
) -> Tensor:
    return relu(_batch_norm(x, weight, bias, eps, moments, of_batch))


def norm_relu_conv2d(x: Tensor, norm: Sequence[Any], conv: Sequence[Any]) -> Tensor:
    """conv2d(relu(batch_norm(x, *norm)), *conv), in one kernel where there is one: what is between is never stored."""
    if _learned(norm[0], norm[1], norm[4]):
        return _conv2d(*prepare_conv(norm_relu(x, *norm), *conv))
    x, gamma, beta, *statistics = prepare_norm(x, *norm)
    _, weight, bias, *geometry = prepare_conv(x, *conv)
    return _norm_relu_conv2d(x, gamma, beta, weight, bias, *statistics, *geometry)


@accelerated(by="norm_relu_conv2d")
def _norm_relu_conv2d(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    /,
    eps: float,
    moments: Any,
    of_batch: bool,
    *geometry: Any,
) -> Tensor:
    return _conv2d(_norm_relu(x, gamma, beta, eps, moments, of_batch), weight, bias, *geometry)


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """γ (x - μ) / √(σ² + ε) + β over the last axes, of `normalized_shape`. (Ba et al., arXiv:1607.06450, eq. 4.)"""
    x, weight, bias = as_tensors("layer_norm", [x, weight, bias])
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: x of shape {x.shape} does not end in normalized_shape {shape}")
    for name, given in {"weight": weight, "bias": bias}.items():
        if given is not None and given.shape != shape:
            raise ValueError(f"layer_norm: normalized_shape is {shape} but {name} has shape {given.shape}")
    return _affine(_standardize(x, tuple(range(-len(shape), 0)), eps), weight, bias)


def group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """γ (x - μ) / √(σ² + ε) + β over groups of channels of each example. (Wu & He, arXiv:1803.08494, eq. 1 and 7.)"""
    x, weight, bias = as_tensors("group_norm", [x, weight, bias])
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(f"group_norm: {num_groups} groups cannot share the channels of x of shape {x.shape} evenly")
    for name, given in {"weight": weight, "bias": bias}.items():
        if given is not None and given.shape != (x.shape[1],):
            raise ValueError(f"group_norm: x has {x.shape[1]} channels but {name} has shape {given.shape}")
    groups = reshape(x, x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    return _affine(reshape(_standardize(groups, (2,), eps), x.shape), _wide(weight, x), _wide(bias, x))


def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + α · average of x² over `size` neighbouring channels)^β. (Krizhevsky et al. 2012, section 3.3.)

    As in PyTorch the sum of squares is divided by `size`, so α is `size` times the paper's.
    """
    (x,) = as_tensors("local_response_norm", [x])
    if x.ndim < 3 or size < 1:
        raise ValueError(f"local_response_norm: expected x of shape (N, C, ...) and size ≥ 1, got {x.shape} and {size}")
    before = size // 2
    squares = pad(x * x, ((0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)))
    total = squares[:, : x.shape[1]]
    for offset in range(1, size):
        total = total + squares[:, offset : offset + x.shape[1]]
    return x / (k + alpha / size * total) ** beta


def _standardize(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """(x - μ) / √(σ² + ε) over the axes."""
    deviation = x - mean(x, axes, keepdims=True)
    return deviation / sqrt(mean(deviation * deviation, axes, keepdims=True) + eps)


def _affine(x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    x = x if scale is None else x * scale
    return x if shift is None else x + shift


def _wide(parameter: Any, x: Tensor) -> Any:
    """A number for each channel, in the shape that broadcasts over x (N, C, ...)."""
    return None if parameter is None else reshape(parameter, 1, -1, *[1] * (x.ndim - 2))
