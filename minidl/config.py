"""What minidl runs on, and where speed is being lost."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import core_type
from minidl.backend import BackendError, import_cupy
from minidl.kernels.numpy.parallel import available_cores, get_num_threads

AVX512_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")
"""OpenBLAS's names."""


@dataclass(frozen=True)
class Blas:
    """The library that multiplies matrices for NumPy. What only threadpoolctl knows is None without it."""

    name: str
    version: str
    kernels: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Config:
    """The software, the processor and the device."""

    versions: dict[str, str]
    processor: dict[str, str]
    """As `core_type.read_processor` reads it."""
    cores: int
    threads: int
    """Of minidl's own pool."""
    blas: Blas | None
    has_threadpoolctl: bool
    device: str
    """CuPy and its GPU, or why there is none."""
    chosen_core_type: str | None
    """OPENBLAS_CORETYPE, if the user has set it."""
    numpy_came_first: bool

    @property
    def features(self) -> list[str]:
        flags = set(self.processor.get("flags", "").split())
        return [name for name, parts in (("AVX2", {"avx2"}), ("AVX-512", core_type.AVX512)) if parts <= flags]

    def __str__(self) -> str:
        return "\n".join(f"{label:<15} {text}" for label, text in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        model = self.processor.get("model name") or platform.processor() or platform.machine()
        return [
            ("versions", ", ".join(f"{name} {version}" for name, version in self.versions.items())),
            ("processor", ", ".join([model, *self.features, _count(self.cores, "core")])),
            ("BLAS", "none" if self.blas is None else _blas_line(self.blas)),
            ("minidl's pool", _count(self.threads, "thread")),
            ("CuPy", self.device),
            *(("advice", text) for text in self.advice() or ["none: nothing is known to be amiss"]),
        ]

    def advice(self) -> list[str]:
        """What would make things faster, a line each."""
        found = [*self._advice_on_kernels()]
        if not self.has_threadpoolctl:
            found.append(
                "threadpoolctl is missing: BLAS starts threads of its own within each thread of minidl's pool, and "
                "thin products take several times as long: pip install 'minidl[cpu]'"
            )
        if self.threads > self.cores:
            found.append(f"minidl uses more threads than there are cores: minidl.set_num_threads({self.cores})")
        if self.blas is None:
            found.append("NumPy was built without BLAS and multiplies matrices slowly: install it with pip or conda")
        return found

    def _advice_on_kernels(self) -> list[str]:
        if self.blas is None or "openblas" not in self.blas.name or "AVX-512" not in self.features:
            return []
        wanted = f"set {core_type.VARIABLE}=SkylakeX before Python starts"
        if self.blas.kernels is None:
            unsure = self.numpy_came_first and not self.chosen_core_type and core_type.best_core_type(self.processor)
            return [f"NumPy was imported before minidl, maybe with slow kernels: {_first(wanted)}"] if unsure else []
        if self.blas.kernels in AVX512_KERNELS:
            return []
        slow = f"BLAS runs its {self.blas.kernels} kernels; those for AVX-512 are up to twice as fast"
        if self.chosen_core_type:
            return [f"{slow}: unset {core_type.VARIABLE}={self.chosen_core_type}, which asks for them"]
        if self.numpy_came_first:
            return [f"{slow}. NumPy was imported before minidl: {_first(wanted)}"]
        return [f"{slow}: {wanted}"]


def show_config() -> None:
    """Print what minidl runs on: versions, processor, BLAS and its kernels, threads, GPU, and what to do for speed."""
    print(find_config())  # noqa: T201  (that is what it is for)


def find_config() -> Config:
    """What minidl runs on; `str` of it is what `show_config` prints."""
    from minidl import __version__

    pools = _pools()
    return Config(
        versions={"minidl": __version__, "Python": platform.python_version(), "NumPy": np.__version__},
        processor=core_type.read_processor(),
        cores=available_cores(),
        threads=get_num_threads(),
        blas=_blas(pools or []),
        has_threadpoolctl=pools is not None,
        device=_device(),
        chosen_core_type=os.environ.get(core_type.VARIABLE),
        numpy_came_first=core_type.numpy_came_first,
    )


def _pools() -> list[dict[str, Any]] | None:
    """The libraries with threads of their own; None if threadpoolctl is not there to find them."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return threadpool_info()


def _blas(pools: list[dict[str, Any]]) -> Blas | None:
    """NumPy's BLAS as it is loaded, or else as NumPy was built with it."""
    loaded = sorted((p for p in pools if p["user_api"] == "blas"), key=lambda p: "numpy" not in p["filepath"])
    if loaded:
        it = loaded[0]
        return Blas(it["internal_api"], it["version"] or "?", it.get("architecture"), it["num_threads"])
    built: Any = np.show_config(mode="dicts")
    known = built["Build Dependencies"]["blas"]
    return Blas(known["name"], known.get("version", "?")) if known.get("found") else None


def _device() -> str:
    try:
        cupy = import_cupy()
    except BackendError as error:
        return f"not in use: {error}"
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    name, memory = properties["name"].decode(), properties["totalGlobalMem"] / 2**30
    return f"{cupy.__version__} on {name}, {memory:.0f} GiB"


def _blas_line(blas: Blas) -> str:
    kernels = "kernels unknown" if blas.kernels is None else f"{blas.kernels} kernels"
    threads = "threads unknown" if blas.threads is None else _count(blas.threads, "thread")
    return f"{blas.name} {blas.version}, {kernels}, {threads}"


def _first(otherwise: str) -> str:
    return f"import minidl first, or {otherwise}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")
