"""Samples of the functions that make one number of every window or cell of an image."""

import numpy as np

from minidl.nn import functional as F
from tests.row import linear, row


def pair(n):
    """A number twice, or the two that are given."""
    return (n, n) if isinstance(n, int) else n


def windows(n, kernel, stride, padding, dilation, ceil_mode):
    """Where each window has its entries along one axis, the padding's at negative places or behind the end."""
    starts = range(-padding, n + padding - dilation * (kernel - 1), stride)
    starts = list(starts)
    if ceil_mode and starts[-1] + dilation * (kernel - 1) < n + padding - 1 and starts[-1] + stride < n:
        starts.append(starts[-1] + stride)
    return [range(start, start + dilation * (kernel - 1) + 1, dilation) for start in starts]


def pooled(summary, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """summary(the entries in the image, how many places of the window are in the image or its padding)."""
    stride = kernel_size if stride is None else stride
    along = zip(x.shape[2:], *map(pair, (kernel_size, stride, padding, dilation)), strict=True)
    rows, columns = (windows(*axis, ceil_mode) for axis in along)
    (h, w), (top, left) = x.shape[2:], pair(padding)
    y = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for p, q in np.ndindex(y.shape[2:]):
        i, j = [i for i in rows[p] if 0 <= i < h], [j for j in columns[q] if 0 <= j < w]
        places = sum(i < h + top for i in rows[p]) * sum(j < w + left for j in columns[q])
        y[:, :, p, q] = summary(x[:, :, i][..., j], places)
    return y


def max_pool2d(x, *settings, **named):
    """The largest entry of each window."""
    return pooled(lambda entries, places: entries.max((2, 3)), x, *settings, **named)


def avg_pool2d(x, *settings, count_include_pad=True, divisor_override=None, **named):
    """The sum of each window's entries divided by how many there are, or by what is to be counted instead."""

    def average(entries, places):
        count = places if count_include_pad else entries[0, 0].size
        return entries.sum((2, 3)) / (divisor_override or count)

    return pooled(average, x, *settings, **named)


def adaptive(summary):
    """An oracle that summarises the cells of a grid."""

    def oracle(x, output_size):
        h, w = x.shape[2:]
        p, q = (n if m is None else m for n, m in zip((h, w), pair(output_size), strict=True))
        y = np.zeros((*x.shape[:2], p, q))
        for i, j in np.ndindex(p, q):
            rows = slice(int(np.floor(i * h / p)), int(np.ceil((i + 1) * h / p)))
            columns = slice(int(np.floor(j * w / q)), int(np.ceil((j + 1) * w / q)))
            y[:, :, i, j] = summary(x[:, :, rows, columns], (2, 3))
        return y

    return oracle


X = (2, 2, 4, 5)
SMALL = (1, 2, 4, 3)
POOLS = [
    {"kernel_size": 2},
    {"kernel_size": 1},
    {"kernel_size": (4, 5)},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0), "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": (3, 4)},
]
GRIDS = [(3, 2), 1, (None, 2), (4, 3), (2, 5)]

ROWS = [
    *(row(F.max_pool2d, [X], max_pool2d, **settings) for settings in POOLS),
    row(F.max_pool2d, [X], max_pool2d, 3, 2, 1, (1, 2), True),
    row(F.max_pool2d, [(1, 1, 5, 7)], max_pool2d, 2, 1, 0, (3, 2)),
    *(linear(F.avg_pool2d, [X], avg_pool2d, **settings) for settings in POOLS),
    *(linear(F.avg_pool2d, [X], avg_pool2d, count_include_pad=False, **settings) for settings in POOLS[3:7]),
    linear(F.avg_pool2d, [(1, 1, 4, 4)], avg_pool2d, 3, 2, 1, divisor_override=5),
    *(linear(F.adaptive_avg_pool2d, [SMALL], adaptive(np.mean), size) for size in GRIDS),
    *(row(F.adaptive_max_pool2d, [SMALL], adaptive(np.max), size) for size in GRIDS),
    *(
        linear(F.global_avg_pool2d, [shape], lambda x: x.mean((2, 3), keepdims=True))
        for shape in [X, (1, 2, 1, 1), (0, 2, 3, 3)]
    ),
]
