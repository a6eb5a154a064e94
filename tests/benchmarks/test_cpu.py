"""The benchmarks on a CPU: what they make of numbers that are made up, and that both sides compute the same."""

import json
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

import minidl
from benchmarks import compare, layers, memory, scaling
from benchmarks.cpu import contest, machine, worker
from benchmarks.cpu.networks import NETWORKS, named
from benchmarks.cpu.record import CONTENDERS, NOISY, OURS, Record, Row, milliseconds, quartiles
from benchmarks.cpu.shapes import LAYERS, TABLE
from benchmarks.gpu.report import markdown
from minidl.kernels.numpy.parallel import get_num_threads
from tests.models.agreement import shapes
from tests.models.undrawn import Undrawn


def made_up(ours=(1.0, 4.0, 9.0), nchw=(2.0, 2.0, 3.0), channels_last=(4.0, 8.0, 6.0), **fields):
    """A row; its ratios to NCHW are 0.5, 2 and 3."""
    times = dict(zip(CONTENDERS, map(list, (ours, nchw, channels_last)), strict=True))
    peaks = dict(zip(CONTENDERS, (300, 1100, 1000), strict=True))
    return Row(
        **{"network": "DenseNet-BC-100", "task": "step", "batch": 64, "image": 32, **fields}, times=times, peaks=peaks
    )


# ------------------------------------------------------------------------------------------------ numbers and tables
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10])
def test_quartiles_are_those_of_numpy(count):
    numbers = np.random.default_rng(count).random(count).tolist()
    assert quartiles(numbers) == pytest.approx(np.percentile(numbers, [25, 50, 75]))


def test_the_ratio_is_taken_round_by_round():
    assert made_up().ratio("PyTorch NCHW") == (1.25, 2.0, 2.5)
    assert made_up().ratio("PyTorch channels_last") == (0.375, 0.5, 1.0)


def test_the_faster_layout_is_that_of_the_lower_median():
    assert made_up().faster_layout() == "PyTorch NCHW"
    assert made_up(channels_last=(0.1, 1.9, 100.0)).faster_layout() == "PyTorch channels_last"


def test_times_are_shown_with_the_distance_of_their_quartiles():
    assert milliseconds([0.2, 0.1, 0.15]) == "150 −17% +17%"
    assert milliseconds([0.001]) == "1.00 −0% +0%"


@pytest.mark.parametrize(
    ("ours", "busy", "verdicts"),
    [
        ((1.4, 1.4, 2.1), 0.0, ["yes", "yes"]),
        ((1.7, 1.7, 2.5), 0.0, ["yes", "no"]),
        ((2.0, 2.0, 3.0), NOISY, ["no", "no"]),
        ((1.4, 1.4, 2.1), NOISY + 0.01, ["?", "?"]),
    ],
)
def test_the_table_says_which_targets_are_met_unless_others_disturbed(ours, busy, verdicts):
    row = made_up(ours, busy=busy)
    found = compare.table("steps", [row])
    (cells,) = found.rows
    assert cells[0] == "DenseNet-BC-100 [64, 32²]"
    assert [cells[5], cells[8]] == ["≤ 0.9", "≤ 0.75"]
    assert [cells[6], cells[9]] == verdicts
    assert ("DenseNet-BC-100" in found.note) == ("?" in verdicts)


def test_each_task_has_its_table_with_a_line_for_each_row():
    record = Record({}, {}, [made_up(), made_up(task="inference", batch=1), made_up(task="inference")])
    steps, inference = map(markdown, compare.tables(record))
    assert steps.count("DenseNet-BC-100") == 1
    assert inference.count("DenseNet-BC-100") == 2
    assert "| 2.00 (1.25 to 2.50) " in steps


def test_a_record_is_the_same_after_json(tmp_path):
    record = Record({"CPU": "one", "cores": 2, "memory, GB": None}, {"threads": 2}, [made_up(busy=0.25)], ["none"])
    record.save(tmp_path / "new" / "record.json")
    assert Record.load(tmp_path / "new" / "record.json") == record


@pytest.mark.parametrize("text", ['{"machine": {', "[]", '{"rows": [{"network": "ResNet-20"}]}'])
def test_a_file_that_is_cut_off_or_another_is_named(tmp_path, text):
    path = tmp_path / "kept.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match=r"kept\.json: not what --json keeps"):
        Record.load(path)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"kept\.json: No such file"):
        Record.load(tmp_path / "kept.json")


