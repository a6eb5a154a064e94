"""Test-time augmentation: what several networks say about several views of an image, averaged.

    p(y | x) = 1/(M·V) Σ_m Σ_v p_m(y | v(x))

A view v is a function of a batch of images (N, C, H, W). It returns a batch of as many images or, as `FiveCrop` and a
generator do, several. Views that need no more than a line are functions, those with settings are classes; both have
torchvision's names where it has them.

    tta = TestTimeAugmentation(model, "ten-crop")
    tta = TestTimeAugmentation([model, other], [identity, hflip, lambda x: x.flip((2, 3))], average="logits")
    tta = TestTimeAugmentation(model, Compose([MultiScale([224, 256, 288]), FiveCrop(224)]))
    loss, accuracy = evaluate(tta, loader)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minidl import no_grad, ops
from minidl.data.resize import resize as resize_array
from minidl.nn import Module
from minidl.nn import functional as F
from minidl.tensor import Tensor

View = Callable[[Tensor], Tensor | Iterable[Tensor]]
Size = int | tuple[int, int]
"""Height and width, or one number."""


def identity(x: Tensor) -> Tensor:
    """The images as they are."""
    return x


def hflip(x: Tensor) -> Tensor:
    """The images mirrored left to right."""
    return x.flip(3)


def vflip(x: Tensor) -> Tensor:
    """The images mirrored top to bottom."""
    return x.flip(2)


def resize(x: Tensor, size: Size, antialias: bool = True) -> Tensor:
    """The images at another size, bilinearly; a single number is the length of the shorter side."""
    return Tensor(resize_array(x.data, size, antialias))


@dataclass(frozen=True)
class FiveCrop:
    """Windows (side, or height and width) at the corners and the centre.

    Top left, top right, bottom left, bottom right, centre.
    """

    size: Size

    def __post_init__(self) -> None:
        if min(self._window) < 1:
            raise ValueError(f"FiveCrop: size is {self.size}; wanted at least 1")

    @property
    def _window(self) -> tuple[int, int]:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        (height, width), (h, w) = x.shape[2:], self._window
        if h > height or w > width:
            raise ValueError(f"FiveCrop: images are {height}×{width}; wanted at least {h}×{w}: enlarge or crop less")
        bottom, right = height - h, width - w
        corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2))]
        return tuple(x[:, :, i : i + h, j : j + w] for i, j in corners)


@dataclass(frozen=True)
class TenCrop:
    """`FiveCrop` of the images, then of the images mirrored left to right (top to bottom if `vertical_flip`)."""

    size: Size
    vertical_flip: bool = False

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        five = FiveCrop(self.size)
        return five(x) + five(vflip(x) if self.vertical_flip else hflip(x))


@dataclass(frozen=True)
class MultiScale:
    """The images at several sizes (see `resize`), one after the other."""

    sizes: Sequence[Size]

    def __call__(self, x: Tensor) -> Iterator[Tensor]:
        return (resize(x, size) for size in self.sizes)


@dataclass(frozen=True)
class Compose:
    """Views of views: all that the last one makes of all that the one before it makes, and so on."""

    views: Sequence[View]

    def __call__(self, x: Tensor) -> Iterator[Tensor]:
        if not self.views:
            yield x
            return
        first, *rest = self.views
        for seen in batches(first, x):
            yield from Compose(rest)(seen)


def batches(view: View, x: Tensor) -> Iterable[Tensor]:
    """What a view makes of a batch, one batch after the other."""
    made = view(x)
    return [made] if isinstance(made, Tensor) else made


def _times(factor: float, x: Tensor) -> tuple[int, int]:
    """The height and width of the images times a factor, in whole pixels."""
    height, width = x.shape[2:]
    return max(1, round(factor * height)), max(1, round(factor * width))


def five_crop(x: Tensor) -> tuple[Tensor, ...]:
    """`FiveCrop` with 7/8 of the images' sides."""
    return FiveCrop(_times(7 / 8, x))(x)


def ten_crop(x: Tensor) -> tuple[Tensor, ...]:
    """`TenCrop` with 7/8 of the images' sides."""
    return TenCrop(_times(7 / 8, x))(x)


