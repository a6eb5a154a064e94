"""Arithmetic in place."""

from __future__ import annotations

import numpy as np

from minidl.backend import Array


def accumulate(total: Array, part: Array) -> None:
    """total += part."""
    np.add(total, part, out=total)