@pytest.mark.parametrize("command", [compare, scaling, layers])
@pytest.mark.parametrize("times", [{OURS: []}, {"somebody": [1.0]}, {OURS: [1.0]}])
def test_what_another_command_kept_is_refused_in_a_line(tmp_path, command, times):
    path = tmp_path / "kept.json"
    Record({}, {}, [Row("ResNet-20", "step", 2, 3, times, {})]).save(path)
    with pytest.raises(SystemExit, match=r"kept\.json: not what this command keeps"):
        command.main(["--read", str(path)])


@pytest.mark.parametrize("command", [compare, scaling, layers, memory])
@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("--threads", "0", "not a whole number above 0"),
        ("--threads", "-3", "not a whole number above 0"),
        ("--rounds", "0", "not a whole number above 0"),
        ("--json", "README.md/x.json", "no place for a file"),
        ("--json", "tests", "no place for a file"),
        ("--plot", "x.nosuch", "neither a .png nor a .svg"),
    ],
)
def test_mistakes_are_refused_before_anything_is_measured(capsys, command, argument, value, message):
    if (command, argument) in [(layers, "--plot"), (memory, "--plot"), (memory, "--rounds")]:
        message = "unrecognized arguments"
    with pytest.raises(SystemExit):
        command.main([argument, value])
    assert message in capsys.readouterr().err


def test_only_steps_are_drawn(tmp_path, capsys):
    with pytest.raises(SystemExit):
        compare.main(["--tasks", "inference", "--plot", "x.png"])
    assert "add step to --tasks" in capsys.readouterr().err
    Record({}, {}, [made_up(task="inference")]).save(tmp_path / "record.json")
    compare.main(["--read", str(tmp_path / "record.json"), "--plot", str(tmp_path / "x.png")])
    assert not (tmp_path / "x.png").exists()


def test_a_run_that_measured_nothing_leaves_the_file_of_another(monkeypatch, tmp_path):
    def fail(*args):
        raise RuntimeError("no contender came")

    path = tmp_path / "record.json"
    Record({}, {}, [made_up()]).save(path)
    before = path.read_text()
    monkeypatch.setattr(compare, "measure", fail)
    with pytest.raises(SystemExit):
        compare.main(["--networks", "LeNet-5", "--json", str(path)])
    assert path.read_text() == before


def test_a_process_takes_one_step_when_it_is_asked_for_one():
    one = worker.Worker(mock.Mock())
    one.step = mock.Mock()
    assert one.run() is None
    assert one.step.call_count == 1


