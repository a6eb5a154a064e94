"""The one source of randomness, for initial weights and masks: on the host, so that every backend draws the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_generator = np.random.default_rng()


def manual_seed(seed: int | Sequence[int]) -> None:
    """Start the library's randomness from a seed, a number or several: what follows repeats bit for bit."""
    global _generator
    _generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """The generator that initialisers and dropout draw from."""
    return _generator
