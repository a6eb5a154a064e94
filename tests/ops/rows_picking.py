"""Samples of the ops that pick elements by index and put them back."""

import math

import numpy as np

from minidl import ops, tensor
from tests.row import linear

SIMPLE = [
    ((4, 3), 1),
    ((4, 3), -1),
    ((4, 3), np.int64(2)),
    ((4, 3), slice(1, 3)),
    ((4, 3), slice(None, None, -2)),
    ((4, 3), slice(2, 2)),
    ((4, 3), (slice(None), 0)),
    ((4, 3), (..., None, slice(1, None))),
    ((4, 3), None),
    ((4, 3), ...),
    ((4, 3), ()),
    ((), ()),
    ((), None),
    ((0, 3), slice(None)),
]
ADVANCED = [
    ((4, 3), [0, 2, 0, 0]),
    ((4, 3), []),
    ((4, 3), ([0, 0, 3], [1, 1, 2])),
    ((4, 3), ((0, 0),)),
    ((4, 3), range(0, 4, 3)),
    ((4, 3), np.array(1)),
    ((4, 3), np.array([[0, -1], [3, 3]])),
    ((4, 3), np.array([0, 3, 3], np.uint8)),
    ((4, 3), (slice(None), np.array([2, 2, 0]))),
    ((4, 3), np.arange(12).reshape(4, 3) % 5 == 0),
    ((4, 3), np.array([True, False, True, True])),
    ((4, 3), [True, False, True, True]),
    ((4, 3), np.zeros((4, 3), bool)),
    ((4, 3), (np.array([True, False, True, False]), 1)),
    ((4, 3), (np.array([True, False, True, False]), [1, 1])),
    ((2, 3, 2), (0, slice(None), [1, 1, 0])),
    ((2, 3, 2), ([1, 0, 1], slice(None), [0, 0, 0])),
    ((2, 3, 2), (..., [1, 1])),
]
COLUMNS = np.array([[2, 0, 2, 1], [0, 0, 1, 2]])  # of a matrix that has three of them


def in_tensors(index, backend):
    """The index with tensors in the place of arrays and lists."""
    if isinstance(index, tuple):
        return tuple(in_tensors(part, backend) for part in index)
    if isinstance(index, list):
        return tensor(np.asarray(index, None if index else int), backend=backend)
    return tensor(index, backend=backend) if isinstance(index, np.ndarray) else index


def placed(x, index, shape):
    """Zeros with every element of x added at its place, one by one."""
    result = np.zeros(math.prod(shape))
    places = np.arange(result.size).reshape(shape)[index]
    for place, value in zip(np.ravel(places), x.ravel(), strict=True):
        result[place] += value
    return result.reshape(shape)


def at(shape, index):
    """Samples of picking at an index and of putting back there."""
    return [
        linear(ops.getitem, [shape], lambda x, index: x[index], index),
        linear(ops.put, [np.empty(shape)[index].shape], placed, index, shape),
    ]


ROWS = [
    *(sample for shape, index in [*SIMPLE, *ADVANCED] for sample in at(shape, index)),
    *(
        linear(
            ops.getitem,
            [shape],
            lambda x, index: x[index],
            index,
            call=lambda x, index: x[in_tensors(index, x.backend)],
        )
        for shape, index in ADVANCED
    ),
    linear(ops.take_along_axis, [(2, 3)], np.take_along_axis, COLUMNS, 1),
    linear(ops.take_along_axis, [(2, 3)], np.take_along_axis, COLUMNS[:1], -1),
    linear(ops.take_along_axis, [(3, 4)], np.take_along_axis, COLUMNS, 0),
    linear(ops.take_along_axis, [(3,)], np.take_along_axis, COLUMNS[0], 0),
]
