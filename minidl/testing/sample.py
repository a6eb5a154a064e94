"""A row of a table that feeds every law: a function, what to give it, and the same by NumPy or in loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.nn.module import Module
from minidl.tensor import Tensor
from minidl.testing.engine import as_list

Host = np.ndarray[Any, Any]
Input = tuple[int, ...] | Host | None


@dataclass(frozen=True, eq=False)
class Sample:
    """A function of tensors with its inputs, its settings, and an oracle that takes and returns NumPy arrays.

    An input is a shape, to be filled with numbers between `low` and `high`; or an array, such as class labels, of which
    that of floating point is differentiated too; or None, for an optional tensor that is left out. The settings follow
    the tensors, by place or by name. Function and oracle return one result or several.

    The other fields say which laws there are to obey: the function is `linear` in all its inputs together, `broadcasts`
    its inputs as arithmetic does, is smooth enough for so many derivatives (`order`; 0: its slope is no question), and
    returns numbers of its inputs' floating type (`keeps_dtype`) and array library (`keeps_backend`).
    """

    name: str
    function: Callable[..., Any]
    inputs: Sequence[Input]
    oracle: Callable[..., Any] | None = None
    settings: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    low: float = -2.0
    high: float = 2.0
    linear: bool = False
    broadcasts: bool = False
    order: int = 2
    keeps_dtype: bool = True
    keeps_backend: bool = True

    def arrays(self, dtype: Any = np.float64, seed: int = 0) -> list[Host]:
        """The inputs that are not None. Where only shapes were given, all numbers differ, evenly spaced: no ties.

        They are at irrational parts of the way from low to high, so that none is close to a kink such as 0.
        """
        sizes = [math.prod(shape) for shape in self.inputs if isinstance(shape, tuple)]
        total = sum(sizes)
        steps = np.random.default_rng([seed, total, *sizes]).permutation(total) + math.sqrt(0.2)
        values = iter(np.split(self.low + (self.high - self.low) * steps / max(total, 1), np.cumsum(sizes)[:-1]))
        given = [next(values).reshape(x) if isinstance(x, tuple) else x for x in self.inputs]
        return [x.astype(dtype if x.dtype.kind == "f" else x.dtype) for x in given if x is not None]

    def apply(self, *tensors: Tensor) -> list[Tensor]:
        """What the function makes of its inputs, those that are None left out, as a list."""
        return as_list(self.function(*self._completed(tensors), *self.settings, **self.named))

    def expected(self, *arrays: Host) -> list[Host]:
        """What the oracle makes of them, as a list."""
        if self.oracle is None:
            raise ValueError(f"{self}: there is no oracle")
        return [np.asarray(y) for y in as_list(self.oracle(*self._completed(arrays), *self.settings, **self.named))]

    def _completed(self, given: Sequence[Any]) -> Iterator[Any]:
        """The inputs with None wherever one is left out."""
        rest = iter(given)
        return (None if x is None else next(rest) for x in self.inputs)

    def __str__(self) -> str:
        inputs = ",".join(_describe(x) for x in self.inputs)
        settings = [*map(str, self.settings), *(f"{name}={value}" for name, value in self.named.items())]
        return " ".join([self.name, inputs, *settings]).replace("\n", "")


def layer_sample(
    build: Callable[[], Module], inputs: Sequence[Input], oracle: Callable[..., Any] | None = None, **fields: Any
) -> Sample:
    """A sample of a layer, made anew for each call; its parameters are inputs too, behind those of `forward`.

    They come in the order of `named_parameters`, for the oracle too. The `fields` are those of a `Sample`.
    """
    layer = build()
    shapes = [parameter.shape for _, parameter in layer.named_parameters()]

    def function(*tensors: Tensor) -> Any:
        layer = build().to(tensors[0].dtype).to(tensors[0].backend)
        own = tensors[len(inputs) :]
        for (_, parameter), x in zip(layer.named_parameters(), own, strict=True):
            parameter.data, parameter.node, parameter.memory = x.data, x.node, x.memory  # it is that tensor from now on
        return layer(*tensors[: len(inputs)])

    name = fields.pop("name", type(layer).__name__)
    return Sample(name, function, [*inputs, *shapes], oracle, **fields)


def _describe(x: Input) -> str:
    return f"{x.dtype}{x.shape}" if isinstance(x, np.ndarray) else str(x)
