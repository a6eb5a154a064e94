"""A profile charges every second to one op, on a clock that moves when it is told to."""

import io
import json
import sys
import threading
import weakref

import numpy as np
import pytest

import minidl
from minidl import kernels, models, nn, ops, profile, tensor
from minidl.mode import mode
from minidl.nn import functional as F
from minidl.ops import accelerated, primitive
from minidl.profiler import profiler, record_function
from minidl.profiler.rows import OUTSIDE, duration


class Clock:
    """A clock that stands still but for `wait`."""

    now = 100.0

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def slow(clock):
    """An op that takes 3 s; its pullback takes 5, and 3 more for an op that it calls."""

    @primitive
    def slow(x, /, failing=False):
        clock.wait(3)
        if failing:
            raise ValueError("slow: it was told to fail")

        def pullback(g):
            clock.wait(5)
            return slow(g)

        return x.data * 2, pullback

    return slow


@pytest.fixture
def block(clock, slow, monkeypatch):
    """A composition of two slow ops and 7 s, and a kernel that takes 11 s for it, and 13 for its gradient."""

    @accelerated(by="block")
    def block(x, /):
        clock.wait(7)
        return slow(slow(x))

    def kernel(x):
        def pull(g, wanted):
            clock.wait(13)
            return [4 * g]

        clock.wait(11)
        return 4 * x, pull

    find = kernels.find
    monkeypatch.setattr(kernels, "find", lambda name, arrays: kernel if name == "block" else find(name, arrays))
    return block


def x():
    return tensor([1.0, 2.0], requires_grad=True)


def times(p):
    """What took time."""
    return {
        row.name: (row.calls, row.forward, row.backward, row.self_seconds)
        for row in p.rows
        if row.self_seconds or row.name == OUTSIDE
    }


def test_an_op_is_charged_with_its_function_and_its_pullback(clock, slow):
    with profile(clock) as p:
        y = slow(x())
        clock.wait(4)
        y.backward(y.detach())
    assert times(p) == {"slow": (1, 3, 5 + 3, 11), OUTSIDE: (0, 0, 0, 4)}
    assert [event.phase for event in p.events if event.name == "slow"] == ["forward", "inside", "backward"]


def test_a_composition_counts_the_ops_in_it_once(clock, block):
    with profile(clock) as p, minidl.definitions():
        block(x()).backward(tensor([1.0, 1.0]))
    assert times(p) == {"block": (1, 7 + 3 + 3, 0, 7), "slow": (2, 6, 2 * (5 + 3), 22), OUTSIDE: (0, 0, 0, 0)}
    assert p.seconds == sum(row.self_seconds for row in p.rows) == 29


def test_a_kernel_is_charged_to_the_op_that_it_stands_in_for(clock, block):
    with profile(clock) as p:
        block(x()).backward(tensor([1.0, 1.0]))
    assert times(p) == {"block": (1, 11, 13, 24), OUTSIDE: (0, 0, 0, 0)}


def test_a_kernel_that_declines_leaves_it_to_the_composition(clock, block, monkeypatch):
    monkeypatch.setattr(kernels, "find", lambda name, arrays: lambda x: None)
    with profile(clock) as p, minidl.no_grad():
        block(x())
    assert times(p) == {"block": (1, 13, 0, 7), "slow": (2, 6, 0, 6), OUTSIDE: (0, 0, 0, 0)}


def test_a_gradient_that_is_recorded_is_charged_to_its_op_too(clock, block):
    start = x()
    with profile(clock) as p:
        minidl.grad(block(start), start, tensor([1.0, 1.0]), create_graph=True)
    assert times(p) == {"block": (1, 11, 7 + 2 * (3 + 5 + 3), 40), OUTSIDE: (0, 0, 0, 0)}


def test_what_a_pullback_runs_anew_forward_and_backward_is_its_work(clock):
    weight = minidl.ones(3, 2, 3, 3)

    @primitive
    def checkpoint(x, /):
        def pullback(g):
            with minidl.enable_grad():
                start = x.detach().requires_grad_()
                return minidl.grad(F.conv2d(start, weight), start, g)[0]

        return F.conv2d(x.detach(), weight).data, pullback

    products, additions = 2 * 27 * 18, 162  # 27 elements, 18 weights each; where col2im runs it adds up 9 times 18
    for context, extra in ((minidl.enable_grad, 0), (minidl.definitions, additions)):
        with profile(clock) as p, context():
            y = checkpoint(minidl.ones(1, 2, 5, 5).requires_grad_())
            y.backward(y.detach())
        (backward,) = [event for event in p.events if event.phase == "backward"]
        assert backward.flops == 2 * products + extra
        assert sum(event.flops for event in p.events if event.phase == "forward") == products


