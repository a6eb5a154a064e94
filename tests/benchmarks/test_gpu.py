"""The report on a GPU, rehearsed: as a command on NumPy, its stages on the stand-in for CuPy, and what may go wrong."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import agreement, device, speed, suite
from benchmarks.gpu.device import ROOT, Device
from benchmarks.gpu.report import MissingError, Outcome, Problem, Report, Table, markdown
from minidl.backend import import_cupy
from minidl.nn import functional as F
from tests import table
from tests.cupy_stand_in import library
from tests.cupy_stand_in.calls import real
from tests.kernels.conftest import CudaOnCpu

STAGES = {
    "device": device.stage,
    "kernels": agreement.stage_kernels,
    "training": agreement.stage_training,
    "kernel times": speed.stage_kernels,
    "steps": speed.stage_steps,
    "ops": agreement.stage_ops,
}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """The stand-in for CuPy in place of CuPy."""
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    with pytest.MonkeyPatch.context() as patch:
        library.install(patch, CudaOnCpu(tmp_path_factory.mktemp("cuda")).function)
        yield
    import_cupy.cache_clear()


def rehearse(folder, *options):
    """Run the command on NumPy; its exit code and output, and the report as JSON, if there is one."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--backend", "numpy", "--quick", "--out", folder, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    files = list(folder.glob("*.json"))
    return run, json.loads(files[0].read_text()) if files else None


def test_a_rehearsal_on_numpy_passes_and_keeps_a_report(tmp_path):
    run, report = rehearse(tmp_path, "--only", "device", "kernels", "steps", "tests")
    assert run.returncode == 0, run.stdout + run.stderr
    assert [outcome["verdict"] for outcome in report["outcomes"]] == ["passed"] * 4
    assert report["facts"]["numpy"] == np.__version__
    text = next(tmp_path.glob("*.md")).read_text()
    for wanted in ("| numpy ", "## kernels", "| im2col ", "DenseNet-BC-10", "A training step"):
        assert wanted in text
    assert run.stdout.rstrip().endswith(".md and .json")


def test_results_on_numpy_do_not_go_where_those_of_gpus_are(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["--backend", "numpy"])
    assert "choose another folder with --out" in capsys.readouterr().err


def test_without_a_device_there_is_one_line_and_exit_code_2(tmp_path):
    if real is not None and real.cuda.is_available():
        pytest.skip("there is a device")
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--out", tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(r"backend 'cupy' needs .*\n", run.stderr)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_passes_on_the_stand_in_for_cupy(stand_in, stage):
    found = list(STAGES[stage](Device("cupy", quick=True, seconds=100)))
    assert [item.text for item in found if isinstance(item, Problem)] == []
    assert all(table.rows for table in found)


def test_pytorch_without_cuda_is_not_timed(stand_in):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("PyTorch has a device")
    with pytest.raises(MissingError, match="built without CUDA"):
        list(speed.stage_torch(Device("cupy", quick=True, seconds=100)))


def test_pytorch_is_timed_where_it_is():
    pytest.importorskip("torch")
    (table,) = speed.stage_torch(Device("numpy", quick=True, seconds=100))
    assert table.rows[0][:2] == ["DenseNet-BC-10, k = 4", 2]


def test_the_networks_are_those_of_the_twin():
    Twin = pytest.importorskip("tests.models.densenet_twin").Twin
    for network in speed.networks(quick=False):
        ours = {name: tensor.shape for name, tensor in network.make().state_dict().items()}
        assert ours == {name: tuple(tensor.shape) for name, tensor in Twin(*network.twin).state_dict().items()}


# ------------------------------------------------------------------------------------------------- mistakes are found
def quick(**settings):
    return Device("numpy", **{"quick": False, "seconds": 100, **settings})


def problems(found):
    return [item.text for item in found if isinstance(item, Problem)]


def test_a_wrong_kernel_is_found(monkeypatch):
    from minidl.kernels import numpy as kernels

    calls = []

    def wrong(x):
        calls.append(x)
        return right(x) * (1 if len(calls) == 1 else 1.001)

    right = kernels.erf
    monkeypatch.setattr(kernels, "erf", wrong)
    assert [text[:3] for text in problems(agreement.stage_kernels(quick()))] == ["erf", "erf"]


def test_a_kernel_that_does_not_write_all_or_not_always_the_same_is_found(monkeypatch):
    from minidl.kernels import numpy as kernels

    rng = np.random.default_rng(0)
    right = kernels.erf
    monkeypatch.setattr(kernels, "erf", lambda x: right(x) + 1e-13 * rng.standard_normal())
    assert problems(agreement.stage_kernels(quick())) == ["erf: two runs differ"]


def test_a_wrong_op_and_a_failing_op_are_found(monkeypatch):
    def failing(*args, **settings):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(agreement, "error", lambda ours, theirs: 2e-9)
    found = problems(agreement.stage_ops(quick(quick=True)))
    assert any("the error of the value is 2e-09" in text for text in found)
    monkeypatch.undo()
    samples = [dataclasses.replace(s, function=failing) if s.name == "flip" else s for s in table.SAMPLES]
    monkeypatch.setattr(table, "SAMPLES", samples)
    found = problems(agreement.stage_ops(quick()))
    assert {text.split()[0] for text in found} == {"flip"}
    assert all(text.endswith("RuntimeError: no such kernel") for text in found)


