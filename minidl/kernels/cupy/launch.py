"""Compile the CUDA sources beside this file, once for each type of number, and launch their kernels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backend import Array, import_cupy
from minidl.kernels.numpy.columns import Padding, Pair

THREADS = 256
REAL = {"float32": "float", "float64": "double"}


def launch(source: str, kernel: str, dtype: np.dtype[Any], planes: int, pixels: int, *args: Any) -> None:
    """Run a kernel of source.cu with a thread for every pixel of every plane.

    Arrays are passed as pointers; NumPy scalars and what `geometry` and `strides` make are passed by value.
    """
    if max(planes, pixels) >= 2**31:
        raise ValueError(f"{kernel}: {planes} planes of {pixels} pixels: split the batch, fewer than 2^31 fit")
    if planes == 0 or pixels == 0:
        return
    across = min(THREADS, 1 << (pixels - 1).bit_length())
    down = THREADS // across
    grid = (-(-pixels // across), min(-(-planes // down), 65535))
    function(source, kernel, dtype)(grid, (across, down), args)


@functools.cache
def function(source: str, kernel: str, dtype: np.dtype[Any]) -> Callable[..., None]:
    """A kernel of source.cu for this type: call it with grid, block and arguments."""
    if dtype.name not in REAL:
        raise TypeError(f"{kernel}: on CuPy it takes float32 or float64, got {dtype.name}: convert with .to()")
    module = import_cupy().RawModule(code=text(source), options=(f"-DREAL={REAL[dtype.name]}",))
    return module.get_function(kernel)


def text(source: str) -> str:
    """The C++ text of source.cu, with window.cu before it."""
    window, kernels = (Path(__file__).with_name(f"{name}.cu").read_text() for name in ("window", source))
    return f'{window}\n#line 1 "{source}.cu"\n{kernels}'


def geometry(
    shape: tuple[int, ...], output_size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> np.ndarray:
    """The struct of this name in window.cu."""
    (top, _), (left, _) = padding
    return _struct([*shape, *output_size, *kernel_size, *stride, top, left, *dilation], np.int32)


def strides(array: Array) -> np.ndarray:
    """A struct of strides in window.cu or columns.cu: elements from one index to the next along each axis."""
    return _struct([step // array.itemsize for step in array.strides], np.int64)


def _struct(numbers: list[int], dtype: type) -> np.ndarray:
    """The numbers as one element of an array, which CuPy passes to a kernel by value."""
    members: np.ndarray = np.array(numbers, dtype)
    return members.view(f"V{members.nbytes}")
