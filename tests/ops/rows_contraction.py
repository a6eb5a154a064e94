"""Samples of the ops that multiply and sum, and of the sliding windows."""

import numpy as np

from minidl import ops
from tests.row import linear, row

MATRICES = [
    [(2, 3), (3, 2)],
    [(3,), (3,)],
    [(3,), (3, 2)],
    [(2, 3), (3,)],
    [(2, 2, 3), (3, 2)],
    [(2, 1, 2, 3), (3, 3, 1)],
    [(2, 2, 3), (3,)],
    [(3,), (2, 3, 2)],
    [(2, 0), (0, 3)],
    [(0, 2), (2, 3)],
]
SUMS = [
    ("ij,jk->ik", [(2, 3), (3, 2)]),
    ("ij , jk -> ki", [(2, 3), (3, 2)]),
    ("ij,jk", [(2, 3), (3, 2)]),
    ("ba", [(2, 3)]),
    ("i,i", [(3,), (3,)]),
    ("i,j->ij", [(2,), (3,)]),
    ("ij->j", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("i,j->", [(2,), (3,)]),
    ("ij,k->i", [(2, 3), (2,)]),
    (",ij->ji", [(), (2, 3)]),
    ("ii->i", [(3, 3)]),
    ("ii", [(3, 3)]),
    ("iji->j", [(2, 3, 2)]),
    ("iii->i", [(2, 2, 2)]),
    ("iijj->ji", [(2, 2, 3, 3)]),
    ("ii,i->i", [(2, 2), (2,)]),
    ("bij,bjk->bik", [(2, 2, 3), (2, 3, 1)]),
    ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 2)]),
    ("i,i,i->i", [(3,), (3,), (3,)]),
    ("a,ab,abc->c", [(2,), (2, 2), (2, 2, 3)]),
    ("...->...", [(2, 3)]),
    ("...ij->...ji", [(2, 2, 3)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (3, 2)]),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (3, 3, 1)]),
    ("...i,...i->...", [(2, 3), (1, 3)]),
    ("i...,i->...", [(2, 3), (2,)]),
    ("...ii->...i", [(2, 3, 3)]),
    ("...,...", [(2, 3), (3,)]),
    ("ij,jk->ik", [(2, 3), (1, 2)]),
    ("i,i->", [(3,), (1,)]),
    ("ij,jk->ik", [(2, 0), (0, 3)]),
]
WINDOWS = [
    # kernel_size, stride, padding, dilation for images of 4×5
    ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((2, 3), (1, 2), ((1, 0), (0, 2)), (1, 1)),
    ((2, 2), (3, 1), ((0, 0), (1, 1)), (2, 3)),
    ((4, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),
]


def im2col(x, kernel_size, stride, padding, dilation):
    """The windows of x, entry by entry."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    p, q = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel_size, stride, dilation, strict=True)
    ]
    columns = np.zeros((*x.shape[:2], *kernel_size, p, q))
    for i, j, p, q in np.ndindex(columns.shape[2:]):
        columns[:, :, i, j, p, q] = x[:, :, stride[0] * p + dilation[0] * i, stride[1] * q + dilation[1] * j]
    return columns


def col2im(columns, size, kernel_size, stride, padding, dilation):
    """The windows added to where they came from, entry by entry."""
    (top, bottom), (left, right) = padding
    image = np.zeros((*columns.shape[:2], size[0] + top + bottom, size[1] + left + right))
    for i, j, p, q in np.ndindex(columns.shape[2:]):
        image[:, :, stride[0] * p + dilation[0] * i, stride[1] * q + dilation[1] * j] += columns[:, :, i, j, p, q]
    return image[:, :, top : top + size[0], left : left + size[1]]


def einsum(*operands, subscripts):
    """The sum with the operands in front, as samples have them."""
    return ops.einsum(subscripts, *operands)


ROWS = [
    *(row(ops.matmul, shapes, np.matmul) for shapes in MATRICES),
    row(ops.matmul, [(2, 2), (2, 2)], np.matmul, order=3),
    *(
        row(ops.einsum, shapes, lambda *xs, subscripts: np.einsum(subscripts, *xs), subscripts=subscripts, call=einsum)
        for subscripts, shapes in SUMS
    ),
    *(linear(ops.im2col, [(1, 2, 4, 5)], im2col, *window) for window in WINDOWS),
    *(
        linear(ops.col2im, [im2col(np.empty((1, 1, 4, 5)), *window).shape], col2im, (4, 5), *window)
        for window in WINDOWS
    ),
    linear(ops.im2col, [(0, 2, 4, 5)], im2col, *WINDOWS[1]),
]
