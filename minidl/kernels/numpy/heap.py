"""Memory that a step has freed stays with the process: the next step gets it again without page faults.

The C library returns large arrays to the system as soon as they are freed, and the system clears what it hands out
anew, page by page: that takes longer than an addition of two arrays. A training step asks for the same arrays as the
one before it, so nothing is lost if they are kept.
"""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's names, malloc.h
LARGEST = 2**31 - 1, 2**25
"""Thresholds to ask for: before 2.35 glibc refused more than 32 MB."""


def keep_freed_memory() -> bool:
    """Ask the C library for it; whether it agreed. What the user says by MALLOC_*, or GLIBC_TUNABLES, stands."""
    told = any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.getenv("GLIBC_TUNABLES", "")
    if told or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries lack it
    if mallopt is None or not any(mallopt(M_MMAP_THRESHOLD, threshold) for threshold in LARGEST):
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, LARGEST[0]))
