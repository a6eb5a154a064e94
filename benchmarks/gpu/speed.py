"""How long do kernels and training steps take? Kernels beside the floor of the device, steps beside PyTorch."""

from __future__ import annotations

import itertools
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import minidl
from benchmarks.gpu.agreement import train
from benchmarks.gpu.device import Device, arithmetic, bandwidth
from benchmarks.gpu.report import Cell, MissingError, Problem, Table
from minidl import kernels, ops, optim
from minidl.backend import Array, to_backend
from minidl.models import DenseNet, densenet121, densenet_cifar
from minidl.tensor import Tensor


# --------------------------------------------------------------------------------------------------------- kernels
class Work(NamedTuple):
    """Something to time, what it reads and writes at least, and how many operations it takes."""

    run: Callable[[], Any]
    touched: Sequence[Any]  # arrays, each once
    operations: float = 0.0


def _feature_map(device: Device, *shape: int) -> Array:
    """Random numbers in channel-major memory, as layers hand them on."""
    n, c, *image = [max(2, length // 16) for length in shape] if device.quick else shape
    numbers = np.random.default_rng(0).standard_normal((c, n, *image), np.float32)
    return np.moveaxis(device.array(numbers), 0, 1)


def _windows(device: Device, k: Any) -> Iterator[tuple[str, Work]]:
    x = _feature_map(device, 64, 48, 32, 32)
    settings = (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)
    columns = k.im2col(x, *settings)
    yield "im2col 3×3, 48 channels", Work(lambda: k.im2col(x, *settings), [x, columns])
    yield "col2im 3×3, 48 channels", Work(lambda: k.col2im(columns, x.shape[2:], *settings), [x, columns])
    x = _feature_map(device, 64, 64, 112, 112)
    p = (x.shape[2] - 1) // 2 + 1
    wide = (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), (p, p)
    y, pull = k.max_pool2d(x, *wide)
    yield "max_pool2d 3×3 by 2, 64 channels", Work(lambda: k.max_pool2d(x, *wide), [x, y])
    yield "its gradient", Work(lambda: pull(y, (True,)), [x, y])
    half = (2, 2), (2, 2), ((0, 0), (0, 0)), (x.shape[2] // 2, x.shape[3] // 2)
    y2, pull2 = k.sum_pool2d(x, *half)
    yield "sum_pool2d 2×2 by 2, 64 channels", Work(lambda: k.sum_pool2d(x, *half), [x, y2])
    yield "its gradient ", Work(lambda: pull2(y2, (True,)), [x, y2])


def _rows(device: Device, k: Any) -> Iterator[tuple[str, Work]]:
    x = _feature_map(device, 64, 256, 32, 32)
    weight = device.array(np.ones(x.shape[1], np.float32))
    moments = k.channel_moments(x)
    y, pull = k.batch_norm(x, weight, weight, 1e-5, moments, True)
    yield "channel_moments, 256 channels", Work(lambda: k.channel_moments(x), [x])
    yield "batch_norm", Work(lambda: k.batch_norm(x, weight, weight, 1e-5, moments, True), [x, y])
    yield "gradient of batch_norm", Work(lambda: pull(y, (True, True, True)), [x, y, x])
    tensor, up = Tensor(x).requires_grad_(), Tensor(y)
    out = ops.relu(tensor)
    yield "relu", Work(lambda: ops.relu(tensor), [x, y])
    yield "gradient of relu", Work(lambda: minidl.grad(out, tensor, up, retain_graph=True), [x, y])
    yield "sum of two", Work(lambda: x + y, [x, y, x])


def _convolutions(device: Device, k: Any) -> Iterator[tuple[str, Work]]:
    for inputs, outputs, size in ((256, 48, 1), (48, 12, 3), (64, 64, 3)):
        x = _feature_map(device, 64, inputs, 32, 32)
        weight = device.array(np.ones((outputs, x.shape[1], size, size), np.float32))
        pads = ((size // 2, size // 2), (size // 2, size // 2))
        settings = (1, 1), pads, (1, 1), 1
        y, pull = k.conv2d(x, weight, None, *settings)
        operations = 2.0 * y.size * math.prod(weight.shape[1:])
        name = f"conv2d {size}×{size}, {inputs} to {outputs} channels"
        yield name, Work(partial(k.conv2d, x, weight, None, *settings), [x, y, weight], operations)
        yield f"gradients of {name}", Work(partial(pull, y, (True, True, False)), [x, y, y, x], 2 * operations)


def stage_kernels(device: Device) -> Iterator[Table | Problem]:
    """Each kernel, at shapes of DenseNet and ResNet with batches of 64 in float32, beside the least time for it."""
    bytes_a_second, operations_a_second = bandwidth(device), arithmetic(device)
    table = Table(
        "kernels beside the floor",
        ["kernel", "ms", "floor, ms", "floor / time", "GB/s", "TFLOP/s"],
        note="The floor: the larger of the bytes that must be read and written over the speed of a copy, and of the "
        "operations over the speed of a product of large matrices, both measured here.",
    )
    k = kernels.table(device.array(np.zeros(1, np.float32)))
    for group in (_windows, _rows, _convolutions):
        for name, work in group(device, k):
            milliseconds = device.median(work.run)
            size = float(sum(array.nbytes for array in work.touched))
            floor = 1000 * max(size / bytes_a_second, work.operations / operations_a_second)
            rates: list[Cell] = [size / milliseconds / 1e6, work.operations / milliseconds / 1e9 or None]
            table.rows.append([name, milliseconds, floor, floor / milliseconds, *rates])
            yield table
        device.release()


# ------------------------------------------------------------------------------------------------------------- steps
class Network(NamedTuple):
    """A network, the size of its batches and images, and its shape as `tests.models.densenet_twin` takes it."""

    name: str
    make: Callable[[], DenseNet]
    batch: int
    image: int
    twin: tuple[Any, ...]


def _cifar(depth: int, k: int, bottleneck: bool, compression: float) -> tuple[Callable[[], DenseNet], tuple[Any, ...]]:
    width = 2 * k if bottleneck and compression < 1 else 16
    layers = (depth - 4) // (6 if bottleneck else 3)
    twin = (k, [layers] * 3, width, bottleneck, compression, 10, 3, False)
    return lambda: densenet_cifar(depth, k, bottleneck, compression), twin


def networks(quick: bool) -> list[Network]:
    """From small to large."""
    if quick:
        make, twin = _cifar(10, 4, True, 0.5)
        return [Network("DenseNet-BC-10, k = 4", make, 2, 8, twin)]
    named = {"BC-22": (22, 12, True, 0.5), "40": (40, 12, False, 1.0), "BC-100": (100, 12, True, 0.5)}
    small = [(f"DenseNet-{name}, k = 12", *_cifar(*shape)) for name, shape in named.items()]
    imagenet = (32, (6, 12, 24, 16), 64, True, 0.5, 1000)
    return [
        *(Network(name, make, 64, 32, twin) for name, make, twin in small),
        Network("DenseNet-121", densenet121, 32, 224, imagenet),
    ]


HEAD = ["network", "batch", "ms a step", "images/s", "ms of Python", "MB"]


def stage_steps(device: Device) -> Iterator[Table | Problem]:
    """Forward, backward and SGD with momentum, in float32."""
    table = Table(
        "steps",
        HEAD,
        note="The median over the steps of the time between two on the device. Where Python takes as long, the device "
        "waits for it. MB: what the pool took from the device.",
    )
    for network in networks(device.quick):
        if device.left() < 0:
            yield Problem(f"time was up before {network.name}")
            break
        try:
            table.rows.append(_halving(network, lambda n, batch: _ours(device, n, batch), MemoryError))
        except MemoryError:
            yield Problem(f"{network.name}: there is not enough memory for a batch of one image")
        yield table


def _halving(
    network: Network, measure: Callable[[Network, int], Sequence[Cell]], exhausted: type[BaseException]
) -> list[Cell]:
    """A row for the largest batch that fits: the wanted one, half of it, and so on."""
    batch = network.batch
    while True:
        try:
            milliseconds, *rest = measure(network, batch)
        except exhausted:
            if batch == 1:
                raise
            batch //= 2
            continue
        assert isinstance(milliseconds, float)
        return [network.name, batch, milliseconds, 1000 * batch / milliseconds, *rest]


def _ours(device: Device, network: Network, batch: int) -> list[Cell]:
    device.release()
    minidl.manual_seed(0)
    model = network.make().to(device.backend)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
    images, labels = (Tensor(to_backend(array, device.backend)) for array in _batch(network, batch))
    python: list[float] = []

    def step() -> None:
        start = time.perf_counter()
        train(model, optimizer, images, labels)
        python.append(1000 * (time.perf_counter() - start))

    warmup = 1 if device.quick else 3
    durations = device.durations(step, 2 if device.quick else 20, warmup)
    loss = train(model, optimizer, images, labels).item()
    if not math.isfinite(loss):
        raise ArithmeticError(f"{network.name}: the loss has become {loss}")
    return [statistics.median(durations), statistics.median(python[warmup:]), device.memory()]


def _batch(network: Network, batch: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, 3, network.image, network.image), np.float32)
    return images, rng.integers(0, 10, batch)


def stage_torch(device: Device) -> Iterator[Table | Problem]:
    """The same networks in PyTorch, eager, in the precision of the stage."""
    try:
        import torch

        from tests.models import densenet_twin
    except ImportError as missing:
        raise MissingError(f"PyTorch is not here: {missing}") from missing
    place = "cuda" if device.cupy is not None else "cpu"
    if place == "cuda" and not torch.cuda.is_available():
        raise MissingError("PyTorch is here, but was built without CUDA or finds no device")
    twin: Any = densenet_twin.Twin
    tf32 = os.environ.get("CUPY_TF32") == "1"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True

    def measure(network: Network, batch: int) -> list[Cell]:
        torch.manual_seed(0)
        model = twin(*network.twin).to(place)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
        images, labels = (torch.from_numpy(array).to(place) for array in _batch(network, batch))
        python: list[float] = []

        def step() -> None:
            start = time.perf_counter()
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            python.append(1000 * (time.perf_counter() - start))

        warmup = 1 if device.quick else 5
        durations = _torch_durations(torch, place, step, 2 if device.quick else 20, warmup)
        memory = torch.cuda.memory_reserved() / 1e6 if place == "cuda" else None
        return [statistics.median(durations), statistics.median(python[warmup:]), memory]

    table = Table("steps", HEAD, note=f"PyTorch {torch.__version__}.")
    for network in networks(device.quick):
        if device.left() < 0:
            yield Problem(f"time was up before {network.name}")
            break
        if place == "cuda":
            torch.cuda.empty_cache()
        table.rows.append(_halving(network, measure, torch.cuda.OutOfMemoryError))
        yield table


def _torch_durations(torch: Any, place: str, step: Callable[[], None], repeats: int, warmup: int) -> list[float]:
    """`Device.durations` with PyTorch's events."""
    for _ in range(warmup):
        step()
    if place == "cpu":
        marks = [time.perf_counter() * 1000]
        for _ in range(repeats):
            step()
            marks.append(time.perf_counter() * 1000)
        return [end - start for start, end in itertools.pairwise(marks)]
    events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    torch.cuda.synchronize()
    events[0].record()
    for event in events[1:]:
        step()
        event.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in itertools.pairwise(events)]
