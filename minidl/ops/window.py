"""Sliding windows: im2col lays out what each position of a kernel sees, col2im, its adjoint, adds it back."""

from __future__ import annotations

from minidl import kernels
from minidl.ops.primitive import primitive


@primitive
def im2col(x, /, kernel_size, stride, padding, dilation):
    """The windows of x (N, C, H, W) as (N, C, I, J, P, Q): [n, c, i, j, p, q] = x̄[n, c, s·p + d·i, s·q + d·j].

    x̄ is x with a border of zeros of ((top, bottom), (left, right)); I×J is the kernel, P×Q the positions it fits in.
    """
    value = kernels.table(x.data).im2col(x.data, kernel_size, stride, padding, dilation)
    size = x.shape[2:]
    return value, lambda g: col2im(g, size, kernel_size, stride, padding, dilation)


@primitive
def col2im(x, /, size, kernel_size, stride, padding, dilation):
    """Windows (N, C, I, J, P, Q) added up where they came from in an image (N, C, *size): the adjoint of `im2col`."""
    value = kernels.table(x.data).col2im(x.data, size, kernel_size, stride, padding, dilation)
    return value, lambda g: im2col(g, kernel_size, stride, padding, dilation)
