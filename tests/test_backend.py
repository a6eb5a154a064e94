"""Which library an array belongs to, and what is said when CuPy is wanted and cannot be had."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from minidl import BackendError, backend


@pytest.fixture
def cupy_that(monkeypatch):
    """Puts something in CuPy's place."""

    def install(module):
        monkeypatch.setitem(sys.modules, "cupy", module)
        backend.import_cupy.cache_clear()

    yield install
    backend.import_cupy.cache_clear()


def unlucky():
    raise OSError("libnvrtc is missing")


def stand_in(available, arange):
    return SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: available), arange=arange, ndarray=SimpleNamespace)


def test_a_missing_cupy_is_named_with_the_command_that_installs_it(cupy_that):
    cupy_that(None)
    with pytest.raises(BackendError, match=r"not installed: pip install 'minidl\[cuda13\]' \(or 'minidl\[cuda12\]'"):
        backend.module_named("cupy")


def test_a_missing_device_is_named(cupy_that):
    cupy_that(stand_in(False, None))
    with pytest.raises(BackendError, match="needs an NVIDIA GPU and its driver, and CuPy finds none"):
        backend.to_backend(np.zeros(1), "cupy")


def test_a_device_that_cannot_run_a_kernel_is_named_with_the_reason(cupy_that):
    cupy_that(stand_in(True, lambda n: SimpleNamespace(sum=unlucky)))
    with pytest.raises(BackendError, match=r"cannot run a kernel on it \(libnvrtc is missing\): pip install"):
        backend.import_cupy()


def test_arrays_and_numpy_scalars_belong_to_numpy():
    for x in (np.zeros(2), np.float32(1), np.array(1)):
        assert backend.array_module(x) is np
        assert backend.name_of(x) == "numpy"
        assert backend.to_backend(x, "numpy") is x


@pytest.mark.parametrize("wrong", [1.0, [1.0], None, "numpy"], ids=repr)
def test_what_is_no_array_belongs_to_nobody(wrong):
    with pytest.raises(TypeError, match=r"expected a NumPy or CuPy array, got \w+: wrap it with minidl.tensor\(\)"):
        backend.array_module(wrong)


def test_numpy_work_never_imports_cupy():
    program = (
        "import sys, minidl; x = minidl.randn(2, 3, 4, 4, requires_grad=True);"
        "minidl.nn.BatchNorm2d(3)(x).sum().backward(); assert 'cupy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_views_share_memory_and_copies_do_not():
    x = np.arange(6.0)
    related = [x, x[1:], x.reshape(2, 3), x[1:][::2], x.reshape(2, 3).T, np.broadcast_to(x, (2, 6))]
    for a in related:
        assert all(backend.shares_memory(a, b) for b in related)
        assert not any(backend.shares_memory(a, b) for b in (x.copy(), np.arange(6.0)[1:], x + 0))


def test_arrays_over_foreign_memory_share_it_with_their_views():
    x = np.frombuffer(bytearray(32), np.float64)
    assert backend.shares_memory(x[1:], x)
    assert backend.shares_memory(x[1:], x[:2])
    assert not backend.shares_memory(x, np.frombuffer(bytearray(32), np.float64))


def test_it_is_the_current_device_that_is_waited_for(cupy_that):
    waits = []
    device = SimpleNamespace(synchronize=lambda: waits.append(1))
    cupy_that(SimpleNamespace(cuda=SimpleNamespace(Device=lambda: device)))
    backend.synchronize()
    assert waits == [1]
