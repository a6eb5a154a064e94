"""The receptive field: how many pixels of the input, down and across, an element of a feature map depends on.

Along an axis, a layer with windows of k elements, d apart, at steps of s, turns a field of r pixels, with neighbours
j pixels apart, into

    r' = r + d·(k - 1)·j        j' = j·s

What lies between layers is read from the graph that autograd records. Where paths meet (sums, concatenations, gates)
the largest field counts. An op that leaves one element of an axis has seen all of the image. One that merely shrinks an
axis is taken for windows side by side, an index such as x[:, :, ::2, ::2] for one that looks at single elements. Where
n parts of one map, each shrunk to an element, are put in a row, as adaptive pooling does it, each has seen its n-th.
Borders are ignored: a field may be larger than the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from minidl.autograd import Node
from minidl.nn import (
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    Linear,
    MaxPool2d,
    Module,
)
from minidl.nn.functional.geometry import pair
from minidl.tensor import Tensor


class Axis(NamedTuple):
    """An axis of a feature map: the field of an element, the distance of neighbours, and how many there are."""

    field: Fraction
    jump: Fraction
    length: int

    def windows(self, kernel: Fraction | int, stride: Fraction | int, length: int) -> Axis:
        """Behind windows that span so many elements, at such steps."""
        return Axis(self.field + (kernel - 1) * self.jump, self.jump * stride, length)

    def cells(self, number: int, pixels: int) -> Axis:
        """Behind a grid laid over it, of so many cells."""
        if number == 1 < self.length:
            return self.whole(pixels)
        return self.windows(-(-self.length // number), Fraction(self.length, number), number)

    def whole(self, pixels: int) -> Axis:
        """Behind what has seen all elements, and with them all pixels."""
        return Axis(max(self.field, Fraction(pixels)), self.jump * self.length, 1)


View = tuple[Axis, ...]
"""What an element sees down and across."""


class Fields:
    """The views of the tensors computed from an input (N, C, H, W), which requires a gradient."""

    def __init__(self, x: Tensor):
        self.size = x.shape[2:]
        self.views: dict[Node | None, View] = {}
        if x.ndim == 4:
            self.views[x.node] = tuple(Axis(Fraction(1), Fraction(1), length) for length in self.size)

    def behind(self, layer: Module, x: Any, y: Tensor) -> View | None:
        """The view of what a layer made of x."""
        before = self.of(x) if isinstance(x, Tensor) else None
        if before is None:
            return self.of(y)
        if isinstance(layer, Linear) and y.ndim == 2:
            return tuple(axis.whole(pixels) for axis, pixels in zip(before, self.size, strict=True))
        windows = _windows(layer, before, y.shape[2:])
        if windows is None:
            return self.of(y)
        return tuple(axis.windows(*window) for axis, window in zip(before, windows, strict=True))

    def cut(self, y: Tensor, view: View | None) -> Tensor:
        """The same numbers, from here on without the graph behind them, and with this view."""
        y = y.detach().requires_grad_()
        if view is not None:
            self.views[y.node] = view
        return y

    def of(self, x: Tensor) -> View | None:
        """The view of a tensor, by the graph up to tensors of known view; None if the input is not behind it."""
        found: dict[Node | None, View] = {}
        unknown, stack = set(), [x.node]
        while stack:
            node = stack.pop()
            if node in self.views:
                found[node] = self.views[node]
            elif node is not None and node not in unknown:
                unknown.add(node)
                stack += node.parents
        for node in sorted(unknown, key=lambda node: node.number):
            sources = [(parent, found[parent]) for parent in node.parents if parent is not None and parent in found]
            view = self._in_a_row(node, found) if node.name == "concatenate" else None
            if view is not None:
                found[node] = view
            elif sources:
                found[node] = self._through(node, sources)
        return found.get(x.node)

    def _in_a_row(self, node: Node, found: Mapping[Node | None, View]) -> View | None:
        """The view behind parts cut from one map, each shrunk to an element of the axis along which they are joined."""
        origin, *others = {_cut_from(parent) for parent in node.parents}
        if others or origin not in found or len(node.shape) != 4:
            return None
        single = [all(part and part.shape[axis] == 1 for part in node.parents) for axis in (2, 3)]
        axes = list(zip(found[origin], node.shape[2:], self.size, single, strict=True))
        if not any(single) or any(axis.length != length for axis, length, _, shrunk in axes if not shrunk):
            return None
        return tuple(axis.cells(length, pixels) if shrunk else axis for axis, length, pixels, shrunk in axes)

    def _through(self, node: Node, sources: Sequence[tuple[Node, View]]) -> View:
        """The view behind an op, from those of what it took."""
        parent, view = max(sources, key=lambda source: math.prod(axis.length for axis in source[1]))
        merged = [axis._replace(field=max(other[k].field for _, other in sources)) for k, axis in enumerate(view)]
        grown = math.prod(node.shape) - math.prod(parent.shape)
        if grown == 0 or (len(node.shape) != 4 and grown > 0):
            return tuple(merged)
        lengths = node.shape[2:] if len(node.shape) == 4 else (1, 1)
        return tuple(
            _shrunk(axis, length, pixels, picked=node.name == "getitem")
            for axis, length, pixels in zip(merged, lengths, self.size, strict=True)
        )


def _cut_from(node: Node | None) -> Node | None:
    """What an index took a part of, if only ops of one input lie between that part and this; else None."""
    while node is not None and node.name != "getitem":
        parents = [parent for parent in node.parents if parent is not None]
        node = parents[0] if len(parents) == 1 else None
    return None if node is None else node.parents[0]


def _shrunk(axis: Axis, length: int, pixels: int, picked: bool) -> Axis:
    """An axis behind an op after which it has another length."""
    if length == 1 < axis.length and not picked:
        return axis.whole(pixels)
    ratio = max(1, round(axis.length / max(length, 1)))
    return axis.windows(1 if picked else ratio, ratio, length)


def _windows(layer: Module, before: View, after: Sequence[int]) -> list[tuple[Any, Any, int]] | None:
    """(span, stride, number) of a layer's windows down and across; None if it is no layer with windows."""
    if not isinstance(layer, Conv2d | ConvTranspose2d | MaxPool2d | AvgPool2d):
        return None
    name = type(layer).__name__
    kernel, stride, dilation = (
        pair(name, setting, getattr(layer, setting, 1)) for setting in ("kernel_size", "stride", "dilation")
    )
    windows = []
    for k, s, d, n in zip(kernel, stride, dilation, after, strict=True):
        span = d * (k - 1) + 1
        backwards = isinstance(layer, ConvTranspose2d)  # s times as many elements; each sees every s-th of a kernel
        windows.append((-(-span // s), Fraction(1, s), n) if backwards else (span, Fraction(s), n))
    return windows
