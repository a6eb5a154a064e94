"""The pool of threads: order, errors, nesting, forks, BLAS, and results that no number of threads changes."""

import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl import nn
from minidl.kernels.numpy import parallel as module
from minidl.kernels.numpy.parallel import get_num_threads, parallel, scratch, set_num_threads
from minidl.models import densenet_cifar, resnet_cifar
from minidl.nn import functional as F


@pytest.fixture(autouse=True)
def three_threads():
    """More than there may be cores, so that threads meet."""
    before = get_num_threads()
    set_num_threads(3)
    yield
    set_num_threads(before)


class Library:
    """A BLAS that remembers what it is told."""

    def __init__(self, num_threads):
        self.num_threads, self.told = num_threads, []

    def set_num_threads(self, num_threads):
        self.num_threads = num_threads
        self.told.append(num_threads)


@pytest.fixture
def libraries(monkeypatch):
    """Two BLAS libraries, one of them with a single thread."""
    found = [Library(4), Library(1)]
    monkeypatch.setattr(module, "_blas_libraries", lambda: found)
    monkeypatch.setattr(module, "_one_thread_each", module._SingleThreadedBlas())
    return found


# ----------------------------------------------------------------------------------------------------- items and errors
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_results_are_in_the_order_of_the_items(threads, count):
    set_num_threads(threads)
    assert parallel(lambda i: i * i, iter(range(count))) == [i * i for i in range(count)]


def test_each_item_is_taken_once_by_as_many_threads_as_there_are():
    barrier, seen = threading.Barrier(3), []

    def meet(item):
        barrier.wait(timeout=60)
        seen.append((item, threading.get_ident()))

    parallel(meet, range(3))
    assert sorted(item for item, _ in seen) == [0, 1, 2]
    assert len({thread for _, thread in seen}) == 3
    assert threading.get_ident() in {thread for _, thread in seen}


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_in_the_order_of_the_items_is_raised(threads):
    set_num_threads(threads)
    done = []

    def fail(item):
        if item % 5 == 3:
            raise ValueError(f"item {item}")
        done.append(item)

    with pytest.raises(ValueError, match="item 3"):
        parallel(fail, range(20))
    assert parallel(abs, [-1, -2]) == [1, 2]  # as before
    assert set(done) >= {0, 1, 2}


def test_what_python_raises_to_end_a_program_reaches_the_caller_too():
    def leave(item):
        raise SystemExit(item)

    with pytest.raises(SystemExit, match="0"):
        parallel(leave, range(4))
    assert parallel(abs, [-1, -2]) == [1, 2]


