"""Samples of the ops that summarise along axes."""

import numpy as np

from minidl import ops
from tests.row import linear, row

AXES = [None, 0, -1, (0, 2), (1, -1), (-3, 1, 2), ()]
AVERAGED = [{}, {"axis": 0}, {"axis": (0, -1)}, {"axis": -1, "keepdims": True}, {"axis": (0, 1, 2), "keepdims": True}]
STEPS = [(ops.argmax, np.argmax), (ops.argmin, np.argmin), (ops.all, np.all), (ops.any, np.any)]  # have no slope
ALONG = [{}, {"axis": 0}, {"axis": -1}, {"axis": 1, "keepdims": True}]


def var(x, axis=None, correction=1, keepdims=False):
    """The variance in NumPy's words."""
    return np.var(x, axis, ddof=correction, keepdims=keepdims)


def std(x, axis=None, correction=1, keepdims=False):
    """The standard deviation in NumPy's words."""
    return np.std(x, axis, ddof=correction, keepdims=keepdims)


def logsumexp(x, axis=None, keepdims=False):
    """The definition, for numbers that do not overflow."""
    return np.log(np.sum(np.exp(x), axis, keepdims=keepdims))


def values_and_indices(values, indices):
    """An oracle for the ops that return both if there is an axis."""

    def oracle(x, axis=None, keepdims=False):
        if axis is None:
            return values(x)
        return values(x, axis, keepdims=keepdims), indices(x, axis, keepdims=keepdims)

    return oracle


def over(axis, keepdims):
    """Samples of the ops for which an axis may be None, a number or several."""
    return [
        linear(ops.sum, [(3, 2, 2)], np.sum, axis=axis, keepdims=keepdims),
        row(ops.amax, [(3, 2, 2)], np.max, axis=axis, keepdims=keepdims),
        row(ops.amin, [(3, 2, 2)], np.min, axis=axis, keepdims=keepdims),
        row(ops.logsumexp, [(3, 2, 2)], logsumexp, axis=axis, keepdims=keepdims, order=3),
    ]


ROWS = [
    *(sample for axis in AXES for keepdims in (False, True) for sample in over(axis, keepdims)),
    *(linear(ops.sum, [shape], np.sum, axis) for shape, axis in [((), None), ((0, 2), 0), ((0, 2), 1)]),
    *(linear(ops.mean, [(3, 2, 2)], np.mean, **named) for named in AVERAGED),
    linear(ops.mean, [()], np.mean),
    *(row(ops.var, [(3, 2, 2)], var, correction=k, **named) for named in AVERAGED for k in (0, 1)),
    *(row(ops.std, [(3, 2, 2)], std, correction=k, **named) for named in AVERAGED for k in (0, 0.5)),
    row(ops.var, [(2, 3)], var),
    row(ops.std, [(2, 3)], std),
    *(row(ops.amax, [shape], np.max, axis) for shape, axis in [((), None), ((0, 2), 1), ((3, 0), 0)]),
    *(row(ops.amin, [shape], np.min, axis) for shape, axis in [((), None), ((0, 2), 1), ((3, 0), 0)]),
    *(row(ops.max, [(3, 4)], values_and_indices(np.max, np.argmax), **named) for named in ALONG),
    *(row(ops.min, [(3, 4)], values_and_indices(np.min, np.argmin), **named) for named in ALONG),
    *(row(op, [(3, 4)], oracle, order=0, **named) for op, oracle in STEPS for named in ALONG),
    row(ops.logsumexp, [(2, 2)], lambda x, axis: 1000 + logsumexp(x - 1000, axis), 1, low=998, high=1002),
    row(ops.logsumexp, [(2, 2)], lambda x, axis: logsumexp(x + 1000, axis) - 1000, 1, low=-1002, high=-998),
]
