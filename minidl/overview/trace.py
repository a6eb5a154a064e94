"""One run of a model on zeros, watched by hooks on all of its modules."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minidl.backend import shares_memory
from minidl.creation import zeros
from minidl.mode import enable_grad
from minidl.nn.module import Module
from minidl.overview.cost import mult_adds
from minidl.overview.field import Fields, View
from minidl.overview.rows import Row, Summary
from minidl.tensor import Tensor


@dataclass
class _Seen:
    """What was seen of a module; of several calls the shapes are the last one's, and costs add up."""

    input_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | None = None
    mult_adds: int = 0
    activation_bytes: int = 0
    view: View | None = None


def summary(model: Module, input_shape: Sequence[int], depth: int | None = None) -> Summary:
    """What each layer of the model makes of an input (N, C, H, W), and what that costs.

    The model runs once, on zeros, in evaluation; it is left as it was. Rows of modules that hold others are sums of
    what is below them. What a `forward` computes by functions alone is in the shapes and the receptive fields, but
    multiply-adds and activations are those of layers (`minidl.overview.mult_adds` takes rules for your own).

    depth: how many levels below the model are shown.
    """
    try:
        shape = tuple(operator.index(n) for n in input_shape)
    except TypeError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(f"summary: input_shape must be positive integers, say (1, 3, 32, 32), got {input_shape!r}")
    held = next(iter([*model.parameters(), *model.buffers()]), zeros(1))
    x = zeros(*shape, dtype=held.dtype if held.dtype.kind == "f" else "float32", backend=held.backend)
    seen: dict[Module, _Seen] = {module: _Seen() for module in model.modules()}
    with _in_evaluation(model), enable_grad(), contextlib.ExitStack() as hooks:
        fields = Fields(x.requires_grad_())
        for module in seen:
            hooks.callback(module.register_forward_hook(_watch(seen, fields)).remove)
        model(x)
    return Summary(
        input_shape=shape,
        rows=[_row(path, module, seen) for path, module in model.named_modules()],
        total_params=sum(p.numel() for p in model.parameters()),
        trainable_params=sum(p.numel() for p in model.parameters() if p.requires_grad),
        depth=depth,
    )


def _watch(seen: dict[Module, _Seen], fields: Fields) -> Any:
    def hook(module: Module, inputs: tuple[Any, ...], output: Any) -> Any:
        note, x, y = seen[module], _first_tensor(inputs), _first_tensor(output)
        if y is None:
            return None
        note.input_shape, note.output_shape = None if x is None else x.shape, y.shape
        note.mult_adds += mult_adds(module, x, y)
        if not any(module.children()) and not (x is not None and shares_memory(x.data, y.data)):
            note.activation_bytes += y.data.nbytes
        note.view = fields.behind(module, x, y)
        return fields.cut(y, note.view) if isinstance(output, Tensor) and y.requires_grad else None

    return hook


def _row(path: str, module: Module, seen: dict[Module, _Seen]) -> Row:
    note, below = seen[module], [seen[part] for part in module.modules()]
    return Row(
        name=path,
        kind=type(module).__name__,
        depth=path.count(".") + 1 if path else 0,
        input_shape=note.input_shape,
        output_shape=note.output_shape,
        params=sum(p.numel() for p in module.parameters()),
        mult_adds=sum(part.mult_adds for part in below),
        activation_bytes=sum(part.activation_bytes for part in below),
        receptive_field=None if note.view is None else (_pixels(note.view, 0), _pixels(note.view, 1)),
    )


def _pixels(view: View, axis: int) -> int:
    return math.ceil(view[axis].field)


def _first_tensor(value: Any) -> Tensor | None:
    """A tensor, or the first one in a tuple or list."""
    if isinstance(value, (tuple, list)):
        return next((found for found in map(_first_tensor, value) if found is not None), None)
    return value if isinstance(value, Tensor) else None


@contextlib.contextmanager
def _in_evaluation(model: Module) -> Iterator[None]:
    """Evaluation mode within; each module's own mode again afterwards."""
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training