def test_a_run_that_leaves_numpys_is_found(monkeypatch):
    calls = []
    right = F.cross_entropy

    def wrong(*args):
        calls.append(args)
        return right(*args) * (1.01 if len(calls) == 2 else 1)

    monkeypatch.setattr(F, "cross_entropy", wrong)
    found = problems(agreement.stage_training(quick(quick=True)))
    assert found[0] == "float64, step 1: two runs from the same weights differ"
    assert found[1].startswith("float64, step 1: the run has left NumPy's")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 2.0], [1.0, 4.0], 0.5),
        ([1.0, np.nan], [1.0, np.nan], 0.0),
        ([1.0, np.inf], [1.0, -np.inf], np.inf),
        ([np.nan, 1.0], [1.0, 1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_the_error_is_relative_to_the_largest_element_and_knows_nan(ours, theirs, expected):
    assert agreement.error([np.array(ours)], [np.array(theirs)]) == expected


def test_what_time_forbids_is_a_problem():
    late = quick(seconds=-1)
    assert "time was up" in problems(agreement.stage_ops(late))[0]
    assert "time was up" in problems(speed.stage_steps(late))[0]


# ------------------------------------------------------------------------------------------------- what may go wrong
def stages(monkeypatch, **answers):
    monkeypatch.setattr(command, "STAGES", {name: command.Stage("?", f, 5) for name, f in answers.items()})


def test_a_stage_that_raises_keeps_what_it_found_and_its_trace(monkeypatch, tmp_path):
    def raising(device):
        yield Table("before", ["a"], [[1]])
        raise ZeroDivisionError("planted")

    stages(monkeypatch, raising=raising)
    file = tmp_path / "outcome"
    command.main(["--backend", "numpy", "--out", str(tmp_path), "--answer", "raising", str(file)])
    outcome = Outcome.load(file)
    assert (outcome.verdict, [table.title for table in outcome.tables]) == ("failed", ["before"])
    assert "ZeroDivisionError: planted" in outcome.trace


def test_a_stage_that_needs_what_is_not_there_is_skipped(monkeypatch, tmp_path):
    def missing(device):
        raise MissingError("no pytest")
        yield

    stages(monkeypatch, missing=missing)
    file = tmp_path / "outcome"
    assert command.main(["--backend", "numpy", "--out", str(tmp_path), "--answer", "missing", str(file)]) == 0
    assert Outcome.load(file).verdict == "skipped"


def child(monkeypatch, program, seconds=5.0, grace=0.0):
    """Ask a stage whose process runs another program."""
    popen = subprocess.Popen

    def run(arguments, **settings):
        return popen([sys.executable, "-c", program, arguments[-1]], **settings)

    monkeypatch.setattr(command, "GRACE", grace)
    monkeypatch.setattr(subprocess, "Popen", run)
    args = command.argparse.Namespace(backend="numpy", quick=True)
    return command.ask("device", args, seconds)


def test_a_stage_that_dies_is_told_with_its_last_words(monkeypatch):
    outcome = child(monkeypatch, "import os, sys; sys.stderr.write('illegal address'); sys.stderr.flush(); os._exit(7)")
    assert outcome.problems == ["the stage ended with exit code 7"]
    assert "illegal address" in outcome.trace
    assert outcome.verdict == "failed"


def test_a_stage_that_hangs_is_killed(monkeypatch):
    outcome = child(monkeypatch, "import time; time.sleep(60)", seconds=1.0)
    assert outcome.problems == ["the stage took longer than 1 s"]
    assert outcome.seconds < 20


def test_tests_that_fail_break_or_do_not_end_are_problems():
    passed = {"test": "tests/a.py::b[cupy]", "outcome": "passed", "text": ""}
    failed = {"test": "tests/a.py::c[cupy]", "outcome": "failed", "text": "tests/a.py:1: in c\nE   assert 1 == 2"}
    assert problems(suite.judge([passed], 0, "pytest", "")) == []
    assert problems(suite.judge([passed, failed], 1, "pytest", "")) == ["tests/a.py::c[cupy]: E   assert 1 == 2"]
    assert "not all tests were run" in problems(suite.judge([passed], None, "pytest", ""))[0]
    assert "exit code 4" in problems(suite.judge([], 4, "pytest", "no such file"))[0]
    assert "and 3 more tests failed" in problems(suite.judge([failed] * (suite.SHOWN + 3), 1, "pytest", ""))
    assert problems(suite.judge([], 5, "pytest", "no tests ran")) != []


def test_a_report_is_valid_markdown_and_json_whatever_is_in_it():
    outcome = Outcome("a", "why?", ended=True)
    outcome.add(Table("first", ["x"], [[1.0]]))
    outcome.add(Table("first", ["x|y", "z"], [[float("nan"), None], [12345.678, "a|b"]]))
    outcome.add(Problem("two\nlines"))
    report = Report("title", {"device": "none"}, outcomes=[outcome])
    (table,) = json.loads(report.json())["outcomes"][0]["tables"]
    assert table["rows"] == [["nan", None], [12345.678, "a|b"]]
    assert markdown(outcome.tables[0]).splitlines()[2:] == [
        "| x\\|y  | z    |",
        "|-------|------|",
        "| nan   |      |",
        "| 12346 | a\\|b |",
    ]
    assert "- Problem: two lines" in report.markdown()
