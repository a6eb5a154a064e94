"""Samples of the ops that rearrange elements, join them and take them apart."""

import numpy as np

from minidl import ops
from tests.row import linear, row


def flatten(x, start_axis=0, end_axis=-1):
    """The axes of a cube from start to end as one."""
    start, end = start_axis % 3, end_axis % 3
    return x.reshape(*x.shape[:start], np.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])


def joined(*xs, axis=0):
    """Concatenation of tensors that are given one by one."""
    return ops.concatenate(xs, axis)


def appended(*xs):
    """Concatenation one after the other, onto a first tensor that has room for eight channels."""
    result = ops.reserve(xs[0], 8)
    for x in xs[1:]:
        result = ops.concatenate([result, x], 1)
    return result


def grown(*xs):
    """All that `appended` sees on its way, joined: a dense block."""
    return ops.concatenate([appended(*xs[:k]) for k in range(1, len(xs) + 1)], 1)


RESHAPED = [
    linear(ops.reshape, [(2, 6)], np.reshape, (3, 4)),
    linear(ops.reshape, [(2, 6)], np.reshape, (4, -1)),
    linear(ops.reshape, [(2, 6)], np.reshape, -1),
    linear(ops.reshape, [(2, 6)], lambda x, *shape: x.reshape(shape), 1, 12, 1),
    linear(ops.reshape, [()], np.reshape, (1, 1)),
    linear(ops.reshape, [(0, 2)], np.reshape, (2, 0, 5)),
    *(linear(ops.flatten, [(2, 3, 2)], flatten, *axes) for axes in [(), (1,), (0, 1), (-2, -1), (1, 1)]),
    linear(ops.flatten, [()], np.ravel),
    linear(ops.flatten, [(2, 0)], np.ravel),
    *(linear(ops.squeeze, [(1, 3, 1, 2)], np.squeeze, *axis) for axis in [(), (0,), (-2,), ((0, 2),)]),
    linear(ops.squeeze, [(1, 3)], lambda x, axis: x, 1),
    *(linear(ops.unsqueeze, [(2, 3)], np.expand_dims, axis) for axis in (0, 1, 2, -1, -3)),
    *(linear(ops.broadcast_to, [(3,)], np.broadcast_to, shape) for shape in [(2, 3), (3,), (0, 3)]),
    *(linear(ops.broadcast_to, [(2, 1)], np.broadcast_to, shape) for shape in [(2, 3), (3, 2, 2), (2, 0)]),
    linear(ops.broadcast_to, [()], np.broadcast_to, (2, 2)),
]

PERMUTED = [
    *(linear(ops.permute, [(2, 3, 2)], np.transpose, axes) for axes in [(0, 1, 2), (2, 0, 1), (-1, 1, 0), [1, -1, 0]]),
    linear(ops.permute, [(2, 1, 3, 2)], lambda x, *axes: np.transpose(x, axes), 3, 1, 0, 2),
    linear(ops.permute, [()], np.transpose, ()),
    *(linear(ops.transpose, [(2, 3, 2)], np.swapaxes, *axes) for axes in [(0, 1), (-1, 0), (1, 1)]),
    *(linear(ops.flip, [(2, 3, 2)], np.flip, *axis) for axis in [(), (0,), (-1,), ((0, 2),)]),
    linear(ops.flip, [(0, 2)], np.flip, 1),
]

PADDED = [
    *(linear(ops.pad, [(2, 3)], np.pad, width) for width in [1, (1, 0), ((0, 1), (2, 0)), 0]),
    linear(ops.pad, [(0, 2)], np.pad, 1),
    row(ops.pad, [(2, 3)], lambda x, width, value: np.pad(x, width, constant_values=value), 1, 2.5),
]

JOINED = [
    linear(ops.concatenate, [(2, 3), (1, 3), (0, 3)], lambda *xs: np.concatenate(xs), call=joined),
    linear(ops.concatenate, [(2, 1), (2, 3)], lambda *xs, axis: np.concatenate(xs, axis), axis=-1, call=joined),
    linear(ops.concatenate, [(2,)], lambda *xs: np.concatenate(xs), call=joined),
    linear(
        ops.concatenate, [(2, 1), (2, 3)], lambda x, y: np.hstack([x, y, x]), call=lambda x, y: joined(x, y, x, axis=1)
    ),
    linear(ops.concatenate, [(2, 3, 2), (2, 1, 2), (2, 4, 2)], lambda *xs: np.concatenate(xs, 1), call=appended),
    linear(ops.concatenate, [(2, 2), (2, 1)], lambda x, y: np.hstack([x, x, y]), call=grown),
    *(
        linear(
            ops.stack,
            [(2, 3), (2, 3)],
            lambda x, y, axis: np.stack([x, y], axis),
            axis=axis,
            call=lambda x, y, axis: ops.stack([x, y], axis),
        )
        for axis in (0, 1, -1)
    ),
    *(linear(ops.split, [(5, 2)], lambda x, size: np.split(x, range(size, 5, size)), size) for size in (1, 2, 5, 7)),
    linear(ops.split, [(2, 5)], lambda x, sizes, axis: np.split(x, np.cumsum(sizes)[:-1], axis), [2, 0, 3], 1),
    linear(ops.split, [(2, 5)], lambda x, sizes, axis: np.split(x, np.cumsum(sizes)[:-1], axis), [4, 1], axis=-1),
    linear(ops.split, [(0, 2)], lambda x, size: [x], 3),
]

ROWS = [*RESHAPED, *PERMUTED, *PADDED, *JOINED]
