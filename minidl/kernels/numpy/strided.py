"""The gradients of a convolution with strides, by those of some without: one for each phase of the image.

With strides s the kernel's element i sees the rows s·p + i - top, which all leave the same rest a when divided by s. So
the rows (and columns) of x with the rest a meet only every s-th element of the kernel, and these they meet at stride 1:

    y = Σ_ab  W_ab * x_ab        x_ab[p, q] = x[s·p + a, s·q + b]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from minidl.kernels.common.convolution import Geometry, Gradients, Pair
from minidl.kernels.numpy.parallel import parallel, shares

Kernel = Callable[..., Gradients]


class Phase(NamedTuple):
    """Along one axis: the rest a, the first of the kernel's elements that see it, and the padding at stride 1."""

    rest: int
    first: int
    padding: Pair


def phases(kernel: int, stride: int, before: int) -> list[Phase]:
    """Those rests that a kernel sees at all."""
    found = []
    for rest in range(stride):
        first = (rest + before) % stride
        if first < kernel:
            shift = (rest + before - first) // stride
            found.append(Phase(rest, first, (shift, (kernel - 1 - first) // stride - shift)))
    return found


def pull_by_phases(
    gradients: Kernel, x: np.ndarray, weight: np.ndarray, geometry: Geometry, g: np.ndarray, wanted: Sequence[bool]
) -> Gradients:
    """dx and dW by those of convolutions at stride 1; wherever each phase of x has the size of g, or lacks a line."""
    down, across = geometry.stride
    vertical = phases(weight.shape[2], down, geometry.padding[0][0])
    horizontal = phases(weight.shape[3], across, geometry.padding[1][0])
    dx = np.zeros((x.shape[1], len(x), *x.shape[2:]), x.dtype).swapaxes(0, 1) if wanted[0] else None
    dweight = np.empty_like(weight) if wanted[1] else None
    for rows, cols in product(vertical, horizontal):
        place = (..., slice(rows.rest, None, down), slice(cols.rest, None, across))
        elements = (..., slice(rows.first, None, down), slice(cols.first, None, across))
        sampled = _sampled(x, place, (g.shape[2], g.shape[3]))
        part, dpart, _ = gradients(sampled, weight[elements], (rows.padding, cols.padding), g, wanted)
        if dx is not None and part is not None:
            _put(dx[place], part)
        if dweight is not None:
            dweight[elements] = dpart
    return dx, dweight, None


def _put(phase: np.ndarray, part: np.ndarray) -> None:
    """Copy what there is of a phase."""
    height, width = phase.shape[2:]

    def copy(channels: slice) -> None:
        phase[:, channels] = part[:, channels, :height, :width]

    parallel(copy, shares(part.shape[1], part[:, :1].size))


def has_phases(x: np.ndarray, geometry: Geometry, groups: int) -> bool:
    """Whether `pull_by_phases` is made for this: strides, one group, no dilation, phases as large as the result."""
    sizes = zip(x.shape[2:], geometry.stride, geometry.positions(x.shape[2:]), strict=True)
    return groups == 1 and geometry.dilation == (1, 1) and all(-(-n // s) == p for n, s, p in sizes)


def _sampled(x: np.ndarray, place: tuple[Any, ...], size: Pair) -> np.ndarray:
    """x at a phase, channel-major, with a line of zeros behind where it lacks one."""
    source = x[place].swapaxes(0, 1)
    c, n, height, width = source.shape
    sampled = np.empty((c, n, *size), x.dtype)

    def copy(part: slice) -> None:
        sampled[part, :, height:] = 0
        sampled[part, :, :, width:] = 0
        sampled[part, :, :height, :width] = source[part]

    parallel(copy, shares(c, n * height * width))
    return sampled.swapaxes(0, 1)
