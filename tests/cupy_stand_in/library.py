"""A stand-in for CuPy that needs no device: arrays over NumPy's memory that do and refuse what cupy.ndarray does.

It finds, without a GPU, code that would fail on one or be slow there: functions and keywords that CuPy lacks, arrays
of NumPy among CuPy's, results taken for scalars, waiting for the device. Where the two libraries differ it follows
the sources of CuPy 14.2; where CuPy is installed, its own functions say which names and arguments there are. What
it cannot know is whether a kernel of CuPy computes what NumPy does. Indices out of range, which CuPy wraps around,
are errors here.

The whole suite runs on it in some minutes: python -m pytest -p tests.cupy_stand_in.library -k "cupy and not stand_in"
"""

import functools
import math
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from minidl.backend import import_cupy
from minidl.kernels.cupy import launch
from tests.cupy_stand_in.array import Array
from tests.cupy_stand_in.calls import call, elementwise, log, scatter, to_host


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    if isinstance(a, Array):
        return a if dtype is None else a.astype(dtype, copy=False)
    log["upload"] += 1
    return Array(np.array(a, dtype=dtype, order="C"))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(order=order) if isinstance(a, Array) else np.asarray(a, order=order)


def from_dlpack(array, *, device=None, copy=None):
    return Array(array.__dlpack__().host)


class Event:
    """A moment; the clock is the host's."""

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        log["wait"] += 1


class Device:
    """The only one."""

    id, compute_capability = 0, "90"

    def synchronize(self):
        log["wait"] += 1


CUDA = SimpleNamespace(
    Device=Device,
    Event=Event,
    get_elapsed_time=lambda start, end: 1000 * (end.time - start.time),
    is_available=lambda: True,
    nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)),
    runtime=SimpleNamespace(
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        getDeviceProperties=lambda device: {
            "name": b"Stand-in",
            "multiProcessorCount": 1,
            "totalGlobalMem": 8 << 30,
            "l2CacheSize": 1 << 20,
        },
    ),
)
POOL = SimpleNamespace(total_bytes=lambda: 0, free_all_blocks=lambda: None)


class Library(ModuleType):
    """The module `cupy`, as far as somebody asks for it."""

    __version__ = "14.2.0"
    ndarray = Array
    asarray = array = staticmethod(asarray)
    asnumpy = staticmethod(asnumpy)
    from_dlpack = staticmethod(from_dlpack)
    cuda = CUDA
    get_default_memory_pool = staticmethod(lambda: POOL)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        function = getattr(np, name)
        if isinstance(function, type):
            return function
        if isinstance(function, np.ufunc):
            wrapped = functools.partial(elementwise, function)
            wrapped.at = functools.partial(scatter, function)
            return wrapped
        return functools.partial(call, function)


def erf(x):
    """`cupyx.scipy.special.erf`."""
    log["launch"] += 1
    return Array(np.vectorize(math.erf, otypes=[x.dtype])(x.host))


def install(patch, compile_for_cpu):
    """Make the stand-in what minidl takes for CuPy, its .cu kernels compiled by `compile_for_cpu`."""
    special = SimpleNamespace(erf=erf)
    for name, module in {
        "cupy": Library("cupy"),
        "cupyx": ModuleType("cupyx"),
        "cupyx.scipy": SimpleNamespace(special=special),
        "cupyx.scipy.special": special,
    }.items():
        patch.setitem(sys.modules, name, module)
    import_cupy.cache_clear()

    def function(source, kernel, dtype):
        run = compile_for_cpu(source, kernel, dtype)

        def launched(grid, block, args):
            log["launch"] += 1
            for x in args:
                if isinstance(x, np.ndarray) and x.size != 1:
                    raise TypeError(f"You are trying to pass a numpy.ndarray of shape {x.shape} as a kernel parameter.")
            run(grid, block, tuple(map(to_host, args)))

        return launched

    patch.setattr(launch, "function", function)


def pytest_configure(config):
    """As a plugin: be CuPy from the start."""
    from tests.kernels.conftest import CudaOnCpu

    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    install(pytest.MonkeyPatch(), CudaOnCpu(Path(folder.name)).function)
