"""Tricks with single layers: the kernel against what one would write first."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np

import minidl
from benchmarks.cpu.networks import named
from benchmarks.cpu.tile_tricks import normal
from benchmarks.cpu.trick import Sides, trick
from minidl.kernels import numpy as kernels
from minidl.kernels.common.convolution import Convolution
from minidl.kernels.common.slices import tiles
from minidl.kernels.numpy import columns, convolution
from minidl.kernels.numpy.parallel import parallel
from minidl.nn import functional as F


def feature_map(n: int, channels: int, size: int) -> np.ndarray:
    """(N, C, H, W), channel-major."""
    return normal(channels, n, size, size).swapaxes(0, 1)


@trick(
    "Winograd's way",
    "numpy/winograd.py",
    "columns of x, then one product",
    "3×3, 128 to 128 channels, [32, 16²], forward and backward",
    32,
    why="Neighbouring rows of results see rows of the image in common: two of them need four products with rows of the "
    "kernel and not six, if some additions come before and after. These are fast where all odd rows lie side by side, "
    "and all even ones.",
)
def winograd(n: int) -> Sides:
    """A 3×3 convolution."""
    x, g, weight = feature_map(n, 128, 16), feature_map(n, 128, 16), normal(128, 128, 3, 3)
    unsuited = mock.patch.object(convolution, "suits", return_value=False)

    def on() -> list[Any]:
        found = kernels.conv2d(x, weight, None, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
        assert found is not None  # which it is for no weights only
        y, pull = found
        return [y, *pull(g, (True, True, False))[:2]]

    def off() -> list[Any]:
        with unsuited:
            return on()

    return Sides(on, off)


@trick(
    "Depthwise by banded matrices",
    "numpy/depthwise.py",
    "im2col for each channel",
    "3×3 of each of 64 channels, [64, 32²], forward and backward",
    64,
    why="One channel gives BLAS no matrix to work on. But to slide a row of the kernel along a row of the image "
    "is to multiply by a matrix with a band; most of it are zeros, and still a product beats nine passes over "
    "memory.",
)
def depthwise(n: int) -> Sides:
    """A depthwise convolution, and its gradients."""
    x, weight = feature_map(n, 64, 32), normal(64, 1, 3, 3)
    settings = (1, 1), ((1, 1), (1, 1)), (1, 1), 64
    by_columns = Convolution(columns, budget=1 << 18, each=parallel)
    g = np.ones_like(x)

    def side(conv2d: Callable[..., Any]) -> Callable[[], Sequence[np.ndarray]]:
        def both() -> Sequence[np.ndarray]:
            y, pull = conv2d(x, weight, None, *settings)
            return y, *pull(g, (True, True, False))[:2]

        return both

    return Sides(side(kernels.conv2d), side(by_columns))


@trick(
    "Down first, then across",
    "numpy/pooling.py",
    "the best of nine, chosen with `where`",
    "maximum of 3×3 by 2, 64 channels, [8, 112²], forward",
    8,
    why="A window's maximum is that of its columns' maxima: six steps and not nine, half of them without a "
    "stride. Which entry won is computed with bytes; choosing by a mask is the slowest thing that NumPy does.",
)
def maximum(n: int) -> Sides:
    """Maxima of windows, and where they were."""
    x = feature_map(n, 64, 112)
    y, winners = np.empty((64, n, 56, 56), np.float32), np.empty((64, n, 56, 56), np.uint8)

    def nine_steps(part: slice) -> None:
        padded = np.pad(x.swapaxes(0, 1)[part], ((0, 0), (0, 0), (1, 0), (1, 0)), constant_values=-np.inf)
        y[part], winners[part] = -np.inf, 0
        for k, (i, j) in enumerate(np.ndindex(3, 3)):
            challenger = padded[..., i : i + 111 : 2, j : j + 111 : 2]
            wins = challenger > y[part]
            np.copyto(y[part], challenger, where=wins)
            np.copyto(winners[part], k, where=wins)

    def off() -> np.ndarray:
        parallel(nine_steps, tiles(64, n * 112 * 112, 1 << 17))
        return y.swapaxes(0, 1)

    return Sides(lambda: kernels.max_pool2d(x, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (56, 56))[0], off)


@trick(
    "Formulas tile by tile",
    "numpy/elementwise.py",
    "a call for each step, on the whole array",
    "SiLU of [8, 96, 64²], forward and backward",
    8,
    why="Each call of NumPy reads and writes all of memory; a tile that goes through all steps comes from memory "
    "once, and goes back once. Exponentials are computed again in the backward pass: that is cheaper than to "
    "keep them.",
)
def curve(n: int) -> Sides:
    """A curve and its slope."""
    x = normal(n, 96, 64, 64)
    g = np.ones_like(x)

    def on() -> Sequence[np.ndarray]:
        y, pull = kernels.silu(x)
        return y, *pull(g, (True,))

    def off() -> Sequence[np.ndarray]:
        sigma = 1 / (1 + np.exp(-x))
        return x * sigma, g * sigma * (1 + x * (1 - sigma))

    return Sides(on, off)


@trick(
    "The loss as one op",
    "numpy/loss.py",
    "its definition, an op for each step",
    "cross entropy of [128, 10], forward and backward",
    128,
    why="So few numbers cost nothing, but each call of NumPy costs a microsecond, and each node of the graph several.",
)
def loss(n: int) -> Sides:
    """The cross entropy of few scores, and its gradient."""
    x = minidl.tensor(normal(n, 10)).requires_grad_()
    labels = minidl.tensor([i % 10 for i in range(n)])

    def on() -> np.ndarray:
        y = F.cross_entropy(x, labels)
        return minidl.grad(y, x)[0].data

    def off() -> np.ndarray:
        with minidl.definitions():
            return on()

    return Sides(on, off)


@trick(
    "A norm in the weights",
    "../nn/chain.py",
    "a pass of its own",
    "inference of EfficientNet-B0, [1, 128²]",
    1,
    why="In evaluation a norm multiplies and shifts each channel by numbers that are known before. The convolution "
    "before it does both, with other weights and another bias, if nobody asks for gradients.",
)
def norm_in_weights(n: int) -> Sides:
    """A network for use."""
    network = named("EfficientNet-B0")
    minidl.manual_seed(0)
    model = network.ours().eval()
    x = minidl.tensor(normal(n, 3, network.image, network.image))
    chain = importlib.import_module("minidl.nn.chain")  # nn has a function of this name
    apart = mock.patch.object(chain, "_convolution", lambda conv, left, x: (conv.settings(), left))

    def on() -> np.ndarray:
        with minidl.no_grad():
            y: np.ndarray = model(x).numpy()
            return y

    def off() -> np.ndarray:
        with apart:
            return on()

    return Sides(on, off)
