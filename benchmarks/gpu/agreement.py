"""Does the device compute what NumPy does? Kernels, ops, functions and a training run, beside NumPy in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import minidl
from benchmarks.gpu.device import Device
from benchmarks.gpu.report import Cell, MissingError, Problem, Table
from minidl import kernels, nn, optim
from minidl.backend import Array, to_backend
from minidl.models import densenet_cifar
from minidl.nn import functional as F
from minidl.tensor import Tensor

Host = np.ndarray[Any, Any]

TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
"""The error that is still rounding, relative to the largest element: second derivatives and long sums included."""


def error(ours: Sequence[Host], theirs: Sequence[Host]) -> float:
    """The largest difference in any of several results, relative to the largest element of that result."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"the shape is {a.shape}, on NumPy {b.shape}")
        finite = np.isfinite(b)
        if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
            return float("inf")
        if finite.any():
            distance = np.abs(a[finite].astype(np.float64) - b[finite]).max() / max(np.abs(b[finite]).max(), 1e-30)
            worst = max(worst, float(distance) if np.isfinite(distance) else float("inf"))  # max() overlooks NaN
    return worst


# --------------------------------------------------------------------------------------------------------- kernels
Call = Callable[..., Any]
PADS = ((1, 2), (0, 1))


def _pulled(result: tuple[Array, Callable[[Array, Sequence[bool]], Sequence[Array]]], inputs: int) -> list[Array]:
    """The value of a kernel, and what it pulls back from the squares of the value."""
    value, pull = result
    return [value, *pull(value * value, (True,) * inputs)]


def _normalized(k: Any, x: Array, weight: Array, bias: Array) -> list[Array]:
    return _pulled(k.batch_norm(x, weight, bias, 1e-5, k.channel_moments(x), True), 3)


def _convolved(stride: Any, padding: Any, dilation: Any, groups: int) -> Call:
    return lambda k, x, w, b: _pulled(k.conv2d(x, w, b, stride, padding, dilation, groups), 3)


X = (5, 6, 37, 41)
KERNELS: dict[str, tuple[Call, list[tuple[int, ...]]]] = {
    "im2col": (lambda k, x: [k.im2col(x, (3, 2), (2, 1), PADS, (1, 2))], [X]),
    "col2im": (lambda k, x: [k.col2im(x, (37, 41), (3, 2), (2, 1), PADS, (1, 2))], [(5, 6, 3, 2, 19, 40)]),
    "max_pool2d": (lambda k, x: _pulled(k.max_pool2d(x, (3, 2), (2, 1), PADS, (1, 2), (19, 40)), 1), [X]),
    "sum_pool2d": (lambda k, x: _pulled(k.sum_pool2d(x, (3, 2), (2, 1), PADS, (19, 41)), 1), [X]),
    "channel_moments": (lambda k, x: list(k.channel_moments(x)), [X]),
    "batch_norm": (_normalized, [X, (6,), (6,)]),
    "erf": (lambda k, x: [k.erf(x)], [X]),
    "conv2d": (_convolved((1, 1), ((1, 1), (1, 1)), (1, 1), 1), [X, (9, 6, 3, 3), (9,)]),
    "conv2d, thin": (_convolved((1, 1), ((1, 1), (1, 1)), (1, 1), 1), [X, (4, 6, 3, 3), (4,)]),
    "conv2d, 1×1": (_convolved((1, 1), ((0, 0), (0, 0)), (1, 1), 1), [X, (9, 6, 1, 1), (9,)]),
    "conv2d, strides": (_convolved((2, 3), PADS, (2, 1), 1), [X, (9, 6, 3, 2), (9,)]),
    "conv2d, groups": (_convolved((2, 1), PADS, (1, 2), 3), [X, (9, 2, 3, 2), (9,)]),
    "conv2d, depthwise": (_convolved((1, 1), ((2, 2), (2, 2)), (1, 1), 6), [X, (6, 1, 5, 5), (6,)]),
}
"""Each kernel, called on a table of kernels and arrays of these shapes. No length is a power of two."""


