"""A row of the table of models: one of `minidl.models`, what was published of it, and its twin in PyTorch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

import minidl
from minidl import models, nn


@dataclass(frozen=True, eq=False)
class Entry:
    """A model and the proofs of it.

    `twin` is "module.function" below tests.models: a function that builds the same network in PyTorch, with the parts
    named as torchvision (or the authors) name them. It takes what ours takes: num_classes, in_channels, the settings.
    """

    name: str  # in minidl.models
    paper: str  # "He, Zhang, Ren, Sun"
    arxiv: str  # "1512.03385", or where else it was published
    year: int
    parameters: int  # exact, for the default number of classes
    published: str  # as the paper, or torchvision, gives it: "25.6 M"
    twin: str
    size: tuple[int, int] = (64, 64)  # of the images they are compared on
    image: tuple[int, int] = (224, 224)  # of those it was made for
    channels: int = 3  # which those have
    settings: Mapping[str, Any] = field(default_factory=dict)
    rouse: Callable[[nn.Module], Any] | None = None  # done to it before it learns images by heart
    lr: float = 1e-3  # of Adam, which learns them
    quick: bool = False  # compared in every run of the tests; else only by `python -m benchmarks.zoo`

    @property
    def title(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"{self.name}({settings})" if settings else self.name

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One image that it was made for."""
        return (1, self.channels, *self.image)

    def build(self, **settings: Any) -> nn.Module:
        """Ours, from a fixed seed."""
        minidl.manual_seed(0)
        return getattr(models, self.name)(**self.settings, **settings)

    def build_twin(self, **settings: Any) -> Any:
        """PyTorch's, from a fixed seed; the test skips where there is no PyTorch."""
        module, function = self.twin.split(".")
        twins = pytest.importorskip(f"tests.models.{module}")
        pytest.importorskip("torch").manual_seed(0)
        return getattr(twins, function)(**self.settings, **settings)

    def __str__(self) -> str:
        return self.title


def family(paper: str, arxiv: str, year: int, twin_module: str) -> Callable[..., Entry]:
    """Entries of one paper, whose twins are functions of the same names in one module."""

    def entry(name: str, parameters: int, published: str, twin: str | None = None, **fields: Any) -> Entry:
        return Entry(name, paper, arxiv, year, parameters, published, f"{twin_module}.{twin or name}", **fields)

    return entry