def test_what_was_kept_is_shown_and_drawn_again(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    Record({"PyTorch": "2.0"}, {}, [made_up()]).save(tmp_path / "record.json")
    for suffix, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        compare.main(["--read", str(tmp_path / "record.json"), "--plot", str(tmp_path / f"ratios{suffix}")])
        assert (tmp_path / f"ratios{suffix}").read_bytes().startswith(magic)
    assert "| DenseNet-BC-100 [64, 32²] | 4000 −38% +62% " in capsys.readouterr().out


@pytest.mark.parametrize(("ours", "verdict"), [(333, "yes"), (334, "no")])
def test_memory_is_compared_with_the_lower_of_the_two_layouts(ours, verdict):
    row = made_up()
    row.peaks = dict(zip(CONTENDERS, (ours * 10**6, 1100 * 10**6, 1000 * 10**6), strict=True))
    assert memory.table([row]).rows == [
        ["DenseNet-BC-100 [64, 32²]", str(ours), "1100", "1000", "0.33", "≤ 0.33", verdict]
    ]


@pytest.mark.parametrize(("power", "verdict"), [(0.7, "yes"), (1.0, "yes"), (1.2, "no")])
def test_the_exponent_of_a_power_law_is_its_power(monkeypatch, tmp_path, power, verdict):
    points = [("ResNet-8", 2, 8), ("ResNet-8", 4, 8), ("ResNet-8", 16, 8)]
    monkeypatch.setattr(scaling, "SERIES", {"ResNet-8, batch": points})
    rows = [
        Row(name, "step", n, size, {OURS: [1e-9 * scaling.work(name, n, size) ** power]}, {})
        for name, n, size in points
    ]
    Record({}, {}, rows).save(tmp_path / "scaling.json")
    (cells,) = scaling.table(rows).rows
    assert cells[4:] == [f"{power:.2f}", "≤ 1.05", verdict]
    scaling.main(["--read", str(tmp_path / "scaling.json"), "--plot", str(tmp_path / "scaling.png")])
    assert (tmp_path / "scaling.png").stat().st_size > 0


def test_work_is_in_proportion_to_the_batch_and_to_the_pixels():
    assert scaling.work("ResNet-8", 6, 16) == pytest.approx(3 * 4 * scaling.work("ResNet-8", 2, 8), rel=1e-3)


def test_floors_of_a_convolution_are_those_counted_by_hand():
    layer = LAYERS["DenseNet-BC-100: 3×3, 48 to 12"]
    x, y, weight = 64 * 48 * 32 * 32, 64 * 12 * 32 * 32, 12 * 48 * 9
    assert layers.operations(layer, "forward") == 2 * y * 48 * 9
    assert layers.operations(layer, "both") == 6 * y * 48 * 9
    assert layers.touched(layer, "forward") == 4 * (x + y + weight)
    assert layers.touched(layer, "both") == 4 * (3 * x + 2 * y + 3 * weight)


def test_the_table_of_layers_has_times_ratios_and_floors():
    row = made_up(network="ResNet-20: 3×3, 3 to 16", task="forward")
    row.times[layers.DEFINITIONS] = [2.0, 16.0, 18.0]
    operations = layers.operations(LAYERS[row.network], "forward")
    record = Record({}, {"operations a second": operations, "bytes a second": 1e30}, [row])
    (cells,) = layers.table(record).rows
    assert cells[1:] == ["128×3×32×32", "forward", "4000 −38% +62%", "× 2.00", "× 0.50", "25%", "0%"]


# ------------------------------------------------------------------------------------------------------ contenders
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_both_sides_have_the_same_parameters(network):
    torch = pytest.importorskip("torch")
    with mock.patch("minidl.random.generator", Undrawn), torch.device("meta"):
        assert shapes(network.ours()) == shapes(network.twin())


@pytest.mark.parametrize(
    "name", ["ResNet-8", "SE-ResNet-20", "ResNet-18", "MobileNet v1", "EfficientNet-B0", "LeNet-5"]
)
def test_both_sides_compute_the_same_in_training_and_in_inference(name, tmp_path):
    torch = pytest.importorskip("torch")
    ours = worker.Worker(worker.minidl(get_num_threads()))
    theirs = worker.Worker(worker.torch(torch.get_num_threads(), "channels_last"))
    for side in (ours, theirs):
        side.load(name, str(tmp_path / "weights.npz"))
    size = (8, 64) if name == "EfficientNet-B0" else (4, 32)  # few pixels make batch norms blow up what is rounded
    for task in ("inference", "step"):
        assert ours.prepare(task, *size) == pytest.approx(theirs.prepare(task, *size), rel=1e-3), task


def test_layers_have_names_of_their_own_and_the_same_weights_on_both_sides():
    torch = pytest.importorskip("torch")
    assert len(LAYERS) == len(TABLE)
    for layer in TABLE:
        with mock.patch("minidl.random.generator", Undrawn):
            ours, theirs = layer.build(minidl), layer.build(torch)
        assert hasattr(ours, "state_dict") == hasattr(theirs, "state_dict")
        assert not hasattr(ours, "state_dict") or shapes(ours) == shapes(theirs), layer.name


@pytest.mark.parametrize("task", ["forward", "both"])
def test_layers_compute_the_same_on_both_sides_and_accumulate_no_gradients(task, tmp_path):
    torch = pytest.importorskip("torch")
    ours = worker.Worker(worker.minidl(get_num_threads()))
    theirs = worker.Worker(worker.torch(torch.get_num_threads(), "contiguous_format"))
    for name in ("ResNet-20: 3×3, 64 to 64", "ResNet-20: cross entropy"):
        (tmp_path / "weights.npz").unlink(missing_ok=True)
        for side in (ours, theirs):
            side.load(name, str(tmp_path / "weights.npz"))
        assert ours.prepare(task, 0, 0) == pytest.approx(theirs.prepare(task, 0, 0), rel=1e-3)
    if task == "both":
        theirs.load("ResNet-20: 3×3, 64 to 64", None)
        theirs.prepare(task, 0, 0)
        before = theirs.model.weight.grad.clone()
        theirs.step()
        assert torch.allclose(theirs.model.weight.grad, before, rtol=1e-3)


def test_a_network_of_any_depth_has_a_name():
    assert scaling.work("ResNet-20", 1, 32) == minidl.summary(named("ResNet-20").ours(), (1, 3, 32, 32)).total_mult_adds
    assert named("ResNet-32").name == "ResNet-32"
    assert sum(p.numel() for p in named("DenseNet-BC-40").ours().parameters()) == 176_122


def test_steps_are_taken_until_time_is_up_and_the_first_does_not_count(monkeypatch):
    clock = iter([0.0, 5.0, 5.0, 6.0, 6.0, 8.0, 8.0, 11.0])
    monkeypatch.setattr(worker.time, "perf_counter", lambda: next(clock))
    one = worker.Worker(mock.Mock())
    one.step = mock.Mock()
    assert one.turn(seconds=11) == np.median([1, 2, 3])
    assert one.step.call_count == 4


def test_however_long_the_first_step_takes_there_is_another(monkeypatch):
    clock = iter([0.0, 5.0, 5.0, 9.0])
    monkeypatch.setattr(worker.time, "perf_counter", lambda: next(clock))
    one = worker.Worker(mock.Mock())
    one.step = mock.Mock()
    assert one.turn(seconds=1) == 4


def test_the_peak_of_memory_is_that_of_the_process():
    program = (
        "from benchmarks.cpu.worker import Worker; w = Worker(None); before = w.peak();"
        "x = bytearray(b'1') * 10**8; del x; print(before, w.peak())"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=contest.ROOT, capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    assert 0.95e8 < after - before < 1.2e8


class Scripted:
    """A contender that answers as it was told to, and notes who was asked."""

    def __init__(self, name, first, log):
        self.name, self.first, self.log = name, first, log

    def ask(self, method, *arguments):
        self.log.append((self.name, method))
        return {"prepare": self.first, "turn": 1.0, "peak": 7, "load": None}[method]


def scripted(monkeypatch, firsts):
    log = []
    monkeypatch.setattr(contest, "rest", lambda: 0.5)
    contenders = {name: Scripted(name, first, log) for name, first in zip("abc", firsts, strict=True)}
    return contest.Contest(contenders), log


def test_contenders_take_turns(monkeypatch):
    contenders, log = scripted(monkeypatch, [[3.0, 4.0], [3.0, 4.049], [2.951, 4.0]])
    row = contenders.row("LeNet-5", "step", 2, 32, contest.until(2, 0))
    assert "".join(name for name, method in log if method == "turn") == "abcabc"
    assert row.network == "LeNet-5"
    assert (row.times, row.busy) == ({name: [1.0, 1.0] for name in "abc"}, 0.5)


def test_contenders_that_compute_different_things_are_found(monkeypatch):
    contenders, _ = scripted(monkeypatch, [[3.0, 4.0], [3.0, 4.0], [3.0, 4.051]])
    with pytest.raises(ArithmeticError, match="compute different things"):
        contenders.row("LeNet-5", "step", 2, 32, contest.until(1, 0))


def test_rounds_are_as_many_as_wanted_or_as_there_is_time_for():
    assert [contest.until(3, 0)(done, 1e9) for done in (2, 3)] == [False, True]
    enough = contest.until(None, 10.0)
    assert [enough(4, 1e9), enough(5, 9.9), enough(5, 10.0), enough(1000, 9.9)] == [False, False, True, False]


def test_a_contender_that_dies_is_named():
    with (
        contest.Contender("minidl", 1) as contender,
        pytest.raises(RuntimeError, match="minidl: the process ended with"),
    ):
        contender.ask("load", "no such network", None)


def test_without_pytorch_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(contest.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install torch"):
        contest.Contender("PyTorch NCHW", 1)


def test_a_machine_is_described_without_its_name():
    text = json.dumps(machine.describe())
    assert "NumPy" in text
    assert "/" not in text
    assert machine.platform.node() not in text


def test_a_rehearsal_of_the_comparison_keeps_what_it_found(tmp_path, capfd):
    pytest.importorskip("torch")
    compare.main(["--quick", "--threads", "1", "--networks", "LeNet-5", "--json", str(tmp_path / "record.json")])
    record = Record.load(tmp_path / "record.json")
    assert [(row.network, row.task) for row in record.rows] == [
        ("LeNet-5", task) for task in ("step", *["inference"] * 2)
    ]
    assert all(len(times) == 1 for row in record.rows for times in row.times.values())
    assert "LeNet-5 [2, 32²]" in capfd.readouterr().out
