"""Special functions of CuPy."""

from __future__ import annotations

from minidl.backend import Array


def erf(x: Array) -> Array:
    """The error function, elementwise."""
    from cupyx.scipy import special  # here, so that importing this module does not import CuPy

    return special.erf(x)
