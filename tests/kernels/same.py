"""Convolutions that keep the size of the image: cases to draw, and what they compute, entry by entry."""

import numpy as np
from hypothesis import strategies as st

from minidl.kernels.common.convolution import Geometry
from minidl.kernels.numpy import parallel, plane, winograd
from tests.kernels.windows import Case, seen


@st.composite
def axes(draw):
    """Size, kernel, padding and dilation along one axis; kernels may be larger than images, even, or off centre."""
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    reach = dilation * (kernel - 1)
    before = draw(st.integers(0, reach))
    return draw(st.integers(1, 6)), kernel, (before, reach - before), dilation


@st.composite
def cases(draw):
    """A few images and channels."""
    size, kernel, padding, dilation = zip(draw(axes()), draw(axes()), strict=True)
    return Case((draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size), kernel, (1, 1), padding, dilation)


THREE = Case((3, 2, 5, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
WIDTH_ONE = Case((2, 1, 6, 1), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
HEIGHT_ONE = Case((2, 1, 1, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
EVEN = Case((3, 3, 5, 6), (2, 4), (1, 1), ((1, 0), (1, 2)), (1, 1))
FAR = Case((3, 1, 4, 3), (3, 3), (1, 1), ((6, 0), (3, 3)), (3, 3))
POINT = Case((3, 2, 3, 4), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))

positions = st.sampled_from([1, 7, 16, 30, 1000])
"""How many pixels a tile may have: some rows, an image, or several."""


def geometry(case):
    """The case as kernels take it."""
    return Geometry(case.kernel_size, case.stride, case.padding, case.dilation)


def tiles_of(patch, pixels):
    """Have work cut in tiles of so many pixels, where rows and images allow it, and channels and weights in parts."""
    patch.setattr(plane, "POSITIONS", pixels)
    patch.setattr(plane, "WORK", 1)
    patch.setattr(plane, "LEAST", 0)
    patch.setattr(winograd, "PART", pixels)
    patch.setattr(parallel, "SHORTEST", 1)


def definition(x, weight, g, case):
    """y, dx and dweight, entry by entry."""
    columns = seen(x, case, outside=0)
    N, C, H, W = x.shape
    y = np.einsum("ocij,ncijpq->nopq", weight, columns)
    dweight = np.einsum("nopq,ncijpq->ocij", g, columns)
    places = seen(np.arange(H * W).reshape(1, 1, H, W), case, outside=-1)[0, 0]
    dx = np.zeros((N, C, H * W), x.dtype)
    for i, j, p, q in np.ndindex(places.shape):
        if places[i, j, p, q] >= 0:
            dx[:, :, places[i, j, p, q]] += g[:, :, p, q] @ weight[:, :, i, j]
    return y, dx.reshape(x.shape), dweight
