"""Ops with errors planted in their gradients."""

import numpy as np
from hypothesis import strategies as st

from minidl import ops, tensor

smooth = st.sampled_from(
    [
        (np.exp, np.exp),
        (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
        (np.log, lambda x: 1 / x),
        (lambda x: x**3, lambda x: 3 * x**2),
        (np.sin, np.cos),
    ]
)


def data(*shape, backend="numpy"):
    return tensor(np.random.default_rng(len(shape)).uniform(0.5, 1.5, shape), backend=backend)


def factors(shape, index, factor):
    """Ones, but for one element."""
    result = np.ones(shape)
    result[index] = factor
    return result


def wrong(value, pull):
    """An op of one tensor with this value and this pullback."""

    @ops.primitive
    def planted(x, /):
        return value(x.data), lambda g: pull(g, x)

    return planted
