"""Windows that slide over images: cases of convolution and pooling, all of them valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from minidl.testing.strategies.shape import Shape

Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """`F.conv2d(x, weight, bias, **case.settings)` for arrays of `case.shapes` has the shape `case.output`."""

    x: Shape  # (N, C, H, W)
    weight: Shape  # (O, C / groups, I, J)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def shapes(self) -> tuple[Shape, Shape, Shape]:
        """Those of x, weight and bias."""
        return self.x, self.weight, self.weight[:1]

    @property
    def settings(self) -> dict[str, Any]:
        """What conv2d has to know besides, by name."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def output(self) -> Shape:
        """(N, O, P, Q)."""
        tracks = map(Track, self.x[2:], self.weight[2:], self.stride, self.padding, self.dilation)
        return self.x[0], self.weight[0], *(track.count() for track in tracks)


@dataclass(frozen=True)
class Pooling:
    """`F.max_pool2d(x, **case.settings)` for x of shape `case.x` has the shape `case.output`.

    So has `F.avg_pool2d`, which knows no dilation, if there is none.
    """

    x: Shape  # (N, C, H, W)
    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair | None = None
    ceil_mode: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """What max_pool2d has to know, by name."""
        dilation = {} if self.dilation is None else {"dilation": self.dilation}
        common = {"kernel_size": self.kernel_size, "stride": self.stride, "padding": self.padding}
        return common | dilation | {"ceil_mode": self.ceil_mode}

    @property
    def output(self) -> Shape:
        """(N, C, P, Q)."""
        tracks = map(Track, self.x[2:], self.kernel_size, self.stride, self.padding, self.dilation or (1, 1))
        return *self.x[:2], *(track.count(self.ceil_mode) for track in tracks)


class Track(NamedTuple):
    """How a window slides along one axis."""

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    def count(self, ceil_mode: bool = False) -> int:
        """How many positions it has; in ceil_mode one more if what is left lets it start, though not fit."""
        span = self.dilation * (self.kernel - 1) + 1
        starts = range(0, self.size + 2 * self.padding - span + 1, self.stride)
        left = self.size + 2 * self.padding - span - starts[-1]  # unseen behind the last window
        return len(starts) + (ceil_mode and left > 0 and starts[-1] + self.stride < self.size + self.padding)


@st.composite
def convolutions(draw: DrawFn, *, min_batch: int = 1, max_groups: int = 3) -> Convolution:
    """Convolutions with strides that leave a rest, padding, dilation and groups; nothing need be square.

    `convolutions()` draws Convolution(x=(2, 2, 5, 4), weight=(4, 1, 2, 3), stride=(3, 1), padding=(0, 2), dilation=(1,
    2), groups=2), and shrinks to one weight on one pixel. The simplest image is as large as the kernel.
    """
    size, kernel, stride, padding, dilation = zip(draw(_tracks()), draw(_tracks()), strict=True)
    groups = draw(st.integers(1, max_groups))
    n, inside, outside = draw(st.integers(min_batch, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return Convolution(
        (n, groups * inside, *size), (groups * outside, inside, *kernel), stride, padding, dilation, groups
    )


@st.composite
def poolings(draw: DrawFn, *, min_batch: int = 1, dilated: bool = True) -> Pooling:
    """Poolings with strides that leave a rest or overlap, padding and dilation; nothing need be square.

    `poolings()` draws Pooling(x=(1, 2, 5, 3), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 1),
    ceil_mode=True), and shrinks to one pixel. With dilated=False they suit average pooling too.
    """
    tracks = _tracks(most_dilation=3 if dilated else 1, half_padding=True)
    size, kernel, stride, padding, dilation = zip(draw(tracks), draw(tracks), strict=True)
    n, c = draw(st.integers(min_batch, 2)), draw(st.integers(1, 2))
    ceil_mode = draw(st.booleans())
    return Pooling((n, c, *size), kernel, stride, padding, dilation if dilated else None, ceil_mode)


@st.composite
def _tracks(draw: DrawFn, *, most_dilation: int = 3, half_padding: bool = False) -> Track:
    """Windows that fit at least once; padding may be limited to half the kernel, as it is in pooling."""
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    padding, dilation = draw(st.integers(0, kernel // 2 if half_padding else 2)), draw(st.integers(1, most_dilation))
    least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    return Track(draw(st.integers(least, least + 4)), kernel, stride, padding, dilation)
