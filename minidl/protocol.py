"""How tensors speak to Python and to other libraries: arrays, DLPack, containers, numbers, copies, text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.backend import Array


class Protocols:
    """What `Tensor` inherits besides its ops: the double-underscore methods."""

    __slots__ = ()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.data.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **settings: Any) -> Any:
        if self.requires_grad:
            raise BufferError("__dlpack__: this tensor requires grad, and others cannot follow the graph: use detach()")
        return self.data.__dlpack__(**settings)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"only an integer tensor can be an index, this one is {self.dtype}")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        rebuild, (kind, array, requires_grad) = self.__reduce__()
        copy = memo[id(self)] = rebuild(kind, array.copy(), requires_grad)
        if self.grad is not None:
            copy.grad = self.grad.detach().clone()
        return copy

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise RuntimeError("this tensor was computed by an op: copy or pickle its detach() instead")
        return _rebuild, (type(self), self.data, self.requires_grad)

    def __repr__(self) -> str:
        body = np.array2string(self.numpy(), separator=", ", prefix="tensor(", threshold=200, edgeitems=3, precision=4)
        notes = [] if self.dtype in (np.float32, np.int64, np.bool_) else [f"dtype={self.dtype}"]
        notes += [f"shape={self.shape}"] if self.numel() > 20 or not self.numel() else []
        notes += ["backend='cupy'"] if self.backend == "cupy" else []
        notes += ["requires_grad=True"] if self.requires_grad and self.is_leaf else []
        notes += [f"from={self.node.name}"] if self.node is not None and not self.is_leaf else []
        return f"tensor({', '.join([body, *notes])})"


def _rebuild(kind: type[Any], array: Array, requires_grad: bool) -> Any:
    tensor = object.__new__(kind)
    tensor._hold(array)
    return tensor.requires_grad_(requires_grad)
