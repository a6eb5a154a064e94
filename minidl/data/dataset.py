"""A dataset: images, their labels, and the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.data.image_files import ImageFiles


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images.

    images: uint8, (N, C, H, W): an array, or `ImageFiles`, which reads them when they are indexed.
    labels: integers from 0 to len(classes) - 1, (N,); kept as int64.
    classes: the name of each class.

    `dataset[index]` is the pair (images[index], labels[index]) for anything that indexes an array.
    """

    images: np.ndarray | ImageFiles
    labels: np.ndarray
    classes: Sequence[str]

    def __post_init__(self) -> None:
        images, labels, classes = self.images, np.asarray(self.labels), tuple(self.classes)
        if len(images.shape) != 4 or images.dtype != np.uint8:
            raise ValueError(f"Dataset: images are {images.dtype} {images.shape}; wanted uint8 (N, C, H, W)")
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"Dataset: labels are {labels.dtype} {labels.shape}; wanted integers, one for each of the "
                f"{len(images)} images"
            )
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            raise ValueError(
                f"Dataset: labels run from {labels.min()} to {labels.max()}; wanted 0 to {len(classes) - 1}, "
                f"indices into the {len(classes)} classes"
            )
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "classes", classes)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[np.ndarray, np.ndarray]:
        return self.images[index], self.labels[index]

    def __repr__(self) -> str:
        shape = "×".join(str(length) for length in self.images.shape[1:])
        return f"Dataset({len(self)} images {shape}, {len(self.classes)} classes)"

    def subset(self, indices: Any) -> Dataset:
        """The dataset of the chosen images (a slice, indices or a mask); image files stay unread."""
        images = self.images
        chosen = images.subset(indices) if isinstance(images, ImageFiles) else images[indices]
        return Dataset(chosen, self.labels[indices], self.classes)

    def mean_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Each channel's mean and standard deviation, of pixels scaled to [0, 1]; they go to `Normalize`."""
        if not len(self):
            raise ValueError("mean_std: the dataset is empty; wanted at least one image")
        counts = np.zeros((self.images.shape[1], 256))  # how often each level occurs: exact, however many pixels
        for start in range(0, len(self), 512):  # image files: a few at a time
            for channel, pixels in enumerate(self.images[start : start + 512].swapaxes(0, 1)):
                counts[channel] += np.bincount(pixels.ravel(), minlength=256)
        share, level = counts / counts[0].sum(), np.arange(256) / 255
        mean = share @ level
        std = np.sqrt((share * (level - mean[:, None]) ** 2).sum(axis=1))
        return tuple(mean.tolist()), tuple(std.tolist())
