"""What the benchmarks ran on. Neither the machine's name nor anybody's folders are told."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

from benchmarks.gpu.report import Cell


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> dict[str, Cell]:
    """The processor, the system, the day, and what else kept the machine busy."""
    load = ", ".join(f"{load:.2f}" for load in os.getloadavg()) if hasattr(os, "getloadavg") else None
    return {
        "CPU": cpu(),
        "cores": cores(),
        "memory, GB": memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "day": datetime.date.today().isoformat(),
        "load of the last 1, 5 and 15 minutes, at the start": load,
    }


def cpu() -> str:
    """The model, and the widest vectors it has."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    lines = [line.partition(":") for line in file.read_text(encoding="utf-8").splitlines()]
    known = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    flags = known.get("flags", known.get("Features", "")).split()
    vectors = [name for name in ("avx512f", "avx2", "asimd") if name in flags][:1]
    family = f"family {known['cpu family']}, model {known['model']}" if "cpu family" in known else ""
    return ", ".join(filter(None, [known.get("model name", platform.machine()), family, *vectors]))


def memory() -> Cell:
    """Of the whole machine."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None
