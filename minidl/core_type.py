"""Imports NumPy, on some processors with a better choice of matrix kernels than OpenBLAS makes by itself.

OpenBLAS, which multiplies matrices for NumPy, has kernels for each type of processor and picks them when it is loaded.
AMD processors that are newer than it get the AVX2 kernels, about half as fast as the AVX-512 ones that they could run
(1024×1024 by 1024×1024 on one Zen 5 core: 122 against 222 GFLOP/s). The variable OPENBLAS_CORETYPE decides
otherwise. It is read once, so minidl imports this module before any other. A choice of the user's stands, and the
variable is gone again when NumPy is there: other programs started from here are not told what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"
AVX512 = frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"})
"""The parts of AVX-512 that the kernels called SkylakeX use."""


def read_processor(path: str = "/proc/cpuinfo") -> dict[str, str]:
    """What Linux says of the first processor, by field: "vendor_id", "model name", "flags"; elsewhere nothing."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    fields = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}


def best_core_type(processor: Mapping[str, str]) -> str | None:
    """The kernels to ask for on this processor; None where OpenBLAS chooses well itself."""
    is_amd = processor.get("vendor_id") == "AuthenticAMD"
    return "SkylakeX" if is_amd and set(processor.get("flags", "").split()) >= AVX512 else None


def _import_numpy() -> None:
    core_type = None if VARIABLE in os.environ else best_core_type(read_processor())
    if core_type is not None:
        os.environ[VARIABLE] = core_type
    try:
        import numpy  # noqa: F401
    finally:
        if core_type is not None:
            del os.environ[VARIABLE]


numpy_came_first = "numpy" in sys.modules
"""Whether NumPy had been imported before minidl, and OpenBLAS had chosen."""
_import_numpy()