def test_undoing_a_broadcast_is_part_of_the_backward_pass(clock, monkeypatch):
    whole = ops.sum
    monkeypatch.setattr(ops, "sum", lambda *args: (clock.wait(2), whole(*args))[1])
    with profile(clock) as p:
        (x() + np.ones((3, 2), np.float32)).backward(np.ones((3, 2), np.float32))
    assert times(p) == {"add": (1, 0, 2, 2), OUTSIDE: (0, 0, 0, 0)}


def test_an_op_that_fails_is_charged_and_what_follows_is_not_taken_for_a_part_of_it(clock, slow):
    with profile(clock) as p:
        with pytest.raises(ValueError, match="told to fail"):
            slow(x(), failing=True)
        slow(x())
    assert times(p)["slow"] == (2, 6, 0, 6)


def test_an_op_that_is_no_op_gets_the_same_error_as_ever():
    @primitive
    def broken(x, /):
        return x.data

    messages = []
    for context in (minidl.enable_grad, profile):
        with context(), pytest.raises(TypeError) as error:
            broken(x())
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_a_function_that_is_recorded_is_shown_as_an_op_around_others(clock, slow):
    with profile(clock) as p, record_function("optimizer"):
        clock.wait(2)
        slow(x())
    assert times(p) == {"optimizer": (1, 5, 0, 2), "slow": (1, 3, 0, 3), OUTSIDE: (0, 0, 0, 0)}


def test_outside_a_profile_a_function_is_recorded_by_nobody(slow):
    with record_function("optimizer"):
        slow(x())
    assert mode.profiler is None


def test_a_block_entered_again_adds_to_the_profile(clock, slow):
    p = profile(clock)
    for _ in range(2):
        with p:
            slow(x())
        slow(x())
        clock.wait(50)
    assert (times(p)["slow"], p.seconds) == ((2, 6, 0, 6), 6)


def test_the_time_so_far_is_known_within_the_block(clock, slow):
    with profile(clock) as p:
        slow(x())
        clock.wait(1)
        assert p.seconds == 4
        assert times(p) == {"slow": (1, 3, 0, 3), OUTSIDE: (0, 0, 0, 1)}


def test_a_profile_within_another_is_refused_and_leaves_it_running(clock, slow):
    with profile(clock) as p:
        with pytest.raises(RuntimeError, match="another profile is running in this thread: leave its block"):
            profile(clock).__enter__()
        slow(x())
    assert times(p)["slow"][0] == 1
    assert mode.profiler is None


def test_an_error_ends_the_profile(clock):
    with pytest.raises(KeyError), profile(clock):
        raise KeyError
    assert mode.profiler is None


def test_what_another_thread_runs_is_none_of_its_business(clock, slow):
    with profile(clock) as p:
        thread = threading.Thread(target=slow, args=[x()])
        thread.start()
        thread.join()
    assert times(p) == {OUTSIDE: (0, 0, 0, 3)}


def test_numbers_are_the_same_with_and_without_a_profile(backend):
    model = models.create_model("densenet_cifar", depth=10, growth_rate=4)
    start = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    images = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    found = []
    for context in (minidl.enable_grad, profile):
        model.load_state_dict(start)
        model.to(backend)
        model.zero_grad()
        with context():
            loss = F.cross_entropy(model(tensor(images).to(backend)), tensor([0, 1, 2, 3]).to(backend))
            loss.backward()
        found.append([loss.item(), *(p.grad.numpy() for p in model.parameters())])
    for plain, watched in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, watched)


def test_a_gpu_is_waited_for_before_an_op_at_nobodys_and_after_it_at_its_expense(clock, slow, monkeypatch):
    monkeypatch.setattr(profiler, "is_cupy", lambda array: True)
    monkeypatch.setattr(profiler, "synchronize", lambda: clock.wait(2))
    with profile(clock) as p:
        y = slow(x())
        clock.wait(1)
        y.backward(y.detach())
        with record_function("optimizer"):
            clock.wait(4)
    assert {name: times(p)[name] for name in ("slow", "optimizer")} == {
        "slow": (1, 3 + 2, (5 + 2 + 3 + 2) + 2, 5 + 14),
        "optimizer": (1, 4 + 2, 0, 6),
    }


def test_without_a_gpu_nobody_waits(clock, slow, monkeypatch):
    monkeypatch.setattr(profiler, "synchronize", lambda: clock.wait(2))
    with profile(clock) as p, record_function("optimizer"):
        slow(x())
    assert p.seconds == 3


def test_memory_is_given_back_while_a_profile_goes_on():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
    with profile():
        y = model(minidl.ones(1, 1, 4, 4))
        kept = weakref.ref(y.data)
        y.sum().backward()
        del y
        assert kept() is None


# ------------------------------------------------------------------------------------------------------------ the table
@pytest.fixture
def shown(clock):
    """A profile of a product that takes 20 ms, and as much outside."""
    with profile(clock) as p:
        event = mode.profiler.begin("matmul", "forward")
        clock.wait(0.02)
        event.flops, event.bytes = 10**9, 4 * 10**7
        mode.profiler.end(event)
        clock.wait(0.02)
    return p


