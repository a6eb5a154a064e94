"""Samples of the linear maps of features and images, and of the windows."""

import numpy as np

from minidl.nn import functional as F
from tests.row import linear, row


def pair(n):
    """A number twice, or the two that are given."""
    return (n, n) if isinstance(n, int) else n


def window(image, p, q, kernel_size, stride, dilation):
    """What a kernel sees at its position p, q."""
    (i, j), (s, t), (d, e) = kernel_size, stride, dilation
    return image[..., s * p : s * p + d * (i - 1) + 1 : d, t * q : t * q + e * (j - 1) + 1 : e]


def positions(image, kernel_size, stride, dilation):
    """How many there are, down and across."""
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel_size, strict=True)]
    return [len(range(0, n - span + 1, s)) for n, span, s in zip(image.shape[2:], spans, stride, strict=True)]


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """One position and one channel after the other."""
    stride, dilation, (o, c, *kernel_size) = pair(stride), pair(dilation), weight.shape
    if padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True)]
        borders = [(span // 2, span - span // 2) for span in spans]
    else:
        borders = [(p, p) for p in pair(padding)]
    x = np.pad(x, [(0, 0), (0, 0), *borders])
    y = np.zeros((len(x), o, *positions(x, kernel_size, stride, dilation)))
    for n, k, p, q in np.ndindex(y.shape):
        group = k // (o // groups)
        seen = window(x[n, group * c : (group + 1) * c], p, q, kernel_size, stride, dilation)
        y[n, k, p, q] = np.sum(seen * weight[k]) + (0 if bias is None else bias[k])
    return y


def conv_transpose2d(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Each element paints the kernel; then the border is cut off."""
    stride, dilation, (_, o, *kernel_size) = pair(stride), pair(dilation), weight.shape
    (top, left), extra = pair(padding), pair(output_padding)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel_size, strict=True)]
    painted = [s * (n - 1) + span + e for n, s, span, e in zip(x.shape[2:], stride, spans, extra, strict=True)]
    y = np.zeros((len(x), o * groups, *painted))
    for n, c, p, q in np.ndindex(x.shape):
        group = c // (x.shape[1] // groups)
        window(y[n, group * o : (group + 1) * o], p, q, kernel_size, stride, dilation)[...] += x[n, c, p, q] * weight[c]
    y = y[:, :, top : painted[0] - top, left : painted[1] - left]
    return y if bias is None else y + bias[:, None, None]


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """One column for each position."""
    kernel_size, dilation, stride = pair(kernel_size), pair(dilation), pair(stride)
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pair(padding))])
    places = np.ndindex(*positions(x, kernel_size, stride, dilation))
    return np.stack([window(x, *place, kernel_size, stride, dilation).reshape(len(x), -1) for place in places], axis=2)


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Each column added up where it comes from; then the border is cut off."""
    kernel_size, dilation, stride = pair(kernel_size), pair(dilation), pair(stride)
    (h, w), (top, left) = pair(output_size), pair(padding)
    image = np.zeros((len(x), x.shape[1] // np.prod(kernel_size), h + 2 * top, w + 2 * left))
    for k, place in enumerate(np.ndindex(*positions(image, kernel_size, stride, dilation))):
        window(image, *place, kernel_size, stride, dilation)[...] += x[:, :, k].reshape(*image.shape[:2], *kernel_size)
    return image[:, :, top : top + h, left : left + w]


X = (2, 3, 3, 4)
CONVOLUTIONS = [
    ([X, (4, 3, 2, 3), (4,)], {}),
    ([X, (6, 1, 2, 2), (6,)], {"stride": (1, 2), "padding": (1, 0), "dilation": (1, 2), "groups": 3}),
    ([X, (2, 3, 3, 3), (2,)], {"padding": "same"}),  # thin: fewer channels come out than go in
    ([X, (2, 3, 2, 2), None], {"padding": "same", "dilation": (3, 1)}),
    ([X, (3, 1, 3, 3), (3,)], {"padding": 1, "groups": 3}),  # depthwise
    ([X, (2, 3, 1, 1), (2,)], {}),
    ([X, (4, 3, 1, 1), None], {"stride": (2, 3)}),
    ([(1, 3, 3, 4), (2, 3, 3, 4), (2,)], {}),  # the kernel is as large as the image
    ([(1, 2, 5, 7), (1, 2, 2, 2), None], {"stride": (2, 3)}),  # does not go in evenly
    ([(2, 1, 3, 3), (1, 1, 2, 2), None], {"stride": 3, "padding": 2}),  # the stride is larger than the kernel
    ([(1, 1, 1, 1), (1, 1, 1, 1), (1,)], {}),
    ([(0, 2, 3, 3), (2, 2, 2, 2), (2,)], {}),
]
TRANSPOSED = [
    ([X, (3, 2, 2, 2), (2,)], {"stride": 2}),
    ([X, (3, 2, 2, 2), (6,)], {"stride": 1, "padding": 1, "output_padding": (1, 0), "groups": 3, "dilation": 2}),
    ([X, (3, 2, 3, 2), None], {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)}),
    ([X, (3, 1, 2, 2), None], {"groups": 3}),  # depthwise
    ([(1, 2, 2, 3), (2, 3, 1, 1), (3,)], {}),
    ([(1, 2, 1, 1), (2, 1, 3, 3), (1,)], {"padding": 1}),
]
WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 2, "dilation": (1, 2), "padding": 1, "stride": 2},
    {"kernel_size": (1, 3), "stride": (3, 1)},
    {"kernel_size": (4, 5)},
    {"kernel_size": 1},
]

ROWS = [
    *(
        row(F.linear, inputs, lambda x, weight, bias=None: x @ weight.T + (0 if bias is None else bias))
        for inputs in [
            [(2, 3), (4, 3), (4,)],
            [(2, 3), (4, 3), None],
            [(2, 1, 3), (3, 3), (3,)],
            [(3,), (2, 3), (2,)],
            [(1, 1), (1, 1), (1,)],
            [(0, 3), (2, 3), (2,)],
        ]
    ),
    *(row(F.conv2d, inputs, conv2d, **settings) for inputs, settings in CONVOLUTIONS),
    *(row(F.conv_transpose2d, inputs, conv_transpose2d, **settings) for inputs, settings in TRANSPOSED),
    *(linear(F.unfold, [(1, 2, 4, 5)], unfold, **settings) for settings in WINDOWS),
    *(
        linear(F.fold, [unfold(np.empty((2, 1, 4, 5)), **settings).shape], fold, (4, 5), **settings)
        for settings in WINDOWS
    ),
]
