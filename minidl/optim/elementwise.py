"""Updates that move each element of a parameter by itself, so that large ones can be moved in tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl.backend import Array
from minidl.kernels.numpy.elementwise import in_tiles


def elementwise(move: Callable[..., None], p: Array, *others: Array) -> None:
    """move(p, *others), which changes p and others in place, each element by what stands in its place in the rest."""
    if isinstance(p, np.ndarray):
        in_tiles(move, p, *others)
    else:
        move(p, *others)
