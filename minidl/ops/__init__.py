"""Primitives: each op's value and its pullbacks, side by side, and what is composed of them without further ado."""

from minidl.ops.methods import Methods

# isort: split
# Tensors inherit their methods from here, and ops are made of tensors: the methods come first.
from minidl.ops.contraction import einsum, matmul
from minidl.ops.elementwise import (
    absolute,
    add,
    clip,
    compare,
    divide,
    erf,
    exp,
    leaky_relu,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    relu6,
    sigmoid,
    softplus,
    sqrt,
    subtract,
    tanh,
    where,
)
from minidl.ops.memory import astype, clone, identity, reserve, to
from minidl.ops.primitive import accelerated, as_tensors, primitive
from minidl.ops.reduction import amax, amin, argmax, argmin, logsumexp, max, mean, min, std, sum, var
from minidl.ops.shape import (
    broadcast_to,
    concatenate,
    flatten,
    flip,
    getitem,
    pad,
    permute,
    put,
    reshape,
    split,
    squeeze,
    stack,
    take_along_axis,
    transpose,
    unsqueeze,
)
from minidl.ops.window import col2im, im2col

__all__ = [
    "Methods", "absolute", "accelerated", "add", "amax", "amin", "argmax", "argmin", "as_tensors", "astype", "broadcast_to",
    "clip", "clone", "col2im", "compare", "concatenate", "divide", "einsum", "erf", "exp", "flatten", "flip", "getitem", "identity",
    "im2col", "leaky_relu", "log", "logsumexp", "matmul", "max", "maximum", "mean", "min", "minimum", "multiply", "negative",
    "pad", "permute", "power", "primitive", "put", "relu", "relu6", "reserve", "reshape", "sigmoid", "softplus", "split",
    "sqrt", "squeeze", "stack", "std", "subtract", "sum", "take_along_axis", "tanh", "to", "transpose", "unsqueeze", "var",
    "where",
]
