"""The tensor: an array, and the node that ties it to the graph it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minidl import autograd, ops
from minidl.backend import Array, is_cupy, name_of, to_backend
from minidl.protocol import Protocols

if TYPE_CHECKING:
    from minidl.autograd import Node
    from minidl.ops.memory import Room


class Memory:
    """What all tensors that share an array's memory have in common."""

    frozen = False  # whether a graph relies, or has relied, on the numbers in it
    written = 0  # when they were last changed in place: the number of the next node


class Tensor(ops.Methods, Protocols):
    """An array that can remember how it was computed. `Tensor(array)` shares its memory; `minidl.tensor` copies it.

    A tensor in a graph is a value: its elements are not assigned to, and `x += y` makes a new tensor.
    """

    __slots__ = ("__weakref__", "data", "leaf", "memory", "node", "room")
    __array_ufunc__ = None  # array * tensor is the tensor's business

    def __init__(self, data: Array):
        self._hold(data)

    def _hold(self, data: Array) -> None:
        self.data: Array = data if isinstance(data, np.ndarray) or is_cupy(data) else _checked(data)
        self.node: Node | None = None
        self.leaf: Node | None = None  # the node of a leaf, also while it does not require a gradient
        self.memory = Memory()
        self.room: Room | None = None  # free memory behind this array, for concatenation in place

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return len(self.data.shape)

    @property
    def backend(self) -> str:
        """The library the array belongs to: "numpy" or "cupy"."""
        return name_of(self.data)

    def numel(self) -> int:
        """The number of elements."""
        return int(self.data.size)

    @property
    def requires_grad(self) -> bool:
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        self.requires_grad_(flag)

    def requires_grad_(self, flag: bool = True) -> Tensor:
        """Make this tensor a leaf that collects its gradient (or stop it from doing so); returns the tensor."""
        if not self.is_leaf:
            if flag:
                return self
            raise RuntimeError("requires_grad_(False): this tensor was computed by an op: use detach()")
        if flag and self.dtype.kind != "f":
            raise RuntimeError(f"requires_grad_: only floating-point tensors have gradients, this one is {self.dtype}")
        if flag and self.leaf is None:
            self.leaf = autograd.Node("leaf", self)
        self.node = self.leaf if flag else None
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op computed this tensor."""
        return self.node is None or self.node.pull is None

    @property
    def grad(self) -> Tensor | None:
        """What backward passes have added up here: for leaves, and for tensors that were told to `retain_grad`."""
        node = self.node or self.leaf
        return None if node is None else node.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"grad: expected a tensor or None, got {type(value).__name__}: wrap it with minidl.tensor()"
            )
        node = self.node or self.leaf
        if value is not None and (node is None or value.shape != self.shape):
            wanted = "no gradient, it does not require one" if node is None else f"shape {self.shape}"
            raise ValueError(f"grad: got a gradient of shape {value.shape} for a tensor that wants {wanted}")
        if node is not None:
            node.grad = value

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor too, though it is no leaf."""
        if self.node is None:
            raise RuntimeError("retain_grad: this tensor does not require grad")
        self.node.keeps_grad = True

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the derivative of ⟨self, gradient⟩ to the `grad` of every leaf; a one-element tensor starts from 1."""
        autograd.backward(self, gradient, retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same array, outside the graph."""
        result = Tensor(self.data)
        result.memory = self.memory
        result.memory.frozen |= self.requires_grad
        return result

    def numpy(self) -> np.ndarray[Any, Any]:
        """The array on the host: shared memory if it is there, and read-only if a graph refers to it."""
        array: np.ndarray[Any, Any] = to_backend(self.data, "numpy")
        if array is self.data and (self.memory.frozen or self.requires_grad):
            array = array.view()
            array.flags.writeable = False
        return array

    def item(self) -> Any:
        """The one element as a Python number."""
        if self.numel() != 1:
            raise ValueError(f"item: only a tensor of one element is a number, this one has shape {self.shape}")
        return self.data.item()

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.memory.frozen or self.requires_grad or self.room is not None:
            raise RuntimeError(
                "item assignment: this memory is, or was, part of a graph, or of a concatenation, which rely on it: "
                "use minidl.where(), or assign to a clone() or, if you know that nobody relies on it, to x.data"
            )
        if isinstance(value, Tensor) and value.requires_grad:
            raise RuntimeError(
                "item assignment: the value requires grad, and no gradient would flow back to it: "
                "use minidl.where() or minidl.concatenate(), or assign its detach()"
            )
        self.data[_raw(index)] = _raw(value)


def _checked(data: Any) -> Array:
    if isinstance(data, np.generic):
        return np.asarray(data)
    raise TypeError(
        f"Tensor: expected a NumPy or CuPy array, got {type(data).__name__}: use minidl.tensor() to convert"
    )


def _raw(value: Any) -> Any:
    """A tensor's array, also inside an index of several parts."""
    if isinstance(value, tuple):
        return tuple(_raw(part) for part in value)
    return value.data if isinstance(value, Tensor) else value
