"""Samples of the layers that have parameters, which are inputs like any other, and of some that run as one op."""

import numpy as np

from minidl import concatenate, nn
from minidl.nn.functional.normalization import norm_relu, norm_relu_conv2d
from minidl.testing.sample import layer_sample
from tests.nn.functional.rows_convolution import conv2d, conv_transpose2d
from tests.nn.functional.rows_normalization import MEAN, VARIANCE, batch_norm, group_norm, layer_norm
from tests.row import row

X = (2, 3, 3, 2)


def in_training(x, *parameters):
    """Batch norm by the batch."""
    return batch_norm(x, None, None, *parameters, training=True)


def in_use(x, *parameters):
    """Batch norm by the statistics that a new layer starts from."""
    return batch_norm(x, np.zeros(x.shape[1]), np.ones(x.shape[1]), *parameters)


ROWS = [
    layer_sample(lambda: nn.Linear(3, 2), [(4, 3)], lambda x, w, b: x @ w.T + b),
    layer_sample(lambda: nn.Linear(3, 2, bias=False), [(2, 1, 3)], lambda x, w: x @ w.T),
    layer_sample(lambda: nn.Conv2d(3, 2, 3, padding="same"), [X], lambda *xs: conv2d(*xs, padding=1)),
    layer_sample(
        lambda: nn.Conv2d(3, 6, (2, 1), (2, 1), (1, 0), (2, 1), 3, bias=False),
        [X],
        lambda x, w: conv2d(x, w, None, (2, 1), (1, 0), (2, 1), 3),
    ),
    layer_sample(lambda: nn.Conv2d(2, 3, 1), [(1, 2, 3, 3)], conv2d),
    layer_sample(lambda: nn.ConvTranspose2d(3, 2, 2, stride=2), [X], lambda *xs: conv_transpose2d(*xs, 2)),
    layer_sample(
        lambda: nn.ConvTranspose2d(2, 4, (3, 2), 2, 1, 1, 2, bias=False, dilation=2),
        [(1, 2, 3, 2)],
        lambda x, w: conv_transpose2d(x, w, None, 2, 1, 1, 2, 2),
    ),
    layer_sample(lambda: nn.BatchNorm1d(3), [(4, 3)], in_training),
    layer_sample(lambda: nn.BatchNorm1d(3, momentum=None), [(2, 3, 2)], in_training),
    layer_sample(lambda: nn.BatchNorm1d(3).eval(), [(1, 3)], in_use),
    layer_sample(lambda: nn.BatchNorm2d(3), [X], in_training),
    layer_sample(lambda: nn.BatchNorm2d(3, track_running_stats=False).eval(), [(1, 3, 2, 2)], in_training),
    layer_sample(lambda: nn.BatchNorm2d(3).eval(), [(1, 3, 2, 2)], in_use),
    layer_sample(lambda: nn.LayerNorm((2, 3)), [(2, 2, 3)], lambda x, *rest: layer_norm(x, (2, 3), *rest)),
    layer_sample(lambda: nn.LayerNorm(5, bias=False), [(2, 5)], lambda x, w: layer_norm(x, (5,), w)),
    layer_sample(lambda: nn.GroupNorm(2, 4), [(2, 4, 3)], lambda x, *rest: group_norm(x, 2, *rest)),
    layer_sample(lambda: nn.GroupNorm(4, 4), [(1, 4, 2, 2)], lambda x, *rest: group_norm(x, 4, *rest)),
]


def rectified(norm):
    """Batch norm and ReLU."""
    return lambda x, gamma, beta: np.maximum(norm(x, gamma, beta), 0)


def rectified_and_convolved(norm, **settings):
    """Batch norm, ReLU and convolution."""
    return lambda x, gamma, beta, *conv: conv2d(rectified(norm)(x, gamma, beta), *conv, **settings)


def of_statistics(x, mean, variance, gamma, beta):
    """Batch norm by numbers that are learned too, and ReLU."""
    return np.maximum(batch_norm(x, mean, variance, gamma, beta), 0)


SETTINGS = (None, 1, 1, 1, 1)  # no bias, stride, padding, dilation, groups


def of_two_consumers(x, gamma, beta, weight):
    """A layer of a dense block: its input gets a gradient from elsewhere too."""
    z = x * 1.5
    y = norm_relu_conv2d(z, (None, None, gamma, beta, True, 0.1, 1e-5), (weight, *SETTINGS))
    return concatenate([z, y], 1)


def of_two_consumers_by_definition(x, gamma, beta, weight):
    """The same, one step after the other."""
    y = rectified_and_convolved(in_training, padding=1)(1.5 * x, gamma, beta, weight)
    return np.concatenate([1.5 * x, y], 1)


def three(conv, name="norm_relu_conv2d", **settings):
    """Batch norm of three channels, ReLU and a convolution, in training and in use."""
    oracles = (rectified_and_convolved(norm, **settings) for norm in (in_training, in_use))
    return [
        layer_sample(lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), conv()), [X], next(oracles), name=name),
        layer_sample(
            lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), conv()).eval(), [(1, 3, 2, 2)], next(oracles), name=name
        ),
    ]


CHAINS = [
    layer_sample(lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), [X], rectified(in_training), name="norm_relu"),
    layer_sample(
        lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()).eval(), [(1, 3, 2, 2)], rectified(in_use), name="norm_relu"
    ),
    row(
        norm_relu,
        [X, MEAN, VARIANCE, (3,), (3,)],
        lambda *xs: of_statistics(*xs[:5]),
        False,
        0.1,
        1e-5,
    ),
    row(
        norm_relu_conv2d,
        [X, MEAN, VARIANCE, (3,), (3,), (2, 3, 1, 1)],
        lambda *xs: conv2d(of_statistics(*xs[:5]), xs[5]),
        call=lambda x, *rest: norm_relu_conv2d(x, (*rest[:4], False, 0.1, 1e-5), (rest[4], None, 1, 0, 1, 1)),
    ),
    *three(lambda: nn.Conv2d(3, 2, 3, padding="same"), padding=1),
    *three(lambda: nn.Conv2d(3, 4, (1, 2), padding=(0, 1)), padding=(0, 1)),
    *three(lambda: nn.Conv2d(3, 2, 1, bias=False)),
    *three(lambda: nn.Conv2d(3, 3, 3, padding=1, groups=3), padding=1, groups=3),
    row(
        of_two_consumers,
        [X, (3,), (3,), (2, 3, 3, 3)],
        of_two_consumers_by_definition,
        name="norm_relu_conv2d",
    ),
]
