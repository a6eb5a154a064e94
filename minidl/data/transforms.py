"""Transforms of batches of images; the names are torchvision's where it has them.

A transform maps images (N, C, H, W) and a `numpy.random.Generator` to images; a random one draws anew for
every image, and the same again from the same generator. Cropping, flipping and cutting work on any dtype;
what computes with pixels wants floats, as `ToFloat` makes them.

    Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), ToFloat(), Normalize(*train.mean_std())])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator

from minidl.data.affine import affine, rotation
from minidl.data.resize import resize


class Transform(Protocol):
    """What a `DataLoader` does to the images of a batch."""

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray: ...


@dataclass(frozen=True)
class Compose:
    """One transform after the other."""

    transforms: Sequence[Transform]

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        for transform in self.transforms:
            images = transform(images, generator)
        return images


@dataclass(frozen=True)
class ToFloat:
    """uint8 from 0 to 255 to float32 from 0 to 1."""

    def __call__(self, images: np.ndarray, generator: Generator | None = None) -> np.ndarray:
        if images.dtype != np.uint8:
            raise ValueError(f"ToFloat: images are {images.dtype}, wanted uint8; is it applied twice?")
        return images.astype(np.float32) / np.float32(255)


@dataclass(frozen=True)
class Normalize:
    """(x - mean) / std, channel by channel; `Dataset.mean_std` gives a training set's numbers."""

    mean: Sequence[float]
    std: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not min(self.std, default=0) > 0:
            raise ValueError(
                f"Normalize: mean is {self.mean}, std {self.std}; wanted one of each a channel, std above 0"
            )

    def __call__(self, images: np.ndarray, generator: Generator | None = None) -> np.ndarray:
        _want_floats("Normalize", images)
        if images.shape[1] != len(self.mean):
            raise ValueError(
                f"Normalize: images have {images.shape[1]} channels but mean and std are for {len(self.mean)}"
            )
        mean, std = (np.array(values, images.dtype)[:, None, None] for values in (self.mean, self.std))
        normalized: np.ndarray = (images - mean) / std
        return normalized


