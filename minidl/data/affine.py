"""Warping a batch of images: each pixel of the result is looked up where the inverse map says, bilinearly."""

import numpy as np


def rotation(degrees: np.ndarray) -> np.ndarray:
    """The maps (N, 2, 2) that turn images counter-clockwise; coordinates are (y, x), and y points down."""
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)


def affine(images: np.ndarray, linear: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Move what image n shows at p to linear[n] p + shift[n]; what comes from outside an image is 0.

    images: floating point, (N, C, H, W).
    linear: (N, 2, 2); shift: (N, 2), in pixels. Coordinates are (y, x) from the centre of the image.
    """
    height, width = images.shape[2:]
    centre = np.array([[height - 1], [width - 1]]) / 2
    pixels = np.indices((height, width)).reshape(2, -1) - centre  # (2, H·W)
    sources = np.linalg.inv(linear) @ (pixels - shift[:, :, None]) + centre  # (N, 2, H·W)
    return bilinear(images, sources[:, 0], sources[:, 1]).reshape(images.shape)


def bilinear(images: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Image n at the points (y[n], x[n]), which need not be whole: (N, C, H, W), 2 × (N, P) -> (N, C, P)."""
    n, channels, height, width = images.shape
    flat = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1))).reshape(n, channels, -1)  # a rim of zeros: the outside
    top, left = np.floor(y), np.floor(x)
    result = np.zeros((n, channels, y.shape[1]), images.dtype)
    for row, row_weight in ((top, top + 1 - y), (top + 1, y - top)):
        for column, column_weight in ((left, left + 1 - x), (left + 1, x - left)):
            index = (row.clip(-1, height) + 1) * (width + 2) + column.clip(-1, width) + 1
            pixels = np.take_along_axis(flat, index.astype(np.int64)[:, None], axis=2)
            result += (row_weight * column_weight).astype(images.dtype)[:, None] * pixels
    return result
