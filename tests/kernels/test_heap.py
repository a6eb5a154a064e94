"""Freed memory stays with the process, unless the user wants it otherwise."""

import os
import subprocess
import sys
import types

import pytest

from minidl.kernels.numpy import heap

FAULTS = """
import numpy as np, resource
from minidl.kernels.numpy.heap import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for megabytes in (20, 16, 20):
        np.empty(megabytes << 18, np.float32)[...] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(keep_freed_memory(), faults())
"""


def test_a_second_pass_gets_the_memory_of_the_first_without_page_faults():
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    command = [sys.executable, "-c", FAULTS]
    result = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    agreed, faults = result.stdout.split()
    if agreed == "False":
        pytest.skip("needs glibc")
    assert int(faults) < 20


@pytest.fixture
def library(monkeypatch):
    """A C library that gives these answers, or lacks the function; returns the list of what it is asked."""

    def make(answer, platform="linux", **environment):
        asked = []

        def mallopt(parameter, value):
            asked.append((parameter, value))
            return answer(parameter, value)

        found = types.SimpleNamespace() if answer is None else types.SimpleNamespace(mallopt=mallopt)
        monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: found)
        monkeypatch.setattr(heap.sys, "platform", platform)
        monkeypatch.setattr(heap.os, "environ", environment)
        return asked

    return make


def yes(parameter, value):
    return 1


def test_arrays_of_any_size_are_to_stay(library):
    asked = library(yes)
    assert heap.keep_freed_memory() is True
    assert asked == [(heap.M_MMAP_THRESHOLD, 2**31 - 1), (heap.M_TRIM_THRESHOLD, 2**31 - 1)]


def test_an_older_glibc_is_asked_for_what_it_grants(library):
    asked = library(lambda parameter, value: int(parameter == heap.M_TRIM_THRESHOLD or value <= 1 << 25))
    assert heap.keep_freed_memory() is True
    assert asked[1:] == [(heap.M_MMAP_THRESHOLD, 1 << 25), (heap.M_TRIM_THRESHOLD, 2**31 - 1)]


def test_where_arrays_would_be_mapped_anyway_nothing_else_is_changed(library):
    asked = library(lambda parameter, value: 0)
    assert heap.keep_freed_memory() is False
    assert {parameter for parameter, _ in asked} == {heap.M_MMAP_THRESHOLD}


@pytest.mark.parametrize(
    "environment",
    [{"MALLOC_TRIM_THRESHOLD_": "1000"}, {"MALLOC_ARENA_MAX": "1"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}],
    ids=str,
)
def test_what_the_user_says_stands(library, environment):
    asked = library(yes, **environment)
    assert heap.keep_freed_memory() is False
    assert asked == []


def test_tunables_of_other_parts_of_the_library_say_nothing_about_memory(library):
    library(yes, GLIBC_TUNABLES="glibc.rtld.nns=4")
    assert heap.keep_freed_memory() is True


def test_another_c_library_or_system_is_left_alone(library):
    library(None)
    assert heap.keep_freed_memory() is False
    asked = library(yes, platform="darwin")
    assert heap.keep_freed_memory() is False
    assert asked == []
