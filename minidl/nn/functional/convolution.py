"""Convolution by im2col: lay out what every position of the kernel sees, then multiply by the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.nn.functional.geometry import Padding, Pair, image_size, pair, resolve_padding, window_count
from minidl.ops import accelerated, as_tensors, col2im, einsum, im2col, matmul, pad, reshape, transpose
from minidl.tensor import Tensor

Ints = int | Sequence[int]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b for x (..., in_features), W (out_features, in_features), b (out_features)."""
    x, weight, bias = as_tensors("linear", [x, weight, bias])
    if weight.ndim != 2:
        raise ValueError(f"linear: expected weight of shape (out_features, in_features), got {weight.shape}")
    if x.shape[-1:] != weight.shape[1:]:
        raise ValueError(
            f"linear: x of shape {x.shape} has not the {weight.shape[1]} features that weight expects last"
        )
    _check_bias("linear", bias, weight.shape[0])
    return _linear(x, weight, bias)


@accelerated(by="linear")
def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, /) -> Tensor:
    product = matmul(x, transpose(weight, 0, 1))
    return product if bias is None else product + bias


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """y[n, o, p, q] = b[o] + Σ_cij W[o, c, i, j] · x̄[n, c, s·p + d·i, s·q + d·j], where x̄ is x padded with zeros.

    x is (N, C, H, W), W is (O, C/groups, I, J), b is (O): the channels fall into groups which do not see each other.
    Padding is a number, a pair (height, width), "same" or "valid".
    """
    return _conv2d(*prepare_conv(x, weight, bias, stride, padding, dilation, groups))


def prepare_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints | str,
    dilation: Ints,
    groups: int,
) -> tuple[Any, ...]:
    """The arguments of `conv2d`, checked, as those of `_conv2d`."""
    x, weight, bias = as_tensors("conv2d", [x, weight, bias])
    size = image_size("conv2d", x.shape)
    _check_weight("conv2d", weight, groups)
    if x.shape[1] != weight.shape[1] * groups:
        raise ValueError(f"conv2d: x has {x.shape[1]} channels but weight expects {weight.shape[1] * groups}")
    if weight.shape[0] % groups:
        raise ValueError(f"conv2d: weight makes {weight.shape[0]} channels, which {groups} groups cannot share evenly")
    _check_bias("conv2d", bias, weight.shape[0])
    kernel_size = (weight.shape[2], weight.shape[3])
    stride, dilation = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    widths = resolve_padding("conv2d", padding, kernel_size, stride, dilation)
    window_count("conv2d", size, kernel_size, stride, widths, dilation)
    return x, weight, bias, stride, widths, dilation, groups


@accelerated(by="conv2d")
def _conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, /, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Tensor:
    n, o = x.shape[0], weight.shape[0]
    columns = im2col(x, weight.shape[2:], stride, padding, dilation)  # (N, C, I, J, P, Q)
    columns = reshape(columns, n, groups, weight.shape[1], *columns.shape[2:])
    kernels = reshape(weight, groups, o // groups, *weight.shape[1:])
    y = reshape(einsum("gocij,ngcijpq->ngopq", kernels, columns), n, o, *columns.shape[5:])
    return y if bias is None else y + reshape(bias, -1, 1, 1)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The adjoint of `conv2d` with the same weight (C, O/groups, I, J): each element of x paints a kernel.

    The result has height s·(H - 1) + d·(I - 1) + 1 - 2·padding + output_padding, its width alike.
    """
    x, weight, bias = as_tensors("conv_transpose2d", [x, weight, bias])
    size = image_size("conv_transpose2d", x.shape)
    _check_weight("conv_transpose2d", weight, groups)
    if x.shape[1] != weight.shape[0]:
        raise ValueError(f"conv_transpose2d: x has {x.shape[1]} channels but weight expects {weight.shape[0]}")
    if x.shape[1] % groups:
        raise ValueError(f"conv_transpose2d: x has {x.shape[1]} channels, which {groups} groups cannot share evenly")
    o = weight.shape[1] * groups
    _check_bias("conv_transpose2d", bias, o)
    stride, dilation = pair("conv_transpose2d", "stride", stride), pair("conv_transpose2d", "dilation", dilation)
    border = pair("conv_transpose2d", "padding", padding, least=0)
    extra = pair("conv_transpose2d", "output_padding", output_padding, least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(
            f"conv_transpose2d: output_padding {extra} must be smaller than stride {stride} or dilation {dilation}"
        )
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    result = tuple(
        s * (h - 1) + k - 2 * p + e for h, s, k, p, e in zip(size, stride, spans, border, extra, strict=True)
    )
    if min(result) < 1:
        raise ValueError(f"conv_transpose2d: padding {border} leaves nothing of the result: its size would be {result}")
    # Zeros behind x paint nothing; with these the kernel has as many positions in the result as there are elements.
    x = pad(x, ((0, 0), (0, 0), *((0, e // s) for e, s in zip(extra, stride, strict=True))))
    widths = tuple((p, p) for p in border)
    n, c = x.shape[:2]
    kernels = reshape(weight, groups, c // groups, *weight.shape[1:])
    images = reshape(x, n, groups, c // groups, *x.shape[2:])
    columns = einsum("gcoij,ngcpq->ngoijpq", kernels, images)
    y = col2im(reshape(columns, n, o, *columns.shape[3:]), result, weight.shape[2:], stride, widths, dilation)
    return y if bias is None else y + reshape(bias, -1, 1, 1)


def unfold(x: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Tensor:
    """The windows of x (N, C, H, W) as columns (N, C·I·J, P·Q)."""
    (x,) = as_tensors("unfold", [x])
    size = image_size("unfold", x.shape)
    kernel, step, spread = _settings("unfold", kernel_size, stride, dilation)
    widths = resolve_padding("unfold", padding, kernel, step, spread)
    p, q = window_count("unfold", size, kernel, step, widths, spread)
    return reshape(im2col(x, kernel, step, widths, spread), x.shape[0], x.shape[1] * kernel[0] * kernel[1], p * q)


def fold(
    x: Tensor, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """Columns (N, C·I·J, P·Q) added up where `unfold` takes them from, an image (N, C, *output_size): its adjoint."""
    (x,) = as_tensors("fold", [x])
    size = pair("fold", "output_size", output_size)
    kernel, step, spread = _settings("fold", kernel_size, stride, dilation)
    widths = resolve_padding("fold", padding, kernel, step, spread)
    p, q = window_count("fold", size, kernel, step, widths, spread)
    channels, rest = divmod(x.shape[1], kernel[0] * kernel[1]) if x.ndim == 3 else (0, 1)
    if rest or x.shape[2] != p * q:
        raise ValueError(f"fold: expected columns of shape (N, C·{kernel[0] * kernel[1]}, {p * q}), got {x.shape}")
    return col2im(reshape(x, x.shape[0], channels, *kernel, p, q), size, kernel, step, widths, spread)


def _settings(op: str, kernel_size: Ints, stride: Ints, dilation: Ints) -> tuple[Pair, Pair, Pair]:
    return pair(op, "kernel_size", kernel_size), pair(op, "stride", stride), pair(op, "dilation", dilation)


def _check_weight(op: str, weight: Tensor, groups: int) -> None:
    if weight.ndim != 4 or min(weight.shape[2:]) < 1:
        raise ValueError(f"{op}: expected weight with 4 axes and a kernel of at least 1×1, got shape {weight.shape}")
    if groups < 1:
        raise ValueError(f"{op}: groups must be positive, got {groups}")


def _check_bias(op: str, bias: Tensor | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"{op}: expected bias of shape ({channels},), got {bias.shape}")
