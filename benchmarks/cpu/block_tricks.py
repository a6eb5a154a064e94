"""Tricks of the whole dense block: it takes a step with each of them turned off, and with all on."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any
from unittest import mock

import numpy as np

import minidl
from benchmarks.cpu.tile_tricks import normal
from benchmarks.cpu.trick import Side, Sides, trick
from minidl.kernels import numpy as kernels
from minidl.models import densenet
from minidl.ops.memory import Room

BLOCK = "DenseNet-BC-100's first block, [64, 32²], forward and backward"


def step(n: int) -> Side:
    """Forward and backward through 16 layers; the gradients."""
    minidl.manual_seed(0)
    block = densenet.DenseBlock(16, 24, 12, bottleneck=True, drop_rate=0.0)
    x = minidl.tensor(normal(24, n, 32, 32).swapaxes(0, 1)).requires_grad_()
    g = minidl.tensor(normal(216, n, 32, 32).swapaxes(0, 1))

    def both() -> list[np.ndarray]:
        return [part.data for part in minidl.grad(block(x), [x, *block.parameters()], g)]

    return both


def within(side: Side, *contexts: AbstractContextManager[Any]) -> Side:
    """A side that works while something is turned off."""

    def changed() -> Any:
        with ExitStack() as stack:
            for context in contexts:
                stack.enter_context(context)
            return side()

    return changed


def moments_anew() -> AbstractContextManager[Any]:
    """Every layer measures all its channels."""
    return mock.patch.object(Room, "moments", lambda room, count: kernels.channel_moments(room.prefix(count)))


@trick(
    "A tile for each thread",
    "numpy/parallel.py",
    "threads inside BLAS",
    BLOCK,
    64,
    why="NumPy lets go of Python's lock in products and in long elementwise calls, so ordinary threads can work "
    "side by side. Each takes a tile that its core's cache holds through all steps; threads inside BLAS wait "
    "for each other in every product, and do nothing in between.",
)
def pool(n: int) -> Sides:
    """A block on the pool of threads, and on one thread whose BLAS has several."""
    module = importlib.import_module("minidl.kernels.numpy.parallel")
    inside = mock.patch.multiple(module, _threads=1, _one_thread_each=nullcontext())
    return Sides(step(n), within(step(n), inside))


@trick(
    "Concatenation in a reserved room",
    "../ops/memory.py",
    "`np.concatenate`",
    BLOCK,
    64,
    with_memory=True,
    why="All features of a block lie in one array, with channels as rows: a layer's new channels are written "
    "behind those that are there, and all layers share them. Nothing is copied, and memory grows with the "
    "depth, not its square.",
)
def room(n: int) -> Sides:
    """A block with and without copies, both without shared statistics."""
    copying = mock.patch.object(densenet, "reserve", lambda x, channels: x)
    return Sides(within(step(n), moments_anew()), within(step(n), moments_anew(), copying))


@trick(
    "Statistics once for a channel",
    "../ops/memory.py",
    "measured in each layer that normalises it",
    BLOCK,
    64,
    why="The mean and the variance of a channel do not change when others are put beside it. So the room measures "
    "its new channels once, for all layers to come.",
)
def moments(n: int) -> Sides:
    """A block that shares statistics, and one that does not."""
    return Sides(step(n), within(step(n), moments_anew()))


@trick(
    "Normalise, rectify, convolve in one",
    "numpy/chain.py",
    "three kernels, one after the other",
    BLOCK,
    64,
    with_memory=True,
    why="A tile of x is normalised and rectified in the cache, and multiplied at once: what is between the three "
    "never reaches memory. To compute it again in the backward pass is cheaper than to write and to read it.",
)
def in_one(n: int) -> Sides:
    """A block with one kernel a layer, and with three."""
    chain = importlib.import_module("minidl.nn.chain")  # nn has a function of this name
    return Sides(step(n), within(step(n), mock.patch.object(chain, "_are", return_value=False)))
