"""Functions of layers, composed of ops: no derivative is written here. Names and arguments are PyTorch's."""

from minidl.nn.functional.activation import add_relu, gelu, hardsigmoid, hardswish, log_softmax, silu, softmax
from minidl.nn.functional.convolution import conv2d, conv_transpose2d, fold, linear, unfold
from minidl.nn.functional.dropout import drop_path, dropout, dropout2d
from minidl.nn.functional.loss import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from minidl.nn.functional.normalization import batch_norm, group_norm, layer_norm, local_response_norm
from minidl.nn.functional.pooling import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    global_avg_pool2d,
    max_pool2d,
)
from minidl.ops import leaky_relu, relu, relu6, sigmoid, softplus, tanh

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "add_relu",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "drop_path",
    "dropout",
    "dropout2d",
    "fold",
    "gelu",
    "global_avg_pool2d",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]
