"""Resizing a batch of images bilinearly: a linear map of the rows, and one of the columns."""

import numpy as np

from minidl.backend import Array, array_module


def resize(images: Array, size: int | tuple[int, int], antialias: bool = True) -> Array:
    """Images (..., H, W) at another size: (..., H, W) -> (..., H', W').

    images: floating point, NumPy's or CuPy's.
    size: (height, width), or the length of the shorter side, where the longer one keeps its proportion.
    antialias: when an image shrinks, average all that falls into a new pixel, not just the four pixels around its
        centre. With and without, it is PyTorch's `interpolate(mode="bilinear", align_corners=False)`.
    """
    if images.ndim < 2 or images.dtype.kind != "f":
        raise ValueError(f"resize: images are {images.dtype} {images.shape}; wanted floating point, (..., H, W)")
    height, width = images.shape[-2:]
    if isinstance(size, int):
        size = (size, size * width // height) if height <= width else (size * height // width, size)
    if min(size) < 1 or min(height, width) < 1:
        raise ValueError(f"resize: images are {height}×{width}, size is {size}; wanted sides of at least 1")
    xp = array_module(images)
    rows, columns = (
        xp.asarray(interpolation(old, new, antialias), images.dtype)
        for old, new in zip((height, width), size, strict=True)
    )
    return rows @ images @ columns.T


def interpolation(old: int, new: int, antialias: bool = True) -> np.ndarray:
    """The matrix (new, old) that makes `new` samples of a line of `old` ones: row j has what new sample j is made of.

    Its weights are a triangle around the place of sample j among the old ones, and add up to 1.
    """
    scale = old / new
    places = (np.arange(new) + 0.5) * scale - 0.5
    reach = max(scale, 1.0) if antialias else 1.0
    weights = np.maximum(0, 1 - abs(places[:, None] - np.arange(old)) / reach)
    matrix: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return matrix
