"""What the benchmarks ran on. Neither the machine's name nor anybody's folders are told."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform

from benchmarks.gpu.report import Cell
from minidl.config import find_config


def cores() -> int:
    """How many this process may use."""
    return find_config().cores


def describe() -> dict[str, Cell]:
    """Processor, system, versions, the day, and what else kept the machine busy."""
    config = find_config()
    blas, processor = config.blas, config.processor
    family = f", family {processor['cpu family']}, model {processor['model']}" if "cpu family" in processor else ""
    return {
        "CPU": (processor.get("model name") or platform.processor() or platform.machine()) + family,
        "vectors": " and ".join(config.features) or None,
        "cores": config.cores,
        "memory, GB": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        **config.versions,
        "BLAS": f"{blas.name} {blas.version}, {blas.kernels or 'unknown'} kernels" if blas else None,
        "PyTorch": _pytorch(),
        "day": datetime.date.today().isoformat(),
        "load at the start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _pytorch() -> Cell:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def _memory() -> Cell:
    """Of the whole machine."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None
