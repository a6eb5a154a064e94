"""OpenBLAS is asked for AVX-512 kernels where they run and it would not take them; what the user says goes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minidl import core_type
from minidl.core_type import AVX512, VARIABLE, best_core_type, read_processor

FILE = Path(core_type.__file__)
FLAGS = "fpu sse2 avx avx2 fma avx512f avx512dq avx512cd avx512bw avx512vl avx512_bf16"
CPUINFO = f"""\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9999: Test
flags\t\t: {FLAGS}
power management:

processor\t: 1
vendor_id\t: GenuineIntel
flags\t\t: fpu
"""
LOADED = f"import os; print(os.environ.get({VARIABLE!r}))"
"""In the place of NumPy: says what it finds in the environment when it is imported."""


def processor(vendor="AuthenticAMD", flags=FLAGS):
    return {"vendor_id": vendor, "flags": flags}


def run(program, *, path=(), **variables):
    """What a new Python prints, in which no variable decides for OpenBLAS but those given."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | variables
    environment["PYTHONPATH"] = os.pathsep.join([*map(str, path), str(FILE.parents[1])])
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_amds_processors_with_all_of_avx512_are_told():
    assert best_core_type(processor()) == "SkylakeX"


@pytest.mark.parametrize("missing", sorted(AVX512))
def test_a_processor_that_lacks_a_part_of_avx512_is_left_alone(missing):
    assert best_core_type(processor(flags=FLAGS.replace(missing, "").replace("  ", " "))) is None


@pytest.mark.parametrize("other", [processor("GenuineIntel"), {"flags": FLAGS}, {"CPU implementer": "0x41"}, {}])
def test_other_makes_are_left_to_openblas(other):
    assert best_core_type(other) is None


def test_the_first_processors_fields_are_read(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    found = read_processor(str(path))
    assert (found["vendor_id"], found["model name"]) == ("AuthenticAMD", "AMD EPYC 9999: Test")
    assert best_core_type(found) == "SkylakeX"


def test_where_the_processor_cannot_be_read_nothing_is_known(tmp_path):
    assert read_processor(str(tmp_path / "missing")) == {}


@pytest.fixture
def seen(tmp_path):
    """What NumPy saw when imported, what is set afterwards, and what a child process sees, on such a processor."""
    (tmp_path / "numpy.py").write_text(LOADED)
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    program = f"""if True:
        import os, subprocess, sys
        {{before}}
        from pathlib import Path
        source = Path({str(FILE)!r}).read_text(encoding="utf-8")
        exec(compile(source.replace("/proc/cpuinfo", {str(tmp_path / "cpuinfo")!r}), "core_type.py", "exec"), globals())
        print(os.environ.get({VARIABLE!r}), flush=True)
        subprocess.run([sys.executable, "-c", {LOADED!r}])
        print(numpy_came_first)"""
    return lambda before="", **variables: run(program.format(before=before), path=[tmp_path], **variables)


def test_the_variable_is_there_while_numpy_is_imported_and_then_is_gone(seen):
    assert seen() == ["SkylakeX", "None", "None", "False"]


@pytest.mark.parametrize("choice", ["Haswell", "SkylakeX", ""])
def test_the_users_choice_stands_and_stays(seen, choice):
    assert seen(**{VARIABLE: choice}) == [*[choice] * (3 if choice else 0), "False"]


def test_where_numpy_came_first_nothing_is_set(seen):
    assert seen(before="import numpy") == ["None", "None", "None", "True"]


def test_a_numpy_that_cannot_be_imported_leaves_nothing_behind(tmp_path):
    (tmp_path / "numpy.py").write_text(f"{LOADED}; raise ImportError('no NumPy')")
    program = f"""if True:
        import os
        try:
            import minidl
        except ImportError:
            print(os.environ.get({VARIABLE!r}))"""
    assert run(program, path=[tmp_path])[-1] == "None"


def test_minidl_imports_nothing_of_numpys_before_it_has_had_its_say():
    assert run("import minidl; print(minidl.core_type.numpy_came_first)") == ["False"]
    assert run("import numpy, minidl; print(minidl.core_type.numpy_came_first)") == ["True"]


def kernels(**variables):
    pytest.importorskip("threadpoolctl")
    program = """if True:
        import minidl
        from threadpoolctl import threadpool_info
        print(*[pool.get("architecture") for pool in threadpool_info() if pool["internal_api"] == "openblas"])"""
    found = run(program, **variables)
    if not found:
        pytest.skip("this NumPy multiplies without OpenBLAS")
    return found


@pytest.mark.skipif(best_core_type(read_processor()) is None, reason="needs an AMD processor with AVX-512")
def test_on_such_a_processor_openblas_runs_what_was_asked_for():
    assert kernels() == ["SkylakeX"]


@pytest.mark.skipif("avx2" not in read_processor().get("flags", "").split(), reason="needs AVX2")
def test_openblas_runs_what_the_user_asked_for():
    assert kernels(**{VARIABLE: "Haswell"}) == ["Haswell"]
