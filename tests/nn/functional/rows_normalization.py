"""Samples of the functions that normalise, in training and in use."""

import numpy as np

from minidl import Tensor
from minidl.backend import to_backend
from minidl.nn import functional as F
from tests.row import row


def standardized(x, axes, eps):
    """The distance from the mean in standard deviations."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def along_channels(x, parameter, missing):
    """A number for each channel, as it goes with x."""
    return missing if parameter is None else parameter.reshape(1, -1, *[1] * (x.ndim - 2))


def affine(x, normal, weight, bias):
    """Scaled and shifted channels."""
    return normal * along_channels(x, weight, 1) + along_channels(x, bias, 0)


def batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """By the batch's statistics in training, else by those given."""
    if training:
        return affine(x, standardized(x, (0, *range(2, x.ndim)), eps), weight, bias)
    normal = (x - along_channels(x, mean, 0)) / np.sqrt(along_channels(x, var, 1) + eps)
    return affine(x, normal, weight, bias)


def updated(x, momentum):
    """The running statistics after a batch: first 0.5 and 2 for every channel."""
    running = [Tensor(to_backend(np.full(x.shape[1], start, x.dtype), x.backend)) for start in (0.5, 2.0)]
    F.batch_norm(x, *running, training=True, momentum=momentum)
    return running


def expected_update(x, momentum):
    """A step towards the batch's mean and its unbiased variance."""
    axes = (0, *range(2, x.ndim))
    now = x.mean(axes), x.var(axes, ddof=1)
    return [(1 - momentum) * start + momentum * statistic for start, statistic in zip((0.5, 2.0), now, strict=True)]


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Over the last axes."""
    axes = tuple(range(-len(normalized_shape), 0))
    return standardized(x, axes, eps) * (1 if weight is None else weight) + (0 if bias is None else bias)


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """One example and one group of channels after the other."""
    normal, size = np.empty_like(x), x.shape[1] // num_groups
    for n, start in np.ndindex(len(x), num_groups):
        channels = slice(start * size, (start + 1) * size)
        normal[n, channels] = standardized(x[n, channels], None, eps)
    return affine(x, normal, weight, bias)


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """One channel after the other, with those neighbours that there are."""
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha / size * np.sum(near**2, 1)) ** beta
    return y


X = (2, 3, 2, 3)
TRAINING = [
    [X, None, None, (3,), (3,)],
    [X, None, None, None, (3,)],
    [X, None, None, (3,), None],
    [(4, 2), None, None, (2,), (2,)],
    [(2, 2, 3), None, None, None, None],
    [(1, 2, 3, 3), None, None, (2,), (2,)],
]
MEAN, VARIANCE = np.array([0.3, -0.4, 1.1]), np.array([0.5, 2.0, 1.2])
USING = [[X, MEAN, VARIANCE, (3,), (3,)], [X, MEAN, VARIANCE, None, None], [(1, 3), MEAN, VARIANCE, (3,), None]]

ROWS = [
    *(row(F.batch_norm, inputs, batch_norm, True) for inputs in TRAINING),
    row(F.batch_norm, TRAINING[0], batch_norm, True, eps=0.5),
    *(row(F.batch_norm, inputs, batch_norm) for inputs in USING),
    row(F.batch_norm, USING[0], batch_norm, False, eps=0.5),
    *(row(F.batch_norm, [X], expected_update, momentum, call=updated, order=0) for momentum in (0.1, 0.5, 1.0)),
    *(
        row(
            F.layer_norm,
            [X, *parameters],
            lambda x, weight, bias, shape, **named: layer_norm(x, shape, weight, bias, **named),
            shape,
            call=lambda x, weight, bias, shape, **named: F.layer_norm(x, shape, weight, bias, **named),
            **named,
        )
        for shape, parameters, named in [
            ((2, 3), [(2, 3), (2, 3)], {}),
            ((3,), [(3,), None], {"eps": 0.1}),
            ((3, 2, 3), [None, None], {}),
            (X, [None, X], {}),
        ]
    ),
    *(
        row(
            F.group_norm,
            [shape, *parameters],
            lambda x, weight, bias, groups, **named: group_norm(x, groups, weight, bias, **named),
            groups,
            call=lambda x, weight, bias, groups, **named: F.group_norm(x, groups, weight, bias, **named),
            **named,
        )
        for shape, groups, parameters, named in [
            (X, 3, [(3,), (3,)], {}),
            (X, 1, [None, (3,)], {"eps": 0.1}),
            ((1, 4, 3), 2, [(4,), (4,)], {}),
            ((2, 6), 2, [None, None], {}),
        ]
    ),
    *(row(F.local_response_norm, [(2, 4, 2, 2)], local_response_norm, size, 0.5) for size in (1, 2, 3, 5)),
    row(F.local_response_norm, [(2, 3, 4)], local_response_norm, 2, alpha=0.3, beta=0.5, k=2.0),
]
