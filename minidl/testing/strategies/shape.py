"""Shapes, and the axes that go with them."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Shape = tuple[int, ...]
Axis = int | tuple[int, ...] | None


def shapes(*, min_dims: int = 0, max_dims: int = 4, min_side: int = 1, max_side: int = 4) -> SearchStrategy[Shape]:
    """Shapes, few axes and short ones first; with min_side=0 also those of arrays without elements.

    `shapes(min_dims=2)` draws (3, 1, 2), and shrinks to (1, 1).
    """
    sides = st.integers(min_side, max_side)
    return st.lists(sides, min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def broadcastable_shapes(
    draw: DrawFn, n: int, *, max_dims: int = 4, min_side: int = 1, max_side: int = 4
) -> tuple[Shape, ...]:
    """n shapes that broadcast together, each with axes missing in front, and ones in place of some.

    `broadcastable_shapes(3)` draws ((2, 1, 3), (1, 3), (4, 3)), and shrinks to ((), (), ()).
    """
    axis = st.tuples(st.integers(min_side, max_side), *[st.booleans()] * n)  # its side, and which shapes have it
    whole = draw(st.lists(axis, max_size=max_dims))

    def shape(k: int) -> Shape:
        missing = draw(st.integers(0, max_dims))
        return tuple(side if has_it[k] else 1 for side, *has_it in whole[missing:])

    return tuple(shape(k) for k in range(n))


def axes(ndim: int, *, several: bool = True, none: bool = True) -> SearchStrategy[Axis]:
    """What `axis` may be for an array of so many axes: one axis, also counted from behind, None, or several.

    `axes(3)` draws 1, -3, None, (2, -3), and shrinks to 0. Without axes there is only None.
    """
    if ndim == 0 and not none:
        raise ValueError("axes: an array without axes has none to choose: leave it out, or allow none=True")
    numbers = [*range(ndim), *range(-1, -ndim - 1, -1)]
    choice: SearchStrategy[Axis] = st.sampled_from([*numbers[:ndim], *[None] * none, *numbers[ndim:]])
    if not several or ndim == 0:
        return choice
    one = st.integers(0, 2 * ndim - 1).map(numbers.__getitem__)
    return choice | st.lists(one, min_size=1, unique_by=lambda axis: axis % ndim).map(tuple)
