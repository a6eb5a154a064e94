"""The same numbers in another place: how an array may lie in memory. An op must not care."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LAYOUTS = ("C", "strided", "reversed", "F", "channel-major", "broadcast")


def lay_out(x: Array, layout: str) -> Array:
    """The elements of x in new memory: by rows ("C"), as every other element along each axis ("strided"), ...

    ... with negative strides ("reversed"), by columns ("F"), with the first two axes exchanged ("channel-major"), or
    with strides of 0 along all axes but the first: "broadcast" repeats x[:, 0, ..., 0], and can only be read.
    """
    if layout == "C" or x.ndim == 0:
        return x.copy()
    if layout == "strided":
        gaps = np.full(
            [2 * n for n in x.shape], np.nan if x.dtype.kind == "f" else 99, x.dtype
        )  # who reads one will not like it
        result = gaps[(slice(None, None, 2),) * x.ndim]
        result[...] = x
        return result
    if layout == "reversed":
        backwards = (slice(None, None, -1),) * x.ndim
        return x[backwards].copy()[backwards]
    if layout == "F":
        return x.T.copy().T
    if layout == "channel-major":
        return x.swapaxes(0, 1).copy().swapaxes(0, 1) if x.ndim > 1 else x.copy()
    if layout == "broadcast":
        return np.broadcast_to(x[(slice(None), *[slice(1)] * (x.ndim - 1))].copy(), x.shape)
    raise ValueError(f"lay_out: expected one of {', '.join(LAYOUTS)}, got {layout!r}")
