"""The kernels in three settings: on NumPy, on CuPy, and as the CUDA sources compiled for the CPU.

The last needs g++ but neither CuPy nor a device: the wrappers for CuPy get NumPy arrays and only the launch
is replaced, so their arguments and the kernels' index arithmetic are those that run on a GPU.
"""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import minidl.kernels.cupy as cupy_kernels
import minidl.kernels.numpy as numpy_kernels
from minidl.backend import BackendError, import_cupy, to_backend
from minidl.kernels.cupy import launch


class Kernels:
    """The functions of one setting, and the way to their kind of array and back."""

    def __init__(self, module, backend):
        self.module, self.backend = module, backend

    def __getattr__(self, name):
        return getattr(self.module, name)

    def array(self, x):
        return to_backend(x, self.backend)

    def numpy(self, x):
        return to_backend(x, "numpy")


class CudaOnCpu:
    """Stands in for `launch.function`: compiles source.cu with g++ and runs a kernel's threads one by one."""

    def __init__(self, folder):
        self.folder = folder
        self.libraries = {}
        self.shrink = lambda grid, block: (grid, block)

    def compile(self, source, dtype):
        text = launch.text(source)
        kernels = re.findall(r"__global__ void (\w+)\(", text)
        launchers = "".join(f"LAUNCHABLE({kernel})\n" for kernel in kernels)
        path = self.folder / f"{source}_{dtype.name}"
        path.with_suffix(".cpp").write_text(f'#include "cuda_on_cpu.h"\n{text}{launchers}')
        command = ["g++", "-std=c++20", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
        command += [f"-DREAL={launch.REAL[dtype.name]}", f"-I{Path(__file__).parent}"]
        subprocess.run([*command, "-o", path.with_suffix(".so"), path.with_suffix(".cpp")], check=True)
        return ctypes.CDLL(path.with_suffix(".so"))

    def function(self, source, kernel, dtype):
        if (source, dtype) not in self.libraries:
            self.libraries[source, dtype] = self.compile(source, dtype)
        library = self.libraries[source, dtype]

        def run(grid, block, args):
            kinds = (ctypes.c_int * 64)()
            assert getattr(library, f"describe_{kernel}")(kinds) == len(args), "number of arguments"
            assert np.prod(block) <= 1024
            assert grid[0] < 2**31
            assert grid[1] < 2**16
            places = [_place(arg, kind, dtype) for arg, kind in zip(args, kinds, strict=False)]
            pointers = (ctypes.c_void_p * len(args))(*(place.ctypes.data for place in places))
            sizes = [(ctypes.c_uint * 3)(*(*size, 1, 1)[:3]) for size in self.shrink(grid, block)]
            getattr(library, f"launch_{kernel}")(*sizes, pointers)

        return run


def _place(arg, kind, dtype):
    """Where the driver would find this argument, a pointer or a value. Outputs are poisoned on the way."""
    if not isinstance(arg, np.ndarray) or arg.dtype.kind == "V":
        assert arg.nbytes == kind, "size of a scalar or struct"
        return np.asarray(arg)
    assert arg.dtype in (dtype, np.int32)
    if kind == 0:
        assert arg.flags.c_contiguous
        arg.fill(-7777 if arg.dtype == np.int32 else np.nan)
    return np.array(arg.ctypes.data, np.uintp)


@pytest.fixture(scope="session")
def cuda_on_cpu(tmp_path_factory):
    """The stand-in for a device."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    return CudaOnCpu(tmp_path_factory.mktemp("cuda_on_cpu"))


@pytest.fixture(scope="module", params=["numpy", "cuda_on_cpu", "cupy"])
def kernels(request):
    """The kernels of one setting."""
    if request.param == "numpy":
        yield Kernels(numpy_kernels, "numpy")
    elif request.param == "cupy":
        try:
            import_cupy()
        except BackendError as error:
            pytest.skip(str(error))
        yield Kernels(cupy_kernels, "cupy")
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(launch, "function", request.getfixturevalue("cuda_on_cpu").function)
            yield Kernels(cupy_kernels, "numpy")
