"""Image files that index like one array, and the folder layout that labels them."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data.error import DataError
from minidl.extra import import_extra

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})


class ImageFiles:
    """Images on disk as a uint8 array (N, 3, H, W) that is read when it is indexed.

    paths: one file each; every image is turned upright as its EXIF says and converted to RGB.
    size: side, or (height, width), to which each is scaled and centre-cropped; None: all have one size.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], size: int | tuple[int, int] | None = None) -> None:
        if not paths:
            raise DataError("ImageFiles: there are no images")
        self.size = (size, size) if isinstance(size, int) else size
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"ImageFiles: size is {size}; wanted a positive side or (height, width)")
        self.paths, self.first = list(paths), paths[0]
        self.shape = (len(paths), *self._read(self.first).shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> np.ndarray:
        chosen = np.arange(len(self))[index]
        images = [self._read_alike(self.paths[i]) for i in chosen.flat]
        return np.array(images, dtype=np.uint8).reshape(*chosen.shape, *self.shape[1:])

    def subset(self, index: Any) -> "ImageFiles":
        """The chosen files, still unread."""
        chosen = copy.copy(self)
        chosen.paths = [self.paths[i] for i in np.arange(len(self))[index].flat]
        chosen.shape = (len(chosen.paths), *self.shape[1:])
        return chosen

    def _read_alike(self, path: Path) -> np.ndarray:
        image = self._read(path)
        if image.shape != self.shape[1:]:
            (height, width), (wanted_height, wanted_width) = image.shape[1:], self.shape[2:]
            raise DataError(
                f"{path} is {height}×{width} pixels and {self.first} is {wanted_height}×{wanted_width}; "
                "a batch has one size: name it, as in load_dataset(folder, image_size=32)"
            )
        return image

    def _read(self, path: Path) -> np.ndarray:
        """One image, uint8 (3, H, W)."""
        image, operations = (import_extra(f"PIL.{name}", "data") for name in ("Image", "ImageOps"))
        try:
            with image.open(path) as file:
                if file.mode.startswith(("I", "F")):
                    raise DataError(f"{path}: has pixels of mode {file.mode}; wanted 8 bits: convert it")
                picture = operations.exif_transpose(file).convert("RGB")
        except DataError:
            raise
        except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as error:
            raise DataError(f"{path}: no image that Pillow can read ({error}); replace or delete it") from error
        if self.size is not None:
            picture = operations.fit(picture, self.size[::-1], image.Resampling.BILINEAR)
        return np.asarray(picture).transpose(2, 0, 1)
