"""The device under test: what it is, how long things take on it, and how fast it could be at best."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import minidl
from benchmarks.gpu.report import Cell, Problem, Table
from minidl.backend import Array, import_cupy, to_backend

ROOT = Path(__file__).parents[2]


class Device:
    """Where the arrays of a backend live. NumPy's is there to rehearse: the clock on the wall stands in for events."""

    def __init__(self, backend: str, quick: bool, seconds: float):
        self.backend, self.quick = backend, quick
        self.cupy = import_cupy() if backend == "cupy" else None
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that the stage may still take."""
        return self.end - time.monotonic()

    def array(self, x: Any) -> Array:
        """An array on the device."""
        return to_backend(np.asarray(x), self.backend)

    def durations(self, function: Callable[[], Any], repeats: int, warmup: int = 3, queue: bool = False) -> list[float]:
        """How many milliseconds of the device's time each of many calls takes.

        Events between the calls tell, and nothing waits until the last. With `queue` the device has other work first,
        so that the calls stand in line before they run: then it is not Python's time that is measured.
        """
        for _ in range(warmup):
            function()
        if self.cupy is None:
            marks = [time.perf_counter() * 1000]
            for _ in range(repeats):
                function()
                marks.append(time.perf_counter() * 1000)
            return [end - start for start, end in itertools.pairwise(marks)]
        events = [self.cupy.cuda.Event() for _ in range(repeats + 1)]
        self.cupy.cuda.Device().synchronize()
        if queue and not self.quick:
            busy = self.cupy.ones((4096, 4096), np.float32)
            for _ in range(3):
                busy @ busy
        events[0].record()
        for event in events[1:]:
            function()
            event.record()
        events[-1].synchronize()
        return [self.cupy.cuda.get_elapsed_time(start, end) for start, end in itertools.pairwise(events)]

    def median(self, function: Callable[[], Any], repeats: int = 20, queue: bool = True) -> float:
        """The median of the durations, in milliseconds."""
        return statistics.median(self.durations(function, 2 if self.quick else repeats, queue=queue))

    def memory(self) -> float | None:
        """Megabytes that CuPy's pool has taken from the device so far."""
        return None if self.cupy is None else self.cupy.get_default_memory_pool().total_bytes() / 1e6

    def release(self) -> None:
        """Give free memory back."""
        if self.cupy is not None:
            self.cupy.get_default_memory_pool().free_all_blocks()


def bandwidth(device: Device) -> float:
    """Bytes a second that a large copy reads and writes."""
    source = device.array(np.zeros(1 << (16 if device.quick else 26), np.float32))
    target = source.copy()

    def copy() -> None:
        target[...] = source

    return 2 * float(source.nbytes) / (device.median(copy) / 1000)


def arithmetic(device: Device) -> float:
    """Operations a second in a product of large matrices of float32."""
    n = 128 if device.quick else 4096
    matrix = device.array(np.ones((n, n), np.float32))
    return 2 * float(n) ** 3 / (device.median(lambda: matrix @ matrix) / 1000)


def stage(device: Device) -> Iterator[Table | Problem]:
    """What runs here, and what the device can do at best."""
    yield Table("facts", ["what", "is"], [[name, value] for name, value in facts(device).items()])
    yield Table(
        "the device at its best",
        ["what", "a second"],
        [
            ["bytes read and written by a copy, GB", bandwidth(device) / 1e9],
            ["operations in a product of 4096×4096 matrices of float32, TFLOP", arithmetic(device) / 1e12],
        ],
        f"CUPY_TF32 is {os.environ.get('CUPY_TF32', 'not set')}.",
    )


def facts(device: Device) -> dict[str, Cell]:
    """Names and versions."""
    known: dict[str, Cell] = {"device": platform.processor() or platform.machine()}
    if device.cupy is not None:
        runtime = device.cupy.cuda.runtime
        properties = runtime.getDeviceProperties(device.cupy.cuda.Device().id)
        name = properties["name"]
        known = {
            "device": name.decode() if isinstance(name, bytes) else str(name),
            "compute capability": device.cupy.cuda.Device().compute_capability,
            "multiprocessors": properties["multiProcessorCount"],
            "memory, GB": round(properties["totalGlobalMem"] / 1e9, 1),
            "L2 cache, MB": round(properties["l2CacheSize"] / 1e6, 1),
            "CUDA driver": _version(runtime.driverGetVersion()),
            "CUDA runtime": _version(runtime.runtimeGetVersion()),
            "NVRTC": ".".join(map(str, device.cupy.cuda.nvrtc.getVersion())),
        }
    known |= {"minidl": f"{minidl.__version__}, commit {_commit()}", "Python": platform.python_version()}
    for package in ("numpy", "cupy-cuda12x", "cupy-cuda13x", "cupy", "torch"):
        try:
            known[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return known | {"system": platform.platform(), "processors": os.cpu_count()}


def _version(number: int) -> str:
    """12040 is 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _commit() -> str:
    try:
        commit, changes = (
            subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for command in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} and changes" if changes else commit
