"""Tricks that a process has from its start: one with it and one without take turns."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from unittest import mock

from benchmarks.cpu.contest import Contender
from benchmarks.cpu.record import OURS
from benchmarks.cpu.trick import Sides, trick
from minidl import core_type
from minidl.kernels.numpy.parallel import get_num_threads


@trick(
    "Freed memory is kept",
    "numpy/heap.py",
    "the C library's own way",
    "a step of ResNet-20, [128, 32²]",
    128,
    why="The C library gives large arrays back to the system as soon as they are freed, and the system clears "
    "what it hands out anew, page by page. A training step asks for the same arrays as the one before it.",
)
def kept_memory(n: int) -> Sides:
    """Steps in a process that keeps memory, and in one that does not."""
    return steps_of_processes("ResNet-20", n, {"MALLOC_PERTURB_": "0"})  # any MALLOC_: the user has a say in it


@trick(
    "Kernels for AVX-512",
    "../core_type.py",
    "those that OpenBLAS chooses by itself",
    "a step of ResNet-20, [128, 32²]",
    128,
    why="AMD's processors get the kernels for AVX2 from a version of OpenBLAS that is older than they are; it can "
    "be told to take others, before NumPy is imported.",
)
def kernels_for_avx512(n: int) -> Sides | str:
    """Steps with the kernels that minidl asks for, and with OpenBLAS's own choice."""
    program = "import numpy, threadpoolctl; print(threadpoolctl.threadpool_info()[0].get('architecture'))"
    theirs = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip()
    ours = core_type.best_core_type(core_type.read_processor())
    if ours is None or theirs in (ours, ""):
        return f"OpenBLAS takes its {theirs or 'right'} kernels by itself here"
    return steps_of_processes("ResNet-20", n, {core_type.VARIABLE: theirs})


def steps_of_processes(network: str, n: int, without: dict[str, str]) -> Sides:
    """Steps in a process as it is, and in one with the variables that turn the trick off."""
    processes = []
    for variables in ({}, without):
        with mock.patch.dict(os.environ, variables):
            processes.append(Contender(OURS, get_num_threads()))

    def side(process: Contender) -> Callable[[], list[float]]:
        process.ask("load", network, None)
        outputs = process.ask("prepare", "step", n, 32)

        def step() -> list[float]:
            process.ask("run")
            return outputs

        return step

    def close() -> None:
        for process in processes:
            process.__exit__()

    on, off = map(side, processes)
    return Sides(on, off, close)