def multi_scale(x: Tensor) -> Iterator[Tensor]:
    """`MultiScale` with 7/8, all and 9/8 of the images' sides."""
    return MultiScale([_times(factor, x) for factor in (7 / 8, 1, 9 / 8)])(x)


VIEWS: dict[str, Sequence[View]] = {
    "none": [identity],
    "flip": [identity, hflip],
    "five-crop": [five_crop],
    "ten-crop": [ten_crop],
    "multi-scale": [multi_scale],
}
"""Views by name, for networks that take images of any size.

Crops have 7/8 of the image's sides, as AlexNet's 224 of 256; scales are 7/8, 1 and 9/8, as VGG's 224, 256 and 288.
"""

AVERAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "logits": lambda scores: scores.mean(0),
    "probabilities": lambda scores: ops.logsumexp(F.log_softmax(scores, 2), 0) - math.log(len(scores)),
}
"""From all scores (M·V, N, classes) to their average (N, classes)."""


class TestTimeAugmentation(Module):
    """A network whose scores are the average over views, and over networks: (N, C, H, W) -> (N, classes).

    models: one, or several for an ensemble.
    views: one of `VIEWS` by name, a view, or a list of names and views.
    average: of "probabilities", whose logarithms are the scores then; or of "logits".

    It computes without a graph, one view with one network at a time, and leaves the networks in eval mode.
    """

    __test__ = False  # pytest takes what begins with Test for one

    def __init__(
        self,
        models: Module | Sequence[Module],
        views: str | View | Sequence[str | View] = "ten-crop",
        average: str = "probabilities",
    ):
        super().__init__()
        self.models = [models] if isinstance(models, Module) else list(models)
        if not self.models or not all(isinstance(model, Module) for model in self.models):
            kinds = [type(model).__name__ for model in self.models]
            raise TypeError(f"TestTimeAugmentation: models are {kinds}; wanted a Module, or several")
        single = isinstance(views, str) or callable(views)
        listed: list[Any] = list(views) if isinstance(views, Iterable) and not single else [views]
        for view in listed:
            if not (view in VIEWS if isinstance(view, str) else callable(view)):
                wanted = f"functions or {', '.join(VIEWS)}; one, or a list without lists"
                raise ValueError(f"TestTimeAugmentation: views is {view!r}; wanted {wanted}")
        if average not in AVERAGES:
            raise ValueError(f"TestTimeAugmentation: average is {average!r}; wanted one of {', '.join(AVERAGES)}")
        self.views = [view for item in listed for view in (VIEWS[item] if isinstance(item, str) else [item])]
        self.average = average

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            raise ValueError(f"TestTimeAugmentation: images have the shape {x.shape}; wanted a batch, (N, C, H, W)")
        self.eval()
        with no_grad():
            seen = (batch for view in self.views for batch in batches(view, x))
            scores = [self._scores(model, batch, len(x)) for batch in seen for model in self.models]
            if len({score.shape for score in scores}) != 1:
                shapes = ", ".join(sorted({str(score.shape) for score in scores})) or "none, for there are no views"
                raise ValueError(f"TestTimeAugmentation: scores have the shapes {shapes}; wanted one, (N, classes)")
            return AVERAGES[self.average](ops.stack(scores))

    def _scores(self, model: Module, batch: Tensor, n: int) -> Tensor:
        """What one network says about one view of n images."""
        if len(batch) != n:
            raise ValueError(f"TestTimeAugmentation: a view made {batch.shape} of {n} images; wanted as many")
        try:
            scores = model(batch)
        except ValueError as error:
            raise ValueError(
                f"TestTimeAugmentation: {type(model).__name__} cannot take a view of shape {batch.shape} ({error}); "
                "choose views of the size it was made for"
            ) from error
        if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != n:
            got = scores.shape if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(f"TestTimeAugmentation: {type(model).__name__} returned {got}; wanted ({n}, classes)")
        return scores

    def extra_repr(self) -> str:
        views = ", ".join(getattr(view, "__name__", repr(view)) for view in self.views)
        return f"views=[{views}], average={self.average!r}"
