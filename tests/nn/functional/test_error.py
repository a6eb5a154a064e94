"""Bad input to every function: the message says what, what was got, and what was wanted."""

import re

import numpy as np
import pytest

import minidl
from minidl.backend import to_backend
from minidl.nn import functional as F


def t(*shape):
    return minidl.zeros(*shape)


def classes(*numbers):
    return minidl.tensor(list(numbers), dtype="int64")


X = (2, 3, 5, 6)
W = (4, 3, 3, 3)

CASES = [
    # ------------------------------------------------------------------------------------------------ linear
    (lambda: F.linear(t(2, 5), t(4, 3)), "linear: x of shape (2, 5) has not the 3 features"),
    (lambda: F.linear(t(2, 5), t(5)), "linear: expected weight of shape (out_features, in_features), got (5,)"),
    (lambda: F.linear(t(2, 5), t(4, 5), t(1)), "linear: expected bias of shape (4,), got (1,)"),
    # ------------------------------------------------------------------------------------------------ conv2d
    (lambda: F.conv2d(t(3, 5, 6), t(*W)), "conv2d: expected x of shape (N, C, H, W), got (3, 5, 6)"),
    (
        lambda: F.conv2d(t(*X), t(4, 3)),
        "conv2d: expected weight with 4 axes and a kernel of at least 1×1, got shape (4, 3)",
    ),
    (lambda: F.conv2d(t(*X), t(4, 3, 0, 1)), "got shape (4, 3, 0, 1)"),
    (lambda: F.conv2d(t(*X), t(4, 2, 3, 3)), "conv2d: x has 3 channels but weight expects 2"),
    (lambda: F.conv2d(t(*X), t(4, 1, 3, 3), groups=3), "conv2d: weight makes 4 channels, which 3 groups cannot share"),
    (lambda: F.conv2d(t(*X), t(*W), groups=0), "conv2d: groups must be positive, got 0"),
    (lambda: F.conv2d(t(*X), t(*W), t(3)), "conv2d: expected bias of shape (4,), got (3,)"),
    (lambda: F.conv2d(t(*X), t(*W), stride=0), "conv2d: stride must be at least 1, got 0"),
    (lambda: F.conv2d(t(*X), t(*W), stride=1.5), "conv2d: stride must be an integer or a pair of them, got 1.5"),
    (
        lambda: F.conv2d(t(*X), t(*W), stride=(1, 2, 3)),
        "conv2d: stride must be an integer or a pair of them, got (1, 2, 3)",
    ),
    (lambda: F.conv2d(t(*X), t(*W), stride=True), "conv2d: stride must be an integer or a pair of them, got True"),
    (lambda: F.conv2d(t(*X), t(*W), dilation=(1, 0)), "conv2d: dilation must be at least 1, got (1, 0)"),
    (lambda: F.conv2d(t(*X), t(*W), dilation=None), "conv2d: dilation must be an integer or a pair of them, got None"),
    (lambda: F.conv2d(t(*X), t(*W), padding=-1), "conv2d: padding must be at least 0, got -1"),
    (lambda: F.conv2d(t(*X), t(*W), padding="full"), "conv2d: padding must be numbers, 'same' or 'valid', got 'full'"),
    (lambda: F.conv2d(t(*X), t(*W), stride=2, padding="same"), "conv2d: padding='same' needs stride 1, got (2, 2)"),
    (
        lambda: F.conv2d(t(*X), t(*W), padding=(1, 0), dilation=(4, 1)),
        "conv2d: a kernel that spans (9, 3) does not fit into an image of (7, 6) (padding included)",
    ),
    # ------------------------------------------------------------------------------------- conv_transpose2d
    (lambda: F.conv_transpose2d(t(*X), t(4, 3, 3, 3)), "conv_transpose2d: x has 3 channels but weight expects 4"),
    (lambda: F.conv_transpose2d(t(*X), t(3, 2, 3, 3), groups=2), "conv_transpose2d: x has 3 channels, which 2 groups"),
    (lambda: F.conv_transpose2d(t(*X), t(3, 2, 3, 3), t(3)), "conv_transpose2d: expected bias of shape (2,), got (3,)"),
    (
        lambda: F.conv_transpose2d(t(*X), t(3, 2, 3, 3), stride=2, output_padding=2),
        "conv_transpose2d: output_padding (2, 2) must be smaller than stride (2, 2) or dilation (1, 1)",
    ),
    (
        lambda: F.conv_transpose2d(t(1, 3, 1, 4), t(3, 2, 3, 3), padding=2),
        "conv_transpose2d: padding (2, 2) leaves nothing of the result: its size would be (-1, 2)",
    ),
    (lambda: F.conv_transpose2d(t(*X), t(3, 2, 3, 3), padding="same"), "conv_transpose2d: padding must be an integer"),
    # ---------------------------------------------------------------------------------------- unfold, fold
    (lambda: F.unfold(t(3, 5, 6), 2), "unfold: expected x of shape (N, C, H, W), got (3, 5, 6)"),
    (lambda: F.unfold(t(*X), 0), "unfold: kernel_size must be at least 1, got 0"),
    (lambda: F.unfold(t(*X), 2, stride=0), "unfold: stride must be at least 1, got 0"),
    (lambda: F.unfold(t(*X), 2, dilation=-1), "unfold: dilation must be at least 1, got -1"),
    (lambda: F.unfold(t(*X), 7), "unfold: a kernel that spans (7, 7) does not fit into an image of (5, 6)"),
    (lambda: F.fold(t(2, 12, 19), (5, 6), 2), "fold: expected columns of shape (N, C·4, 20), got (2, 12, 19)"),
    (lambda: F.fold(t(2, 13, 20), (5, 6), 2), "fold: expected columns of shape (N, C·4, 20), got (2, 13, 20)"),
    (lambda: F.fold(t(12, 20), (5, 6), 2), "fold: expected columns of shape (N, C·4, 20), got (12, 20)"),
    (lambda: F.fold(t(2, 12, 20), None, 2), "fold: output_size must be an integer or a pair of them, got None"),
    # --------------------------------------------------------------------------------------------- pooling
    (lambda: F.max_pool2d(t(5, 6), 2), "max_pool2d: expected x of shape (N, C, H, W), got (5, 6)"),
    (lambda: F.max_pool2d(t(*X), "22"), "max_pool2d: kernel_size must be an integer or a pair of them, got '22'"),
    (lambda: F.max_pool2d(t(*X), 3, padding=2), "max_pool2d: padding 2 must be at most half of kernel_size (3, 3)"),
    (lambda: F.max_pool2d(t(*X), 7), "max_pool2d: a kernel that spans (7, 7) does not fit into an image of (5, 6)"),
    (lambda: F.max_pool2d(t(*X), 2, dilation=0), "max_pool2d: dilation must be at least 1, got 0"),
    (lambda: F.avg_pool2d(t(*X), (2, 0)), "avg_pool2d: kernel_size must be at least 1, got (2, 0)"),
    (lambda: F.avg_pool2d(t(*X), 2, stride=0), "avg_pool2d: stride must be at least 1, got 0"),
    (
        lambda: F.avg_pool2d(t(*X), 2, padding=(1, 2)),
        "avg_pool2d: padding (1, 2) must be at most half of kernel_size (2, 2)",
    ),
    (lambda: F.avg_pool2d(t(*X), 2, divisor_override=0), "avg_pool2d: divisor_override must not be 0"),
    (
        lambda: F.adaptive_avg_pool2d(t(*X), None),
        "adaptive_avg_pool2d: output_size must be an integer or a pair of them, got None",
    ),
    (lambda: F.adaptive_avg_pool2d(t(*X), (1, 2, 3)), "adaptive_avg_pool2d: output_size must be an integer or a pair"),
    (
        lambda: F.adaptive_avg_pool2d(t(*X), (None, 0)),
        "adaptive_avg_pool2d: output_size must be at least 1, got (5, 0)",
    ),
    (
        lambda: F.adaptive_max_pool2d(t(2, 3, 0, 6), 2),
        "adaptive_max_pool2d: x of shape (2, 3, 0, 6) has no elements to pool",
    ),
    (
        lambda: F.adaptive_max_pool2d(t(3, 5, 6), 2),
        "adaptive_max_pool2d: expected x of shape (N, C, H, W), got (3, 5, 6)",
    ),
    (lambda: F.global_avg_pool2d(t(2, 3)), "global_avg_pool2d: expected x of shape (N, C, H, W), got (2, 3)"),
    # --------------------------------------------------------------------------------------- normalisation
    (lambda: F.batch_norm(t(3), t(3), t(3)), "batch_norm: expected x of shape (N, C, ...), got (3,)"),
    (lambda: F.batch_norm(t(*X), t(4), t(3)), "batch_norm: x has 3 channels but running_mean has shape (4,)"),
    (lambda: F.batch_norm(t(*X), t(3), t(1)), "batch_norm: x has 3 channels but running_var has shape (1,)"),
    (lambda: F.batch_norm(t(*X), t(3), t(3), t(3, 1)), "batch_norm: x has 3 channels but weight has shape (3, 1)"),
    (lambda: F.batch_norm(t(*X), t(3), t(3), bias=t(2)), "batch_norm: x has 3 channels but bias has shape (2,)"),
    (
        lambda: F.batch_norm(t(*X), None, t(3)),
        "batch_norm: without training=True it needs running_mean and running_var",
    ),
    (
        lambda: F.batch_norm(t(1, 3, 1, 1), None, None, training=True),
        "has 1 values for each channel: training needs two",
    ),
    (lambda: F.batch_norm(t(0, 3), None, None, training=True), "batch_norm: a batch of shape (0, 3) has 0 values"),
    (lambda: F.layer_norm(t(2, 5), 3), "layer_norm: x of shape (2, 5) does not end in normalized_shape (3,)"),
    (
        lambda: F.layer_norm(t(2, 5), (1, 2, 5)),
        "layer_norm: x of shape (2, 5) does not end in normalized_shape (1, 2, 5)",
    ),
    (lambda: F.layer_norm(t(2, 5), ()), "layer_norm: x of shape (2, 5) does not end in normalized_shape ()"),
    (lambda: F.layer_norm(t(2, 5), 5, t(1)), "layer_norm: normalized_shape is (5,) but weight has shape (1,)"),
    (lambda: F.layer_norm(t(2, 5), 5, None, t(4)), "layer_norm: normalized_shape is (5,) but bias has shape (4,)"),
    (
        lambda: F.group_norm(t(2, 6, 4), 4),
        "group_norm: 4 groups cannot share the channels of x of shape (2, 6, 4) evenly",
    ),
    (lambda: F.group_norm(t(2, 6, 4), 0), "group_norm: 0 groups cannot share"),
    (lambda: F.group_norm(t(6), 2), "group_norm: 2 groups cannot share the channels of x of shape (6,) evenly"),
    (lambda: F.group_norm(t(2, 6), 2, t(2)), "group_norm: x has 6 channels but weight has shape (2,)"),
    (lambda: F.local_response_norm(t(2, 3), 5), "expected x of shape (N, C, ...) and size ≥ 1, got (2, 3) and 5"),
    (lambda: F.local_response_norm(t(*X), 0), "expected x of shape (N, C, ...) and size ≥ 1, got (2, 3, 5, 6) and 0"),
    # --------------------------------------------------------------------------------- dropout, activations
    (lambda: F.dropout(t(3), 1.5), "dropout: p must be a probability, got 1.5"),
    (lambda: F.dropout(t(3), float("nan")), "dropout: p must be a probability, got nan"),
    (lambda: F.dropout2d(t(3), 0.5), "dropout2d: expected x of at least 2 axes, got shape (3,)"),
    (lambda: F.drop_path(t(3), -0.1, training=False), "drop_path: p must be a probability, got -0.1"),
    (lambda: F.gelu(t(3), "erf"), "gelu: approximate must be 'none' or 'tanh', got 'erf'"),
    (lambda: F.softmax(t(2, 3), 2), "axis 2 is out of bounds for array of dimension 2"),
    (lambda: F.log_softmax(t(2, 3), -3), "axis -3 is out of bounds for array of dimension 2"),
    # ---------------------------------------------------------------------------------------------- losses
    (
        lambda: F.cross_entropy(t(2, 3), classes(0, 3)),
        "cross_entropy: targets must be classes 0 to 2, got 0 to 3",
    ),
    (lambda: F.cross_entropy(t(2, 3), classes(0, -1)), "cross_entropy: targets must be classes 0 to 2, got -1 to 0"),
    (
        lambda: F.cross_entropy(t(2, 3), classes(0, 1, 2)),
        "cross_entropy: scores of shape (2, 3) want integer classes of shape (2,), got int64 of shape (3,)",
    ),
    (lambda: F.cross_entropy(t(2, 3), t(2)), "cross_entropy: target probabilities have shape (2,), scores (2, 3)"),
    (lambda: F.cross_entropy(t(2, 3), classes(0, 1), t(2)), "cross_entropy: expected weight of shape (3,), got (2,)"),
    (lambda: F.cross_entropy(t(2, 3), t(2, 3), t(1)), "cross_entropy: expected weight of shape (3,), got (1,)"),
    (
        lambda: F.cross_entropy(t(2, 3), classes(0, 1), label_smoothing=1.5),
        "label_smoothing must be in [0, 1], got 1.5",
    ),
    (
        lambda: F.cross_entropy(t(2, 3), classes(0, 1), reduction="max"),
        "reduction must be 'mean', 'sum' or 'none', got 'max'",
    ),
    (
        lambda: F.cross_entropy(t(), classes(0)),
        "cross_entropy: expected scores of shape (N, C, ...) or (C,), got a number",
    ),
    (lambda: F.nll_loss(t(), classes(0)), "nll_loss: expected scores of shape (N, C, ...) or (C,), got a number"),
    (
        lambda: F.nll_loss(t(2, 3), t(2)),
        "nll_loss: scores of shape (2, 3) want integer classes of shape (2,), got float32",
    ),
    (lambda: F.nll_loss(t(2, 3), classes(0, 1), t(4)), "nll_loss: expected weight of shape (3,), got (4,)"),
    (lambda: F.mse_loss(t(2, 3), t(3)), "mse_loss: input has shape (2, 3) but target has shape (3,)"),
    (lambda: F.l1_loss(t(2), t(2, 1)), "l1_loss: input has shape (2,) but target has shape (2, 1)"),
    (lambda: F.l1_loss(t(2), t(2), "avg"), "reduction must be 'mean', 'sum' or 'none', got 'avg'"),
    (
        lambda: F.binary_cross_entropy_with_logits(t(2, 1), t(2)),
        "binary_cross_entropy_with_logits: input has shape (2, 1) but target has shape (2,)",
    ),
    # -------------------------------------------------------------------------------------- no tensors at all
    (lambda: F.conv2d("image", t(*W)), "conv2d: expected a tensor, an array or a number, got str"),
    (lambda: F.max_pool2d([[1.0]], 1), "max_pool2d: expected a tensor, an array or a number, got list"),
    (lambda: F.softmax([1.0, 2.0], 0), "softmax: expected a tensor, an array or a number, got list"),
]


@pytest.mark.parametrize(("call", "message"), CASES, ids=[message[:60] for _, message in CASES])
def test_bad_input_is_refused_with_what_was_got_and_wanted(call, message):
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()


def test_every_function_is_in_the_table():
    curves = {"relu", "relu6", "leaky_relu", "sigmoid", "softplus", "tanh", "silu", "hardsigmoid", "hardswish"}
    plain = {*curves, "add_relu"}
    used = {name for call, _ in CASES for name in call.__code__.co_names}
    assert set(F.__all__) - used == plain


def test_arrays_do_for_tensors(backend):
    x, weight = (to_backend(np.ones(shape, np.float32), backend) for shape in (X, W))
    assert F.conv2d(x, weight).shape == (2, 4, 3, 4)
    assert F.linear(x, to_backend(np.ones((2, 6), np.float32), backend)).dtype == "float32"
    assert F.global_avg_pool2d(x).shape == (2, 3, 1, 1)
    assert F.softmax(x, 1).backend == backend
