"""The CUDA sources and their launches, as far as they can be checked without a device."""

import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minidl.kernels.cupy as cupy_kernels
import minidl.kernels.numpy as numpy_kernels
from minidl.kernels.cupy import launch
from tests.kernels.windows import MANY_BLOCKS, whole_numbers

SOURCES = ["columns", "pooling"]
REGISTERS = 48  # with so many, five blocks of 256 threads fit a multiprocessor


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("architecture", [80, 90])
def test_every_kernel_compiles_without_spills_and_with_few_registers(tmp_path, source, real, architecture):
    path = tmp_path / f"{source}.cu"
    path.write_text(launch.text(source))
    target = f"-gencode=arch=compute_{architecture},code=sm_{architecture}"
    command = ["nvcc", target, f"-DREAL={real}", "-cubin", "-Xptxas", "-v", path]
    report = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    kernels = len(re.findall("__global__ void", path.read_text()))
    assert report.count("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads") == kernels, report
    registers = [int(count) for count in re.findall(r"Used (\d+) registers", report)]
    assert len(registers) == kernels
    assert max(registers) <= REGISTERS, report


@pytest.mark.parametrize("source", SOURCES)
def test_the_sources_need_no_other_file_and_no_encoding(source):
    assert "#include" not in launch.text(source)
    assert launch.text(source).isascii()


def test_a_grid_smaller_than_the_work_does_all_of_it(monkeypatch, cuda_on_cpu):
    monkeypatch.setattr(launch, "function", cuda_on_cpu.function)
    monkeypatch.setattr(cuda_on_cpu, "shrink", lambda grid, block: ((2, 3), (7, 2)))
    case = MANY_BLOCKS._replace(dilation=(1, 1))
    x = whole_numbers(case.shape, np.float32, 0)
    for ours, theirs in zip(_results(cupy_kernels, x, case), _results(numpy_kernels, x, case), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _results(kernels, x, case):
    columns = kernels.im2col(x, *case[1:])
    yield columns
    yield kernels.col2im(columns, x.shape[2:], *case[1:])
    maxima, pull = kernels.max_pool2d(x, *case[1:], case.output_size)
    yield maxima
    yield from pull(2 * maxima, (True,))
    sums, pull = kernels.sum_pool2d(x, *case[1:4], case.output_size)
    yield sums
    yield from pull(2 * sums, (True,))


@pytest.mark.parametrize(
    ("pixels", "planes", "threads", "blocks"),
    [
        (1, 1000, (1, 256), (1, 4)),
        (49, 1000, (64, 4), (1, 250)),
        (1024, 10, (256, 1), (4, 10)),
        (257, 2**20, (256, 1), (2, 65535)),
    ],
)
def test_blocks_are_as_wide_as_planes_and_grids_keep_the_limits(monkeypatch, pixels, planes, threads, blocks):
    launched = []
    monkeypatch.setattr(launch, "function", lambda *key: lambda *arguments: launched.append(arguments))
    launch.launch("columns", "im2col", np.dtype(np.float32), planes, pixels, "argument")
    assert launched == [(blocks, threads, ("argument",))]


@pytest.mark.parametrize(("planes", "pixels"), [(0, 4), (4, 0)])
def test_nothing_is_launched_for_an_empty_batch(monkeypatch, planes, pixels):
    monkeypatch.setattr(launch, "function", None)
    launch.launch("columns", "im2col", np.dtype(np.float32), planes, pixels)


def test_more_planes_than_a_launch_can_count_are_refused():
    with pytest.raises(ValueError, match=r"im2col: 2147483648 planes of 4 pixels: split the batch"):
        launch.launch("columns", "im2col", np.dtype(np.float32), 2**31, 4)


def test_half_precision_is_refused_by_name():
    with pytest.raises(TypeError, match=r"im2col: on CuPy it takes float32 or float64, got float16"):
        launch.function("columns", "im2col", np.dtype(np.float16))


def test_a_source_is_compiled_for_its_type_when_its_kernel_is_first_wanted(monkeypatch):
    compiled = []

    def raw_module(code, options):
        compiled.append((code, options))
        return SimpleNamespace(get_function=lambda name: f"kernel {name}")

    monkeypatch.setattr(launch, "import_cupy", lambda: SimpleNamespace(RawModule=raw_module))
    fresh = launch.function.__wrapped__
    assert fresh("pooling", "max_pool2d", np.dtype(np.float64)) == "kernel max_pool2d"
    assert compiled == [(launch.text("pooling"), ("-DREAL=double",))]


def test_the_wrappers_do_not_import_cupy():
    program = "import sys, minidl.kernels.cupy; sys.exit('cupy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