def stage_kernels(device: Device) -> Iterator[Table | Problem]:
    """Kernels by themselves: in memory of any layout, twice, the second time into memory full of NaN."""
    table = Table(
        "kernels",
        ["kernel", "float64", "float32", "runs repeat"],
        note="The largest error relative to NumPy in float64, value and gradients, over two layouts.",
    )
    rng = np.random.default_rng(0)
    for name, (call, shapes) in KERNELS.items():
        arrays = [rng.standard_normal(shape) for shape in shapes]
        expected = [to_backend(y, "numpy") for y in call(kernels.table(np.zeros(0)), *arrays)]
        row: list[Cell] = [name]
        repeats = True
        for dtype in TOLERANCE:
            found = 0.0
            for is_channel_major in (False, True):
                given = [device.array(x.astype(dtype)) for x in arrays]
                if is_channel_major:
                    given = [x.swapaxes(0, 1).copy().swapaxes(0, 1) if x.ndim > 1 else x for x in given]
                first, second = (_poisoned(call, kernels.table(given[0]), given) for _ in range(2))
                found = max(found, error(first, expected))
                repeats &= all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))
            row.append(found)
            if not found <= TOLERANCE[dtype]:
                yield Problem(f"{name}: the error in {dtype} is {found:.2g}")
        if not repeats:
            yield Problem(f"{name}: two runs differ")
        table.rows.append([*row, "yes" if repeats else "no"])
        yield table


def _poisoned(call: Call, table: Any, arrays: Sequence[Array]) -> list[Host]:
    """The results on the host, made where earlier results were, which had been filled with NaN before they went."""
    for result in call(table, *arrays):
        result.fill(np.nan)
    return [to_backend(result, "numpy") for result in call(table, *arrays)]


# ------------------------------------------------------------------------------------------------- ops and functions
def stage_ops(device: Device) -> Iterator[Table | Problem]:
    """Every op, function and layer of the tests' tables of samples: values and first and second derivatives."""
    try:
        from tests.table import SAMPLES
    except ImportError as missing:
        raise MissingError(f"it needs the tests and what they import: {missing}") from missing
    table = Table(
        "ops and functions",
        ["op", "samples", *COLUMNS],
        note="The largest errors relative to NumPy in float64.",
    )
    rows: dict[str, dict[str, Any]] = {}
    failures = 0
    for count, sample in enumerate(SAMPLES[:: 40 if device.quick else 1]):
        if device.left() < 0 or failures >= 20:
            why = "time was up (what is compiled by now is kept: run it again)" if failures < 20 else "it was given up"
            yield Problem(f"after {count} of {len(SAMPLES)} samples {why}")
            break
        row = rows.setdefault(sample.name, {"op": sample.name, "samples": 0, **dict.fromkeys(COLUMNS)})
        row["samples"] += 1
        try:
            for column, found in _errors(device, sample.apply, sample.arrays(), sample.order):
                row[column] = max(found, row[column] or 0.0)
                if not found <= TOLERANCE["float32" if "float32" in column else "float64"]:
                    yield Problem(f"{sample}: the error of the {column} is {found:.2g}")
        except Exception as failure:  # the others are worth trying
            failures += 1
            yield Problem(f"{sample}: {type(failure).__name__}: {failure}")
        table.rows = [list(row.values()) for row in rows.values()]
        if count % 20 == 0:
            yield table
    yield table


COLUMNS = ("value", "gradient", "second derivative", "value, float32", "gradient, float32")


