"""What convolution and pooling share: their settings in full, and the sizes that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
"""((top, bottom), (left, right))."""


def pair(op: str, name: str, value: int | Sequence[int], least: int = 1) -> Pair:
    """A number for both axes, or (height, width), checked."""
    numbers = (value, value) if type(value) is int or not isinstance(value, Sequence) else tuple(value)
    if len(numbers) != 2 or not all(type(n) is int or _is_integer(n) for n in numbers):
        raise TypeError(f"{op}: {name} must be an integer or a pair of them, got {value!r}")
    if min(numbers) < least:
        raise ValueError(f"{op}: {name} must be at least {least}, got {value!r}")
    return int(numbers[0]), int(numbers[1])


def _is_integer(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def resolve_padding(
    op: str, padding: int | Sequence[int] | str, kernel_size: Pair, stride: Pair, dilation: Pair
) -> Padding:
    """Padding in full. "same" keeps the size at stride 1; of an odd sum the larger half goes behind, as in PyTorch."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"{op}: padding='same' needs stride 1, got {stride}")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        top, left = (total // 2 for total in totals)
        return (top, totals[0] - top), (left, totals[1] - left)
    if isinstance(padding, str):
        raise ValueError(f"{op}: padding must be numbers, 'same' or 'valid', got {padding!r}")
    vertical, horizontal = pair(op, "padding", padding, least=0)
    return (vertical, vertical), (horizontal, horizontal)


def window_count(
    op: str, size: Sequence[int], kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Pair:
    """How many positions the kernel has, down and across: (n + before + after - d·(k - 1) - 1) // s + 1."""
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel_size, strict=True)]
    room = [n + sum(pads) - span for n, pads, span in zip(size, padding, spans, strict=True)]
    if min(room) < 0:
        padded = tuple(n + sum(pads) for n, pads in zip(size, padding, strict=True))
        raise ValueError(
            f"{op}: a kernel that spans {tuple(spans)} does not fit into an image of {padded} (padding included)"
        )
    return room[0] // stride[0] + 1, room[1] // stride[1] + 1


def image_size(op: str, shape: Sequence[int]) -> Pair:
    """Height and width of a batch of feature maps."""
    if len(shape) != 4:
        raise ValueError(f"{op}: expected x of shape (N, C, H, W), got {tuple(shape)}")
    return shape[2], shape[3]
