"""Windows that slide over planes: cases to draw, and what they see, entry by entry."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st


class Case(NamedTuple):
    """An input's shape and how windows slide over it. Pairs are vertical, horizontal."""

    shape: tuple
    kernel_size: tuple
    stride: tuple
    padding: tuple
    dilation: tuple

    @property
    def output_size(self):
        """How many positions a window has, counted one by one."""
        sizes = []
        for size, kernel, stride, (before, after), dilation in zip(self.shape[2:], *self[1:], strict=True):
            last = size + before + after - dilation * (kernel - 1)
            sizes.append(len(range(0, last, stride)))
        return tuple(sizes)


@st.composite
def axes(draw, dilations):
    """Size, kernel, stride, padding and dilation along one axis, such that at least one window fits."""
    kernel, dilation = draw(st.integers(1, 4)), draw(dilations)
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    least = max(1, dilation * (kernel - 1) + 1 - sum(padding))
    return draw(st.integers(least, least + 6)), kernel, draw(st.integers(1, 5)), padding, dilation


ANY_DILATION = st.integers(1, 3)


@st.composite
def cases(draw, dilations=ANY_DILATION):
    """Ragged cases: nothing square, padding on one side, strides beyond the kernel, empty batches."""
    size, *rest = zip(draw(axes(dilations)), draw(axes(dilations)), strict=True)
    return Case((draw(st.integers(0, 3)), draw(st.integers(1, 3)), *size), *rest)


MANY_BLOCKS = Case((3, 5, 37, 41), (3, 2), (2, 1), ((1, 1), (1, 0)), (1, 2))
ONE_WINDOW = Case((2, 3, 4, 5), (4, 5), (1, 1), ((0, 0), (0, 0)), (1, 1))
ONE_PIXEL = Case((2, 3, 4, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))


def seen(x, case, outside):
    """(N, C, I, J, P, Q): the entry i, j of the window p, q of x; `outside` where it sees none."""
    entries = np.full((*x.shape[:2], *case.kernel_size, *case.output_size), outside, x.dtype)
    for i, j, p, q in np.ndindex(entries.shape[2:]):
        h = p * case.stride[0] + i * case.dilation[0] - case.padding[0][0]
        w = q * case.stride[1] + j * case.dilation[1] - case.padding[1][0]
        if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
            entries[:, :, i, j, p, q] = x[:, :, h, w]
    return entries


def whole_numbers(shape, dtype, seed):
    """Small ones, so that sums are exact in any order."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def _spread(x):
    wide = np.full_like(x, 99, shape=[2 * size for size in x.shape])
    every_other = wide[(slice(None, None, 2),) * x.ndim]
    every_other[...] = x
    return every_other


def _reversed(x):
    backwards = (slice(None, None, -1),) * x.ndim
    return x[backwards].copy()[backwards]


LAYOUTS = {
    "contiguous": lambda x: x.copy(),
    "channel-major": lambda x: x.swapaxes(0, 1).copy().swapaxes(0, 1),
    "columns first": lambda x: x.T.copy().T,
    "every other": _spread,
    "backwards": _reversed,
    "broadcast": lambda x: np.broadcast_to(x[:, :1, ..., :1], x.shape),
}
layouts = st.sampled_from(sorted(LAYOUTS))


def is_channel_major(x):
    """Whether (N, C, ...) lies in memory as (C, N, ...) without gaps."""
    return x.swapaxes(0, 1).flags.c_contiguous
