"""Samples of the layers that have parameters, which are inputs like any other."""

import numpy as np

from minidl import nn
from minidl.testing.sample import layer_sample
from tests.nn.functional.rows_convolution import conv2d, conv_transpose2d
from tests.nn.functional.rows_normalization import batch_norm, group_norm, layer_norm

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