def _errors(
    device: Device, function: Callable[..., Any], arrays: Sequence[Host], order: int
) -> Iterator[tuple[str, float]]:
    """The columns of the table that a function has something for."""
    expected = _derivatives(function, arrays, "numpy", "float64", order)
    found = _derivatives(function, arrays, device.backend, "float64", order)
    found32 = _derivatives(function, arrays, device.backend, "float32", min(order, 1))
    yield from zip(COLUMNS, map(error, found, expected), strict=False)
    yield from zip(COLUMNS[3:], map(error, found32, expected), strict=False)


def _derivatives(
    function: Callable[..., Any], arrays: Sequence[Host], backend: str, dtype: str, order: int
) -> list[list[Host]]:
    """The values of a function, and of each order the gradients of Σ ⟨what came before, random⟩."""
    draw = np.random.default_rng(0).standard_normal
    xs = [Tensor(to_backend(x.astype(dtype) if x.dtype.kind == "f" else x, backend)) for x in arrays]
    xs = [x.requires_grad_() if x.dtype.kind == "f" else x for x in xs]
    ys = function(*xs)
    ys = [ys] if isinstance(ys, Tensor) else list(ys)
    results = [[y.detach().numpy() for y in ys]]
    for k in range(order):
        ys = [y for y in ys if y.requires_grad]
        if not ys:
            break
        seeds = [Tensor(to_backend(draw(y.shape).astype(y.dtype), y.backend)) for y in ys]
        leaves = [x for x in xs if x.requires_grad]
        found = minidl.grad(ys, leaves, seeds, create_graph=k + 1 < order, allow_unused=True)
        ys = [g for g in found if g is not None]
        results.append([g.detach().numpy() for g in ys])
    return results


# ---------------------------------------------------------------------------------------------------------- training
def stage_training(device: Device) -> Iterator[Table | Problem]:
    """DenseNet-BC-22, k = 12, from the same weights on NumPy and on the device, with momentum and weight decay."""
    steps, size = (2, 8) if device.quick else (5, 16)
    table = Table(
        "training DenseNet",
        ["numbers", "step", "loss on NumPy", "loss here", "relative difference", "weights and statistics"],
        note="The last column is the largest difference in a weight or a running statistic, relative to its tensor. In "
        "float32 it grows on any two machines: a ReLU that rounds across zero changes what follows.",
    )
    for dtype in TOLERANCE:
        minidl.manual_seed(0)
        theirs = densenet_cifar(10 if device.quick else 22, 12).to(dtype)
        ours, again = (copy.deepcopy(theirs).to(device.backend) for _ in range(2))
        optimizers = [_sgd(model) for model in (theirs, ours, again)]
        rng = np.random.default_rng(0)
        for step in range(1, steps + 1):
            x, labels = rng.standard_normal((16, 3, size, size)).astype(dtype), rng.integers(0, 10, 16)
            losses = [
                train(model, optimizer, *(Tensor(to_backend(a, next(model.parameters()).backend)) for a in (x, labels)))
                for model, optimizer in zip((theirs, ours, again), optimizers, strict=True)
            ]
            a, b = losses[1].item(), losses[0].item()
            states = ([to_backend(t.data, "numpy") for t in m.state_dict().values()] for m in (ours, theirs, again))
            state, expected, repeated = states
            distance = error(state, expected)
            table.rows.append([dtype, step, b, a, abs(a - b) / abs(b), distance])
            if not all(map(np.array_equal, state, repeated)):
                yield Problem(f"{dtype}, step {step}: two runs from the same weights differ")
            if dtype == "float64" and not max(abs(a - b) / abs(b), distance) <= 1e-8:
                yield Problem(f"{dtype}, step {step}: the run has left NumPy's, by {distance:.2g}")
            if dtype == "float32" and not abs(a - b) / abs(b) <= (1e-4 if step == 1 else 0.1):
                yield Problem(f"{dtype}, step {step}: the loss is {a}, on NumPy {b}")
            yield table


def _sgd(model: nn.Module) -> optim.Optimizer:
    return optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)


def train(model: nn.Module, optimizer: optim.Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """One step; returns the loss."""
    loss = F.cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