@dataclass(frozen=True)
class Resize:
    """Images at another (height, width), or with a shorter side of this length; bilinear, with antialiasing."""

    size: int | tuple[int, int]

    def __call__(self, images: np.ndarray, generator: Generator | None = None) -> np.ndarray:
        _want_floats("Resize", images)
        resized: np.ndarray = resize(images, self.size)
        return resized


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """Each image mirrored left to right, with probability p."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p is {self.p}; wanted a probability, 0 to 1")

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        _want_batch("RandomHorizontalFlip", images)
        flipped = generator.random(len(images)) < self.p
        return np.where(flipped[:, None, None, None], images[..., ::-1], images)


@dataclass(frozen=True)
class RandomCrop:
    """A window (side, or height and width) at a random place of the image with `padding` zeros around it."""

    size: int | tuple[int, int]
    padding: int = 0

    def __post_init__(self) -> None:
        if min(self._window) < 1 or self.padding < 0:
            raise ValueError(f"RandomCrop: size is {self.size}, padding {self.padding}; wanted at least 1 and 0")

    @property
    def _window(self) -> tuple[int, int]:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        _want_batch("RandomCrop", images)
        rim = (self.padding, self.padding)
        padded = np.pad(images, ((0, 0), (0, 0), rim, rim))
        if padded.shape[2] < self._window[0] or padded.shape[3] < self._window[1]:
            raise ValueError(
                f"RandomCrop: images are {padded.shape[2]}×{padded.shape[3]} with their padding; wanted at "
                f"least {self._window[0]}×{self._window[1]}: pad more or crop less"
            )
        windows = sliding_window_view(padded, self._window, axis=(2, 3))  # (N, C, tops, lefts, H, W)
        n, tops, lefts = len(images), *windows.shape[2:4]
        return windows[np.arange(n), :, generator.integers(tops, size=n), generator.integers(lefts, size=n)]


@dataclass(frozen=True)
class RandomRotation:
    """Each image turned about its centre by up to ±degrees, or by (low, high) degrees, counter-clockwise."""

    degrees: float | tuple[float, float]

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        _want_floats("RandomRotation", images)
        angle = generator.uniform(*_both_ways(self.degrees), size=len(images))
        return affine(images, rotation(angle), np.zeros((len(images), 2)))


@dataclass(frozen=True)
class RandomAffine:
    """Each image turned, scaled about its centre and shifted, in one interpolation.

    degrees: as in `RandomRotation`, clockwise here, as torchvision has it.
    translate: (a, b): shifted by whole pixels, up to a·W to the sides and b·H up or down.
    scale: (low, high): enlarged by a factor from this interval.
    """

    degrees: float | tuple[float, float] = 0.0
    translate: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not all(0 <= part <= 1 for part in self.translate):
            raise ValueError(f"RandomAffine: translate is {self.translate}; wanted two shares of the image, 0 to 1")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"RandomAffine: scale is {self.scale}; wanted (low, high) with 0 < low <= high")

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        _want_floats("RandomAffine", images)
        n = len(images)
        reach = np.multiply(self.translate[::-1], images.shape[2:])  # (y, x), in pixels
        angle = generator.uniform(*_both_ways(self.degrees), size=n)
        shift = np.rint(generator.uniform(-reach, reach, size=(n, 2)))
        scale = generator.uniform(*self.scale, size=n)
        return affine(images, scale[:, None, None] * rotation(-angle), shift)


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, then contrast, multiplied by a random factor between 1 - amount and 1 + amount.

    Contrast is the distance from the mean of the grey image, 0.2989 R + 0.587 G + 0.114 B. Pixels are from 0
    to 1 and stay there.
    """

    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        if min(self.brightness, self.contrast) < 0:
            raise ValueError(
                f"ColorJitter: brightness is {self.brightness}, contrast {self.contrast}; wanted 0 or more"
            )

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        _want_floats("ColorJitter", images)
        if images.shape[1] not in (1, 3):
            raise ValueError(f"ColorJitter: images have {images.shape[1]} channels; wanted 1 (grey) or 3 (RGB)")
        luma = np.array([0.2989, 0.587, 0.114] if images.shape[1] == 3 else [1], images.dtype)[:, None, None]
        brighter, sharper = (
            generator.uniform(max(0, 1 - amount), 1 + amount, (len(images), 1, 1, 1)).astype(images.dtype)
            for amount in (self.brightness, self.contrast)
        )
        images = (images * brighter).clip(0, 1)
        grey = (images * luma).sum(axis=1, keepdims=True).mean(axis=(2, 3), keepdims=True)
        contrasted: np.ndarray = sharper * images + (1 - sharper) * grey
        return contrasted.clip(0, 1)


@dataclass(frozen=True)
class Cutout:
    """Zeros in a square of side `size` around a random pixel, cut off at the border.

    T. DeVries, G. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017,
    arXiv:1708.04552. As in the paper it comes last: after `Normalize`, zero is the mean.
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"Cutout: size is {self.size}; wanted 0 or more pixels")

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        _want_batch("Cutout", images)
        rows, columns = (self._inside(length, len(images), generator) for length in images.shape[2:])
        hole = rows[:, None, :, None] & columns[:, None, None, :]
        return np.where(hole, images.dtype.type(0), images)

    def _inside(self, length: int, n: int, generator: Generator) -> np.ndarray:
        """Which of the rows (or columns) are in the square: (n, length)."""
        start = generator.integers(length, size=(n, 1)) - self.size // 2
        return (np.arange(length) >= start) & (np.arange(length) < start + self.size)


def _both_ways(degrees: float | tuple[float, float]) -> tuple[float, float]:
    return (-degrees, degrees) if isinstance(degrees, int | float) else degrees


def _want_batch(who: str, images: np.ndarray) -> None:
    if images.ndim != 4:
        raise ValueError(f"{who}: images have the shape {images.shape}; wanted a batch, (N, C, H, W)")


def _want_floats(who: str, images: np.ndarray) -> None:
    _want_batch(who, images)
    if images.dtype.kind != "f":
        raise ValueError(f"{who}: images are {images.dtype}, wanted floating point; put ToFloat() before it")
