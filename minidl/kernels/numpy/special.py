"""Special functions that NumPy lacks."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from minidl.backend import Array

# erf(x)/x as a power series in x², for |x| ≤ 1.
_SERIES = Polynomial([2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(18)])


@functools.cache
def _scaled_erfc() -> Chebyshev:
    """erfc(x)·exp(x²) on [1, 6], as a polynomial in t = 2/(2 + x), in which it is smooth."""

    def f(ts: Array) -> Array:
        xs = [2 / t - 2 for t in ts]
        return np.array([math.erfc(x) * math.exp(x * x) for x in xs])

    return Chebyshev.interpolate(f, 18, domain=[0.25, 2 / 3])


def erf(x: Array) -> Array:
    """The error function, to a few roundings: near 0 its series, beyond 1 ±(1 - erfc|x|), beyond 6 just ±1."""
    size = np.minimum(np.abs(x), x.dtype.type(6)).astype(np.float64)
    square = size * size
    near = size * _SERIES(np.minimum(square, 1))
    far = 1 - _scaled_erfc()(2 / (2 + np.maximum(size, 1))) * np.exp(-square)
    return np.copysign(np.where(size < 1, near, far), x).astype(x.dtype)
