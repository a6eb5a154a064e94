"""An array in a file: its shape is known, its numbers are read when somebody asks.

So what a model has no place for is never read, and a file that claims terabytes is found not to fit before it gets any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]

BFLOAT16 = "bfloat16"
"""The upper half of a float32, which NumPy does not know."""


class WeightsError(ValueError):
    """A file of weights is missing, damaged, refused, or does not fit the model."""


class PlaceError(ValueError):
    """A file can be read, but none of its arrays, or too many, may be the weights."""


@dataclass(frozen=True)
class Stored:
    """An array in a file."""

    shape: tuple[int, ...]
    read: Callable[[], Array]


@dataclass(frozen=True)
class Storage:
    """Numbers of one type in a row, as a file has them: `read(start, stop)` returns these bytes."""

    dtype: Dtype | str
    length: int
    read: Callable[[int, int], bytes]

    @property
    def itemsize(self) -> int:
        return 2 if isinstance(self.dtype, str) else self.dtype.itemsize

    def array(self, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Stored:
        """The array whose element i, j, … is number offset + i·strides[0] + j·strides[1] + …; it lies within."""
        if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
            raise ValueError("an array whose shape, strides or offset are not as many integers from 0 on")
        extent = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if offset + extent > self.length:
            raise ValueError(f"an array of shape {shape} reaches beyond the {self.length} numbers of its storage")

        def read() -> Array:
            flat = self._decode(self.read(offset * self.itemsize, (offset + extent) * self.itemsize))
            steps = [s * flat.itemsize for s in strides]
            return np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)

        return Stored(tuple(shape), read)

    def whole(self, shape: Sequence[int]) -> Stored:
        """All of it, row by row."""
        if math.prod(shape) != self.length:
            raise ValueError(f"an array of shape {shape} has {self.length} numbers")
        return self.array(0, shape, [math.prod(shape[axis + 1 :]) for axis in range(len(shape))])

    def _decode(self, content: bytes) -> Array:
        if isinstance(self.dtype, str):
            return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
        return np.frombuffer(content, self.dtype)


def read_exactly(file: IO[bytes], start: int, stop: int) -> bytes:
    """These bytes of a file, which must have them."""
    file.seek(start)
    content = file.read(stop - start)
    if len(content) != stop - start:
        raise EOFError(f"{stop - start} bytes are announced where {len(content)} are left")
    return content


def file_size(file: IO[bytes]) -> int:
    """The length of an open file in bytes."""
    return file.seek(0, 2)
