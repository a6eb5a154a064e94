"""The tables of kernels: what is there for NumPy is there for CuPy, to be called alike."""

import inspect

import pytest

import minidl.kernels.cupy as cupy_kernels
import minidl.kernels.numpy as numpy_kernels


def test_both_libraries_have_the_same_kernels():
    assert sorted(cupy_kernels.__all__) == sorted(numpy_kernels.__all__)


@pytest.mark.parametrize("name", numpy_kernels.__all__)
def test_a_kernel_takes_the_same_arguments_on_both_libraries(name):
    ours, theirs = (inspect.signature(getattr(table, name)) for table in (cupy_kernels, numpy_kernels))
    assert list(ours.parameters) == list(theirs.parameters)