def test_the_table_says_how_often_how_long_and_how_fast(shown):
    assert shown.table().splitlines() == [
        "op             calls   forward  backward      self  share  GFLOP/s  GB/s",
        "matmul             1  20.00 ms         -  20.00 ms  50.0%     50.0   2.0",
        "(outside ops)      -         -         -  20.00 ms  50.0%        -     -",
        "40.00 ms, 1 calls, 1.000 GFLOP, 0.040 GB",
    ]
    assert str(shown) == repr(shown) == shown.table()


def test_what_took_longest_comes_first(clock):
    with profile(clock) as p:
        for name, seconds in {"a": 2, "b": 4, "c": 1, "d": 3}.items():
            with record_function(name):
                clock.wait(seconds)
    assert [row.name for row in p.rows] == ["b", "d", "a", "c", OUTSIDE]


def test_the_table_needs_no_rich(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.table", None)
    assert "matmul" in str(shown)
    with pytest.raises(ModuleNotFoundError, match=r"rich is not installed: pip install 'minidl\[train\]'"):
        shown.__rich__()


def test_rich_shows_the_same_cells(shown):
    console = pytest.importorskip("rich.console").Console(width=120, record=True, file=io.StringIO())
    console.print(shown)
    text = console.export_text()
    for cell in ("matmul", "20.00 ms", "50.0%", "2.0", "1.000 GFLOP"):
        assert cell in text


def test_a_profile_of_nothing_has_a_table():
    assert str(profile()).splitlines()[1].split() == ["(outside", "ops)", "-", "-", "-", "0.0", "µs", "0.0%", "-", "-"]


@pytest.mark.parametrize(("seconds", "text"), [(2e-6, "2.0 µs"), (0.00123, "1.23 ms"), (1, "1.00 s"), (0, "0.0 µs")])
def test_a_time_has_the_unit_that_suits_it(seconds, text):
    assert duration(seconds) == text


# ------------------------------------------------------------------------------------------------------------ the trace
def trace(p, path):
    p.export_chrome_trace(path)
    events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return [event for event in events if event["ph"] == "X"], [event for event in events if event["ph"] == "M"]


def test_a_trace_has_complete_events_in_microseconds_one_inside_another(clock, block, tmp_path):
    with profile(clock) as p, minidl.definitions(), minidl.no_grad():
        clock.wait(9)
        block(x())
    found, names = trace(p, tmp_path / "trace.json")
    assert [(event["name"], event["ts"], event["dur"]) for event in found] == [
        ("block", 0, 13e6),
        ("slow", 7e6, 3e6),
        ("slow", 10e6, 3e6),
    ]
    assert {event["tid"] for event in found} == {threading.get_ident()} == {names[0]["tid"]}
    assert names[0]["args"] == {"name": threading.current_thread().name}
    assert found[1]["args"] == {"phase": "forward", "shape": [2], "flops": 0, "bytes": 16}


def test_a_trace_shows_in_which_thread_a_kernel_did_what(clock, tmp_path):
    def work(seconds):
        clock.wait(seconds)
        return 2 * seconds

    with profile(clock) as p, record_function("conv2d"):
        watched = mode.profiler.tile(work)
        results = [watched(1)]
        thread = threading.Thread(target=lambda: results.append(watched(2)), name="helper")
        thread.start()
        thread.join()
    assert results == [2, 4]
    found, names = trace(p, tmp_path / "trace.json")
    assert [(event["cat"], event["dur"]) for event in found] == [("forward", 3e6), ("tile", 1e6), ("tile", 2e6)]
    of = {event["tid"]: event["args"]["name"] for event in names}
    assert of[found[2]["tid"]] == "helper" != of[found[1]["tid"]]
    assert times(p)["conv2d"] == (1, 3, 0, 3)


def test_a_trace_replaces_a_file_at_once_or_not_at_all(shown, tmp_path, monkeypatch):
    path = tmp_path / "trace.json"
    path.write_text("old")

    def full(*args):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="disk full"):
            shown.export_chrome_trace(path)
    assert (path.read_text(), [p.name for p in tmp_path.iterdir()]) == ("old", ["trace.json"])
    assert len(trace(shown, path)[0]) == 1


def test_layers_and_losses_run_under_a_profile(backend):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()).to(backend)
    with profile() as p:
        loss = F.cross_entropy(model(minidl.randn(2, 3, 6, 6, backend=backend)), tensor([0, 1]).to(backend))
        loss.backward()
    found = {row.name: row for row in p.rows}
    for name in ("conv2d", "max_pool2d"):
        assert found[name].calls == 1
        assert min(found[name].forward, found[name].backward, found[name].flops, found[name].bytes) > 0
    assert sum(row.share for row in p.rows) == pytest.approx(1)
