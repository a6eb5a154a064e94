"""Samples of the ops that act on each element, and of those that only keep or move it."""

import math

import numpy as np

from minidl import Tensor, ops
from tests.row import linear, row

PAIRS = [
    [(2, 3), (2, 3)],
    [(2, 3), (3,)],
    [(2, 1, 2), (3, 1)],
    [(), (2, 2)],
    [(2, 2), ()],
    [(), ()],
    [(0, 3), (3,)],
    [(1,), (0,)],
    [(2, 3, 2, 2), (2, 3, 1, 1)],  # a squeeze-and-excitation gate
]
SHAPES = [[(2, 3)], [()], [(0, 2)]]
POSITIVE = {"low": 0.3, "high": 3.0}


def every_third(*arrays):
    """A condition of the arrays' joint shape."""
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    return (np.arange(math.prod(shape)) % 3 == 1).reshape(shape)


def choose(x, y):
    """What `where` makes of the condition and two arrays, or two tensors."""
    if isinstance(x, Tensor):
        return ops.where(Tensor(every_third(x, y)).to(x.backend), x, y)
    return np.where(every_third(x, y), x, y)


def binary(shapes):
    """Samples of the ops of two tensors."""
    return [
        linear(ops.add, shapes, np.add, broadcasts=True),
        linear(ops.subtract, shapes, np.subtract, broadcasts=True),
        row(ops.multiply, shapes, np.multiply, broadcasts=True, order=3),
        row(ops.divide, shapes, np.divide, broadcasts=True, low=0.5, high=2.5),
        row(ops.power, shapes, np.power, broadcasts=True, **POSITIVE),
        row(ops.maximum, shapes, np.maximum, broadcasts=True),
        row(ops.minimum, shapes, np.minimum, broadcasts=True),
        linear(ops.where, shapes, choose, call=choose, broadcasts=True),
    ]


def unary(shapes):
    """Samples of the ops of one tensor."""
    return [
        linear(ops.negative, shapes, np.negative),
        row(ops.absolute, shapes, np.abs),
        row(ops.exp, shapes, np.exp, order=3),
        row(ops.log, shapes, np.log, order=3, **POSITIVE),
        row(ops.sqrt, shapes, np.sqrt, order=3, **POSITIVE),
        row(ops.tanh, shapes, np.tanh, order=3),
        row(ops.sigmoid, shapes, lambda x: 1 / (1 + np.exp(-x)), order=3, low=-4, high=4),
        row(ops.softplus, shapes, lambda x: np.log(1 + np.exp(x)), order=3, low=-4, high=4),
        row(ops.erf, shapes, np.vectorize(math.erf, otypes=[float]), order=3),
        row(ops.relu, shapes, lambda x: np.where(x > 0, x, 0)),
        row(ops.leaky_relu, shapes, lambda x: np.where(x > 0, x, 0.01 * x)),
        row(ops.relu6, shapes, lambda x: np.clip(x, 0, 6), low=-4, high=9),
        linear(ops.identity, shapes, np.array),
        linear(ops.clone, shapes, np.array),
    ]


ROWS = [
    *(sample for shapes in PAIRS for sample in binary(shapes)),
    *(sample for shapes in SHAPES for sample in unary(shapes)),
    row(ops.divide, [(2,), (2,)], np.divide, low=-2.5, high=-0.5, order=3),
    *(row(ops.power, [(2, 3)], np.power, exponent, order=3) for exponent in (-1, 0, 1, 2, 3)),
    row(ops.power, [(4,)], np.power, 2.5, order=4, **POSITIVE),
    row(ops.power, [(4,)], lambda y: 1.7**y, call=lambda y: ops.power(1.7, y)),
    row(ops.leaky_relu, [(5,)], lambda x, slope: np.where(x > 0, x, slope * x), 0.3),
    *(row(ops.clip, [(2, 3)], np.clip, *bounds) for bounds in [(-0.5, 0.8), (-0.5, None), (None, np.float64(0.5))]),
    linear(ops.astype, [(2, 3)], np.asarray, np.float64, keeps_dtype=False),
    linear(ops.to, [(2, 3)], np.asarray, np.float64, keeps_dtype=False),
    linear(ops.to, [(2, 3)], lambda x, place: x, "numpy", keeps_backend=False),
    *(linear(ops.reserve, [shape], lambda x, channels: x, 5) for shape in [(2, 3, 2), (0, 5), (3, 0), (2, 2, 1, 2)]),
]
