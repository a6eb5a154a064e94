"""What minidl runs on is said in full, and advice is given where there is something to gain, and only there."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest

import minidl
from minidl import backend, config
from minidl.config import Blas, Config, find_config

AMD = {"vendor_id": "AuthenticAMD", "model name": "AMD EPYC", "flags": "avx2 " + " ".join(config.core_type.AVX512)}
WELL = Config(
    versions={"minidl": "0.1.0", "Python": "3.13.0", "NumPy": "2.4.0"},
    processor=AMD,
    cores=2,
    threads=2,
    blas=Blas("openblas", "0.3.31", "SkylakeX", 1),
    has_threadpoolctl=True,
    device="15.0 on H100, 80 GiB",
    chosen_core_type=None,
    numpy_came_first=False,
)
SLOW = replace(WELL, blas=Blas("openblas", "0.3.31", "Haswell", 2))
UNKNOWN = replace(WELL, blas=Blas("scipy-openblas", "0.3.31"))
OLD = {"vendor_id": "AuthenticAMD", "model name": "Opteron", "flags": "avx2"}


def test_everything_is_shown():
    assert str(WELL).splitlines() == [
        "versions        minidl 0.1.0, Python 3.13.0, NumPy 2.4.0",
        "processor       AMD EPYC, AVX2, AVX-512, 2 cores",
        "BLAS            openblas 0.3.31, SkylakeX kernels, 1 thread",
        "minidl's pool   2 threads",
        "CuPy            15.0 on H100, 80 GiB",
        "advice          none: nothing is known to be amiss",
    ]


def test_what_is_not_known_is_said_to_be_unknown():
    assert "BLAS            scipy-openblas 0.3.31, kernels unknown, threads unknown" in str(UNKNOWN).splitlines()
    assert "BLAS            none" in str(replace(WELL, blas=None)).splitlines()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (SLOW, "Haswell kernels; those for AVX-512 are up to twice as fast: set OPENBLAS_CORETYPE=SkylakeX before"),
        (replace(SLOW, numpy_came_first=True), "NumPy was imported before minidl: import minidl first, or set"),
        (replace(SLOW, chosen_core_type="Haswell"), "unset OPENBLAS_CORETYPE=Haswell"),
        (
            replace(UNKNOWN, numpy_came_first=True),
            "maybe with slow kernels: import minidl first, or set OPENBLAS_CORET",
        ),
        (replace(WELL, has_threadpoolctl=False), r"threadpoolctl is missing: .* pip install 'minidl\[cpu\]'"),
        (replace(WELL, threads=3), r"more threads than there are cores: minidl.set_num_threads\(2\)"),
        (replace(WELL, blas=None), "without BLAS"),
    ],
)
def test_where_speed_is_lost_one_line_says_what_to_do(found, words):
    (line,) = found.advice()
    assert re.search(words, line)
    assert f"advice          {line}" in str(found).splitlines()


@pytest.mark.parametrize(
    "found",
    [
        WELL,
        UNKNOWN,
        replace(SLOW, processor=OLD),
        replace(SLOW, processor={}),
        replace(SLOW, blas=Blas("mkl", "2026.0", None, 2)),
        replace(UNKNOWN, numpy_came_first=True, processor=OLD),
        replace(UNKNOWN, numpy_came_first=True, processor=AMD | {"vendor_id": "GenuineIntel"}),
        replace(UNKNOWN, numpy_came_first=True, chosen_core_type="SkylakeX"),
        replace(WELL, threads=1),
        replace(WELL, blas=Blas("openblas", "0.3.31", "SapphireRapids", 1)),
    ],
)
def test_where_nothing_is_to_be_gained_nothing_is_advised(found):
    assert found.advice() == []


def test_several_things_may_be_amiss_at_once():
    assert len(replace(SLOW, threads=9, has_threadpoolctl=False).advice()) == 3


def test_what_is_found_here_is_true():
    pool = pytest.importorskip("threadpoolctl").threadpool_info()
    found = find_config()
    assert found.versions == {
        "minidl": minidl.__version__,
        "Python": ".".join(map(str, sys.version_info[:3])),
        "NumPy": np.__version__,
    }
    blas = [p for p in pool if p["user_api"] == "blas"]
    assert found.blas.threads in {p["num_threads"] for p in blas}
    assert found.blas.kernels in {p.get("architecture") for p in blas}
    assert found.cores >= 1
    assert found.has_threadpoolctl


def test_numpys_own_blas_is_the_one_that_is_shown():
    def pool(path, api, threads):
        return {"user_api": "blas", "internal_api": api, "version": "1", "filepath": path, "num_threads": threads}

    others = {"user_api": "openmp", "internal_api": "openmp", "version": None, "filepath": "libgomp", "num_threads": 7}
    pools = [others, pool("/lib/torch/libmkl.so", "mkl", 3), pool("/lib/numpy.libs/libopenblas.so", "openblas", 2)]
    assert config._blas(pools) == Blas("openblas", "1", None, 2)
    assert config._blas(pools[:2]) == Blas("mkl", "1", None, 3)


def test_without_threadpoolctl_it_is_the_one_that_numpy_was_built_with(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    found = find_config()
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    assert found.blas == Blas(built["name"], built["version"], None, None)
    assert not found.has_threadpoolctl
    assert any("threadpoolctl is missing" in line for line in found.advice())


def test_a_numpy_without_blas_is_found_out(monkeypatch):
    built = {"Build Dependencies": {"blas": {"name": "none", "found": False}}}
    monkeypatch.setattr(np, "show_config", lambda mode: built)
    assert config._blas([]) is None


def test_the_threads_of_the_pool_are_those_that_are_set(monkeypatch):
    monkeypatch.setattr(config, "get_num_threads", lambda: 5)
    assert find_config().threads == 5


def test_the_users_choice_of_kernels_is_found(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    assert find_config().chosen_core_type == "Zen"


def test_the_device_is_named(backend):
    if backend == "cupy":
        cupy = minidl.backend.import_cupy()
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        assert find_config().device.startswith(f"{cupy.__version__} on {name}, ")


def test_a_missing_device_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    backend.import_cupy.cache_clear()
    try:
        assert find_config().device.startswith("not in use: backend 'cupy' needs CuPy, which is not installed")
    finally:
        backend.import_cupy.cache_clear()


def test_it_is_printed(capsys):
    minidl.show_config()
    assert capsys.readouterr().out == f"{find_config()}\n"