@pytest.mark.parametrize("threads", [1, 3])
def test_inside_itself_it_runs_serially(threads):
    set_num_threads(threads)
    depth = threading.local()

    def inner(item):
        assert depth.thread == threading.get_ident()
        return item + 1

    def outer(item):
        depth.thread = threading.get_ident()
        return sum(parallel(inner, range(item)))

    assert parallel(outer, range(20)) == [n * (n + 1) // 2 for n in range(20)]


def test_what_a_single_item_calls_runs_serially(monkeypatch):
    monkeypatch.setattr(module._Pool, "offer", lambda *_: pytest.fail("asked for helpers"))
    monkeypatch.setattr(module, "_threads", 3)
    assert parallel(lambda item: parallel(abs, [-1, -2]), [0]) == [[1, 2]]


def test_several_threads_may_use_it_at_once():
    results = {}

    def use(number):
        results[number] = [parallel(lambda i: (number, np.ones((9, i)).sum()), range(30)) for _ in range(20)]

    callers = [threading.Thread(target=use, args=(number,)) for number in range(5)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert results == {number: [[(number, 9 * i) for i in range(30)]] * 20 for number in range(5)}


@pytest.mark.parametrize("threads", [0, -1, 1.5, 2.0, True, "2", None], ids=repr)
def test_a_number_of_threads_is_a_whole_number_from_one_on(threads):
    with pytest.raises(ValueError, match=r"set_num_threads: expected a number of threads ≥ 1, got "):
        set_num_threads(threads)
    assert get_num_threads() == 3


def test_the_number_of_threads_can_be_asked_for():
    minidl.set_num_threads(np.int64(2))
    assert minidl.get_num_threads() == 2
    assert type(minidl.get_num_threads()) is int


# ----------------------------------------------------------------------------------------------------------------- BLAS
@pytest.mark.parametrize("threads", [1, 3])
def test_blas_has_one_thread_inside_and_as_many_as_before_outside(libraries, threads):
    set_num_threads(threads)
    inside = parallel(lambda item: [library.num_threads for library in libraries], range(5))
    assert inside == [[1, 1]] * 5
    assert [library.num_threads for library in libraries] == [4, 1]
    libraries[0].num_threads = 7  # the user's new choice
    parallel(lambda item: parallel(abs, [1, 2]), range(3))
    assert libraries[0].num_threads == 7
    assert libraries[1].told == []


@pytest.mark.parametrize("threads", [1, 3])
def test_blas_has_its_threads_back_after_an_error(libraries, threads):
    set_num_threads(threads)
    with pytest.raises(ZeroDivisionError):
        parallel(lambda item: 1 // item, [1, 0, 1])
    assert libraries[0].num_threads == 4


def test_blas_has_its_threads_back_when_the_last_of_several_callers_is_done(libraries):
    entered, leave = threading.Event(), threading.Event()

    def wait(item):
        entered.set()
        leave.wait(timeout=60)

    caller = threading.Thread(target=parallel, args=(wait, [0]))
    caller.start()
    entered.wait(timeout=60)
    parallel(abs, [1, 2])
    assert libraries[0].num_threads == 1
    leave.set()
    caller.join(timeout=60)
    assert libraries[0].num_threads == 4


def test_blas_has_its_threads_back_with_the_next_call_if_an_interrupt_kept_one_from_leaving(libraries):
    module._one_thread_each.__enter__()  # and Ctrl-C arrives before it is left
    assert libraries[0].num_threads == 1
    parallel(abs, [1, 2])
    assert libraries[0].num_threads == 4


def test_it_is_numpys_own_blas_that_has_one_thread():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def threads(item=None):
        return [info["num_threads"] for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"]

    with threadpoolctl.threadpool_limits(2, "blas"):
        before = threads()
        assert all(set(inside) == {1} for inside in parallel(threads, range(4)))
        assert threads() == before
        assert max(before) == 2


def test_without_threadpoolctl_blas_keeps_its_threads(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setattr(module, "_one_thread_each", module._SingleThreadedBlas())
    x = np.ones((50, 50))
    assert module._blas_libraries() == []
    assert all((y == 50).all() for y in parallel(lambda item: x @ x, range(5)))


# ---------------------------------------------------------------------------------------------------------------- forks
FORK = """
import os, sys, threading
from minidl.kernels.numpy import parallel as module
from minidl.kernels.numpy.parallel import parallel, set_num_threads

class Library:
    num_threads = 4
    def set_num_threads(self, n):
        self.num_threads = n

library = Library()
module._blas_libraries = lambda: [library]
set_num_threads(2)
assert parallel(abs, range(-9, 0)) == list(range(9, 0, -1))  # the pool has threads now, which a fork loses

def child():
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    works = library.num_threads == 4 and parallel(abs, range(-9, 0)) == list(range(9, 0, -1))
    os._exit(0 if works and library.num_threads == 4 else 1)

codes = [child()]
entered, leave = threading.Event(), threading.Event()
def wait(item):
    entered.set()
    leave.wait(60)
busy = threading.Thread(target=parallel, args=(wait, [0, 1]))
busy.start()
entered.wait(60)
assert library.num_threads == 1
codes.append(child())  # while another thread is at work
leave.set()
busy.join()
assert library.num_threads == 4
codes += parallel(lambda item: child(), [0])  # from within
codes += [max(parallel(lambda item: child(), [0, 1]))]
sys.exit(f"children ended with {codes}" if any(codes) else 0)
"""


@pytest.mark.skipif(not hasattr(module.os, "fork"), reason="needs os.fork")
def test_a_forked_process_has_threads_of_its_own_and_blas_as_it_was():
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]  # that forks and threads do not mix
    result = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr


# -------------------------------------------------------------------------------------------------------------- scratch
def test_scratch_is_the_same_memory_again_under_the_same_name():
    x = scratch("test", (3, 4), np.float32)
    assert x.shape == (3, 4)
    assert x.dtype == np.float32
    x[...] = 1
    assert np.shares_memory(x, scratch("test", (2, 5), np.float64)) is (x.nbytes >= 80)
    larger = scratch("test", (100,), np.float64)
    assert larger.shape == (100,)
    assert np.shares_memory(larger, scratch("test", (7,), np.bool_))
    assert not np.shares_memory(larger, scratch("other", (100,), np.float64))
    assert scratch("test", (0, 3), np.float32).shape == (0, 3)
    assert scratch("test", (), np.float32).shape == ()


def test_each_thread_has_scratch_of_its_own():
    barrier = threading.Barrier(3)

    def fill(item):
        buffer = scratch("test", (1000,), np.int64)
        buffer[...] = item
        barrier.wait(timeout=60)
        return (buffer == item).all()

    assert all(parallel(fill, range(3)))


# -------------------------------------------------------------------------------------------------------------- profile
def test_a_profile_sees_tiles_and_the_threads_they_ran_in():
    x, barrier = minidl.ones(3), threading.Barrier(3)
    with minidl.profile() as p:
        minidl.relu(x)
        parallel(lambda item: barrier.wait(timeout=60), range(3))
    tiles = [event for event in p.events if event.phase == "tile"]
    assert len(tiles) == 3
    assert len({event.thread for event in tiles}) == 3
    assert all(event.seconds >= 0 for event in tiles)


def test_a_kernels_tiles_bear_its_name():
    x, weight = minidl.randn(8, 16, 32, 32), minidl.randn(16, 16, 3, 3)
    with minidl.profile() as p:
        F.conv2d(x, weight, padding=1)
    phases = Counter((event.name, event.phase) for event in p.events)
    assert phases["conv2d", "forward"] == 1
    assert phases["conv2d", "tile"] > 1


# -------------------------------------------------------------------------------------------------- the same to the bit
MODELS = {
    "DenseNet-BC-22": lambda: densenet_cifar(depth=22, growth_rate=12),
    "ResNet-14": lambda: resnet_cifar(depth=14, shortcut="B"),
}


def step(name):
    """The loss, the statistics and all gradients of one step, from the same start."""
    minidl.manual_seed(0)
    model: nn.Module = MODELS[name]()
    x, labels = minidl.randn(8, 3, 32, 32, requires_grad=True), minidl.tensor(list(range(8)))
    loss = F.cross_entropy(model(x), labels)
    loss.backward()
    return [loss, *model.buffers(), x.grad, *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_is_the_same_to_the_bit_for_any_number_of_threads(name, monkeypatch):
    shared = 0

    def counting(self, job, helpers, offer=module._Pool.offer):
        nonlocal shared
        shared += 1
        offer(self, job, helpers)

    monkeypatch.setattr(module._Pool, "offer", counting)
    runs = []
    for threads in (1, 2, 3, 3):
        set_num_threads(threads)
        runs.append([x.numpy().tobytes() for x in step(name)])
        assert bool(shared) is (threads > 1)
    assert all(run == runs[0] for run in runs)


@given(st.integers(0, 300), st.integers(0, 3000))
@example(64, 8192)
@example(0, 5)
@example(5, 0)
def test_shares_are_everything_and_neither_too_large_nor_too_small(count, size):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"LONGEST": 10_000, "SHORTEST": 1_000, "TURNS": 4}.items():
            patch.setattr(module, name, value)
        found = module.shares(count, size)
    assert [item for part in found for item in range(count)[part]] == list(range(count))
    numbers = [(part.stop - part.start) * size for part in found]
    assert all(n <= 10_000 or n == size for n in numbers)
    if count * size >= 4_000 and count >= 16:
        assert len(found) >= 4
    if count * size < 2_000:
        assert len(found) <= 1


def test_half_a_million_numbers_are_shared():
    assert [part.stop - part.start for part in module.shares(64, 8192)] == [16] * 4
    assert [part.stop - part.start for part in module.shares(16, 131072)] == [4] * 4
