"""The ops as methods and operators of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from minidl import ops

if TYPE_CHECKING:
    from minidl.ops.reduction import Extremes
    from minidl.tensor import Tensor


class Methods:
    """What `Tensor` inherits: each method is the op of the same name, with the tensor as its first argument."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return ops.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __neg__(self) -> Tensor:
        return ops.negative(self)

    def __abs__(self) -> Tensor:
        return ops.absolute(self)

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.compare(np.equal, self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return ops.compare(np.not_equal, self, other)

    def __lt__(self, other: Any) -> Tensor:
        return ops.compare(np.less, self, other)

    def __le__(self, other: Any) -> Tensor:
        return ops.compare(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return ops.compare(np.greater, self, other)

    def __ge__(self, other: Any) -> Tensor:
        return ops.compare(np.greater_equal, self, other)

    def __and__(self, other: Any) -> Tensor:
        return ops.compare(np.bitwise_and, self, other)

    def __or__(self, other: Any) -> Tensor:
        return ops.compare(np.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Tensor:
        return ops.compare(np.bitwise_xor, self, other)

    def __invert__(self) -> Tensor:
        return ops.compare(np.bitwise_xor, self, True if self.dtype == np.bool_ else -1)

    __hash__ = object.__hash__

    def exp(self) -> Tensor:
        return ops.exp(self)

    def log(self) -> Tensor:
        return ops.log(self)

    def sqrt(self) -> Tensor:
        return ops.sqrt(self)

    def abs(self) -> Tensor:
        return ops.absolute(self)

    def tanh(self) -> Tensor:
        return ops.tanh(self)

    def sigmoid(self) -> Tensor:
        return ops.sigmoid(self)

    def relu(self) -> Tensor:
        return ops.relu(self)

    def clip(self, min: float | None = None, max: float | None = None) -> Tensor:
        return ops.clip(self, min, max)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.sum(self, axis, keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.mean(self, axis, keepdims)

    def var(self, axis: int | tuple[int, ...] | None = None, correction: int = 1, keepdims: bool = False) -> Tensor:
        return ops.var(self, axis, correction, keepdims)

    def std(self, axis: int | tuple[int, ...] | None = None, correction: int = 1, keepdims: bool = False) -> Tensor:
        return ops.std(self, axis, correction, keepdims)

    def amax(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.amax(self, axis, keepdims)

    def amin(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.amin(self, axis, keepdims)

    @overload
    def max(self, axis: None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def max(self, axis: int, keepdims: bool = False) -> Extremes: ...
    def max(self, axis: int | None = None, keepdims: bool = False) -> Tensor | Extremes:
        return ops.max(self, axis, keepdims)

    @overload
    def min(self, axis: None = None, keepdims: bool = False) -> Tensor: ...
    @overload
    def min(self, axis: int, keepdims: bool = False) -> Extremes: ...
    def min(self, axis: int | None = None, keepdims: bool = False) -> Tensor | Extremes:
        return ops.min(self, axis, keepdims)

    def all(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.all(self, axis, keepdims)

    def any(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.any(self, axis, keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return ops.argmax(self, axis, keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        return ops.argmin(self, axis, keepdims)

    def logsumexp(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return ops.logsumexp(self, axis, keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        return ops.reshape(self, *shape)

    def permute(self, *axes: Any) -> Tensor:
        return ops.permute(self, *axes)

    def transpose(self, axis0: int, axis1: int) -> Tensor:
        return ops.transpose(self, axis0, axis1)

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return ops.permute(self, tuple(range(self.ndim))[::-1])

    def broadcast_to(self, shape: tuple[int, ...]) -> Tensor:
        return ops.broadcast_to(self, shape)

    def flatten(self, start_axis: int = 0, end_axis: int = -1) -> Tensor:
        return ops.flatten(self, start_axis, end_axis)

    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Tensor:
        return ops.squeeze(self, axis)

    def unsqueeze(self, axis: int) -> Tensor:
        return ops.unsqueeze(self, axis)

    def flip(self, axis: int | tuple[int, ...] | None = None) -> Tensor:
        return ops.flip(self, axis)

    def split(self, split_size_or_sections: int | list[int], axis: int = 0) -> tuple[Tensor, ...]:
        return ops.split(self, split_size_or_sections, axis)

    def clone(self) -> Tensor:
        return ops.clone(self)

    def to(self, place: Any) -> Tensor:
        return ops.to(self, place)
