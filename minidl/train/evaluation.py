"""What a model is worth: its loss and accuracy over images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl import no_grad
from minidl.data import DataLoader
from minidl.nn import Module
from minidl.nn import functional as F
from minidl.tensor import Tensor
from minidl.train.display import Bar

Loss = Callable[[Tensor, Tensor], Tensor]
"""From scores (N, C) and labels (N,) to the mean loss of a batch."""


class DivergedError(ArithmeticError):
    """The loss is infinite or not a number."""


class Mean:
    """Loss and accuracies over the images so far. Sums stay where the arrays are: to read one waits for the GPU.

    topk: an accuracy for each k, the share of images whose class is among the k of highest score.
    """

    def __init__(self, topk: Sequence[int] = (1,)) -> None:
        self.images, self.topk = 0, topk
        self._loss: Any = 0.0
        self._right: list[Any] = [0] * len(topk)

    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss, scores (N, C), labels (N,)."""
        self.images += len(labels)
        self._loss = self._loss + loss.data.astype(np.float64) * len(labels)
        ranked = (-scores.data).argsort(axis=1, kind="stable")  # of equal scores the first, as argmax has it
        hits = ranked[:, : max(self.topk)] == labels.data[:, None]
        self._right = [right + hits[:, :k].sum() for right, k in zip(self._right, self.topk, strict=True)]

    @property
    def loss(self) -> float:
        mean = float(self._loss) / self.images
        if not math.isfinite(mean):
            raise DivergedError(f"the loss has become {mean}")
        return mean

    @property
    def accuracies(self) -> tuple[float, ...]:
        return tuple(int(right) / self.images for right in self._right)


def evaluate(
    model: Module,
    loader: DataLoader,
    loss: Loss = F.cross_entropy,
    bar: Bar | None = None,
    topk: Sequence[int] = (1,),
) -> tuple[float, ...]:
    """(loss, accuracy) of a model over all images of a loader; leaves the model in eval mode.

    topk: give an accuracy for each k, the share of images whose class is among the k of highest score.
    """
    mean, backend = Mean(topk), backend_of(model)
    model.eval()
    with no_grad():
        for images, labels in loader:
            images, labels = images.to(backend), labels.to(backend)
            scores = model(images)
            mean.add(loss(scores, labels), scores, labels)
            if bar is not None:
                bar.update(mean)
    return mean.loss, *mean.accuracies


def backend_of(model: Module) -> str:
    """Where a model's parameters are."""
    return next(model.parameters()).backend
