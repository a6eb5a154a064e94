"""Samples of the curves that are made of several ops."""

import math

import numpy as np

from minidl.nn import functional as F
from tests.row import row

SHAPES = [(3, 6), (), (1, 2, 2, 3), (0, 2)]
AXES = [((2, 4), 1), ((2, 4), -1), ((2, 3, 2), 1), ((2, 3, 2, 1), 0), ((1, 3), 0), ((3,), 0)]


def sigmoid(x):
    """The definition, for numbers that do not overflow."""
    return 1 / (1 + np.exp(-x))


def gelu(x, approximate="none"):
    """x times the normal distribution, or times the curve that takes its place."""
    if approximate == "tanh":
        return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2
    return x * (1 + np.vectorize(math.erf, otypes=[float])(x / np.sqrt(2))) / 2


def hardsigmoid(x):
    """Three straight pieces."""
    return np.where(x <= -3, 0, np.where(x >= 3, 1, x / 6 + 1 / 2))


def softmax(x, dim):
    """The definition, for numbers that do not overflow."""
    return np.exp(x) / np.sum(np.exp(x), dim, keepdims=True)


def log_softmax(x, dim):
    """The definition, where the softmax does not vanish."""
    return np.log(softmax(x, dim))


def far(oracle, distance):
    """The oracle of numbers that all are larger by a distance, which makes no difference."""
    return lambda x, dim: oracle(x - distance, dim)


def curves(shape):
    """Samples of the functions of each element."""
    return [
        row(F.add_relu, [shape, shape], lambda x, y: np.maximum(x + y, 0), order=2),
        row(F.silu, [shape], lambda x: x * sigmoid(x), low=-4, high=4, order=3),
        row(F.gelu, [shape], gelu, order=3),
        row(F.gelu, [shape], gelu, "tanh", order=3),
        row(F.hardsigmoid, [shape], hardsigmoid, low=-4, high=4),
        row(F.hardswish, [shape], lambda x: x * hardsigmoid(x), low=-4, high=4),
    ]


ROWS = [
    *(sample for shape in SHAPES for sample in curves(shape)),
    *(
        row(F.add_relu, shapes, lambda x, y: np.maximum(x + y, 0), broadcasts=True)
        for shapes in ([(2, 3, 2), (3, 1)], [(2, 1, 3), (1, 2, 1)], [(), (4,)])
    ),
    *(row(F.softmax, [shape], softmax, dim) for shape, dim in AXES),
    *(row(F.log_softmax, [shape], log_softmax, dim) for shape, dim in AXES),
    # where the definitions overflow: float32 at 100, float64 at 1,000, too far out for differences of float64
    *(row(F.softmax, [(2, 3)], far(softmax, n), 1, low=n - 2, high=n + 2) for n in (-100, 100)),
    *(row(F.log_softmax, [(2, 3)], far(log_softmax, n), 1, low=n - 2, high=n + 2) for n in (-100, 100)),
    *(row(F.softmax, [(2, 3)], far(softmax, n), 1, low=n - 2, high=n + 2, order=0) for n in (-1000, 1000)),
    *(row(F.log_softmax, [(2, 3)], far(log_softmax, n), 1, low=n - 2, high=n + 2, order=0) for n in (-1000, 1000)),
]
