"""Arrays on which gradients can be checked: bounded, evenly spaced, without ties, away from 0, however they lie."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from minidl.testing.layout import LAYOUTS, Array, lay_out
from minidl.testing.strategies.shape import Shape, shapes

MANY = 2**24  # up to here hypothesis draws all numbers alike, beyond the small ones more often


def layouts(*, broadcast: bool = True) -> SearchStrategy[str]:
    """Ways to lie in memory, for `minidl.testing.layout.lay_out`; "broadcast" is the one that makes elements equal.

    `layouts()` draws "reversed", and shrinks to "C".
    """
    return st.sampled_from([layout for layout in LAYOUTS if broadcast or layout != "broadcast"])


@st.composite
def arrays(
    draw: DrawFn,
    shape: Shape | SearchStrategy[Shape] | None = None,
    dtype: Any = np.float64,
    *,
    low: float = -2.0,
    high: float = 2.0,
    ties: bool = False,
    zeros: bool = False,
    layout: str | SearchStrategy[str] | None = None,
) -> Array:
    """Arrays of floating point, low ≤ x < high, of which shape, dtype and layout in memory are given or drawn.

    The elements are whole steps apart and 0 is a quarter step away, so that no kink is near, of a maximum, of ReLU or
    of |x|; a step is a power of two, so that sums are exact. With `ties` elements may be equal, and the layout may be
    "broadcast"; with `zeros` one may be 0, if that is in the range.

    `arrays(shapes(min_dims=1))` draws [[-0.75, 1.25], [0.25, -1.75]] by columns, and shrinks to [1.0]: by rows, the
    elements next to 0 first.
    """
    if not low < high or np.dtype(np.float64 if isinstance(dtype, SearchStrategy) else dtype).kind != "f":
        raise ValueError(f"arrays: expected low < high and a floating-point dtype, got {low}, {high} and {dtype}")
    sides = _drawn(draw, shapes() if shape is None else shape)
    size = math.prod(sides)
    levels = _levels(size + zeros, low, high, zeros)
    x = levels[draw(_picks(size, len(levels), ties))].reshape(sides).astype(_drawn(draw, dtype))
    chosen = _drawn(draw, layouts(broadcast=ties) if layout is None else layout)
    result = lay_out(x, chosen)
    if chosen != "C" and currently_in_test_context():
        note(f"the array of shape {result.shape} is laid out as {chosen!r}, with strides {result.strides}")
    return result


def _drawn(draw: DrawFn, value: Any) -> Any:
    return draw(value) if isinstance(value, SearchStrategy) else value


def _levels(n: int, low: float, high: float, zeros: bool) -> Array:
    """n numbers from low to high, one step apart, in order of magnitude."""
    step = 2.0 ** math.floor(math.log2((high - low) / max(n, 1)))
    offset = 0 if zeros else 0.25
    numbers = (math.ceil(low / step - offset) + offset + np.arange(n)) * step
    return numbers[np.argsort(abs(numbers), kind="stable")]


def _picks(n: int, levels: int, ties: bool) -> SearchStrategy[Array]:
    """Which level each of n elements has. Simplest, the first has the first, and so on; with ties, all have.

    One number tells, for arrays of any size, since to hypothesis less to draw is simpler. Its digits are choices, those
    for the first elements first: they stay what they were when an array becomes smaller. Where there are too many
    choices, the number is a seed.
    """

    def orders(number: int) -> list[int]:
        picked: list[int] = []
        for level in range(levels):
            number, back = divmod(number, level + 1)
            picked.insert(level - back, level)
        return picked[:n]

    def tied(number: int) -> list[int]:
        return [number // levels**k % levels for k in range(n)]

    def random(seed: int) -> Array:
        rng = np.random.default_rng(seed)
        if ties:
            return rng.integers(0, levels if seed else 1, n)
        return rng.permutation(levels)[:n] if seed else np.arange(n)

    few = (levels**n if ties else math.factorial(levels)) <= MANY
    pick = random if not few else tied if ties else orders
    return st.integers(0, MANY).map(lambda number: np.array(pick(number), int))
