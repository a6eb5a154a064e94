"""The tables of kernels: what ops cannot do without is there for both libraries, and is called alike."""

import inspect
import re
from pathlib import Path

import pytest

import minidl
import minidl.kernels.cupy as cupy_kernels
import minidl.kernels.numpy as numpy_kernels

SOURCE = "".join(path.read_text(encoding="utf-8") for path in Path(minidl.__file__).parent.rglob("*.py"))
CALLED = set(re.findall(r"kernels\.table\([\w.]+\)\.(\w+)", SOURCE))
STAND_INS = set(re.findall(r'@accelerated\(by="(\w+)"', SOURCE))
TABLES = {"numpy": set(numpy_kernels.__all__), "cupy": set(cupy_kernels.__all__)}


@pytest.mark.parametrize("library", TABLES)
def test_what_is_called_without_a_composition_to_take_its_place_is_in_every_table(library):
    assert {"im2col", "col2im", "erf", "channel_moments", "accumulate"} <= CALLED
    assert TABLES[library] >= CALLED


@pytest.mark.parametrize("library", TABLES)
def test_every_other_kernel_stands_in_for_a_composition(library):
    assert CALLED.isdisjoint(STAND_INS)
    assert TABLES[library] <= CALLED | STAND_INS


def test_every_composition_that_names_a_kernel_has_it_in_some_library():
    assert set.union(*TABLES.values()) >= STAND_INS


@pytest.mark.parametrize("name", sorted(set.intersection(*TABLES.values())))
def test_a_kernel_that_both_libraries_have_must_be_given_the_same_arguments(name):
    ours, theirs = (inspect.signature(getattr(table, name)).parameters for table in (cupy_kernels, numpy_kernels))
    required, also = ([p.name for p in found.values() if p.default is p.empty] for found in (ours, theirs))
    assert required == also
