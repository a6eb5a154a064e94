"""Batches of a dataset, shuffled and transformed, the same ones whenever seed and epoch are the same."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any, Protocol

import numpy as np

from minidl.data.prefetch import prefetch_map
from minidl.data.transforms import ToFloat, Transform
from minidl.tensor import Tensor

ORDER, AUGMENT = 0, 1  # random streams: of an epoch, and of each batch in it


class Indexable(Protocol):
    """A dataset: `dataset[indices]`, for an int64 array, is (uint8 images (n, C, H, W), labels (n,))."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> tuple[np.ndarray, np.ndarray]: ...


class DataLoader:
    """Iterates over (images, labels), Tensors on NumPy: float32 (n, C, H, W) and int64 (n,).

    batch_size: images a batch; the last one has what is left, or is left out if `drop_last`.
    shuffle: a new order each epoch; call `set_epoch` before every one.
    transform: what is done to the images, see `minidl.data.transforms`; it leaves float32; None: `ToFloat`.
    num_workers: threads that make batches in the background, `prefetch_factor` each ahead; 0: none.

    Order and transforms depend on (seed, epoch) alone: not on earlier epochs, so that a run can be taken up
    at any epoch, and not on the number of workers.
    """

    def __init__(
        self,
        dataset: Indexable,
        batch_size: int = 1,
        shuffle: bool = False,
        transform: Transform | None = None,
        seed: int = 0,
        drop_last: bool = False,
        num_workers: int = 0,
        prefetch_factor: int = 2,
    ) -> None:
        _want_at_least("batch_size", batch_size, 1)
        _want_at_least("seed", seed, 0)
        _want_at_least("num_workers", num_workers, 0)
        _want_at_least("prefetch_factor", prefetch_factor, 1)
        if len(dataset) < (batch_size if drop_last else 1):
            raise ValueError(
                f"DataLoader: {len(dataset)} images make no batch with batch_size={batch_size} and "
                f"drop_last={drop_last}; wanted more images, smaller batches or drop_last=False"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.transform: Transform = transform or ToFloat()
        self.seed = seed
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the random transforms of the iterations that begin from now on."""
        _want_at_least("epoch", epoch, 0)
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of batches."""
        whole, left = divmod(len(self.dataset), self.batch_size)
        return whole + (left > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, n = self.epoch, len(self.dataset)
        order = self._generator(ORDER, epoch).permutation(n) if self.shuffle else np.arange(n)

        def make(number: int) -> tuple[Tensor, Tensor]:
            chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
            return self._batch(chosen, self._generator(AUGMENT, epoch, number))

        if self.num_workers == 0:
            return (make(number) for number in range(len(self)))
        return prefetch_map(make, range(len(self)), self.num_workers, self.num_workers * self.prefetch_factor)

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _batch(self, chosen: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        images, labels = self.dataset[chosen]
        images = self.transform(images, generator)
        dtype, shape = getattr(images, "dtype", type(images).__name__), np.shape(images)
        if dtype != np.float32 or len(shape) != 4 or shape[0] != len(chosen):
            raise ValueError(
                f"DataLoader: transform made {dtype} {shape} of {len(chosen)} images; "
                f"wanted float32 ({len(chosen)}, C, H, W), as ToFloat() makes it"
            )
        return Tensor(images), Tensor(np.asarray(labels, np.int64))


def _want_at_least(name: str, value: object, least: int) -> None:
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"DataLoader: {name} is {value!r}; wanted an integer, at least {least}")
