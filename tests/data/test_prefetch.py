"""Work in the background: same results in the same order, no exception hidden, no thread left behind."""

import gc
import signal
import threading
import time

import pytest

from minidl.data.prefetch import prefetch_map

WORKERS = pytest.mark.parametrize("workers", [1, 4])


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minidl-prefetch")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    join_threads()


def join_threads():
    for thread in threads():
        thread.join(timeout=10)
    assert threads() == []


class PlannedError(Exception):
    """What the work raises in these tests."""


def fails_at(place, error=PlannedError):
    def work(item):
        if item == place:
            raise error(f"at {item}")
        return item

    return work


@WORKERS
@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_results_come_in_order_however_long_each_takes(workers, ahead):
    def slow_when_even(item):
        time.sleep(0.002 * (item % 2 == 0))
        return item * item

    assert list(prefetch_map(slow_when_even, range(30), workers, ahead)) == [n * n for n in range(30)]


@WORKERS
def test_no_more_than_ahead_results_are_begun_before_they_are_asked_for(workers):
    begun = []
    results = prefetch_map(begun.append, range(100), workers, 5)
    for taken in range(1, 20):
        next(results)
        assert len(begun) <= taken + 5
    results.close()


def test_work_goes_on_while_a_result_is_used():
    second_done = threading.Event()

    def work(item):
        if item == 1:
            second_done.set()
        return item

    results = prefetch_map(work, range(5), 1, 2)
    next(results)
    assert second_done.wait(10)
    results.close()


@WORKERS
def test_an_exception_comes_out_in_its_place(workers):
    results = prefetch_map(fails_at(7), range(20), workers, 8)
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(PlannedError, match="at 7") as caught:
        next(results)
    assert caught.traceback[-1].name == "work"  # the traceback leads to the place that failed
    with pytest.raises(StopIteration):
        next(results)


@WORKERS
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exceptions_of_every_kind_come_out(workers, error):
    with pytest.raises(error):
        list(prefetch_map(fails_at(3, error), range(9), workers, 4))


@WORKERS
def test_a_stop_iteration_in_the_work_does_not_end_the_loop_quietly(workers):
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(prefetch_map(fails_at(3, StopIteration), range(9), workers, 4))


def test_an_exception_of_the_items_comes_out():
    def items():
        yield 1
        raise PlannedError("no more items")

    with pytest.raises(PlannedError, match="no more items"):
        list(prefetch_map(abs, items(), 2, 4))


@WORKERS
def test_a_break_ends_the_threads_and_drops_the_work_not_begun(workers):
    begun, release = [], threading.Event()

    def work(item):
        begun.append(item)
        if item > 2:
            release.wait(30)
        return item

    for result in prefetch_map(work, range(1000), workers, 50):
        if result == 2:
            break
    release.set()
    join_threads()
    assert len(begun) <= 3 + workers


def test_a_break_does_not_wait_for_work_that_hangs():
    release = threading.Event()

    def work(item):
        if item:
            release.wait(30)
        return item

    results = prefetch_map(work, range(4), 2, 3)
    assert next(results) == 0
    results.close()  # comes back at once: the two threads still wait
    assert threads()
    release.set()


def test_dropping_the_iterator_ends_the_threads():
    results = prefetch_map(abs, range(100), 2, 10)
    next(results)
    assert threads()
    del results  # counted references alone: no cycle keeps it


def test_an_iterator_in_a_reference_cycle_ends_with_it():
    cycle = [prefetch_map(abs, range(100), 2, 10)]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()


def test_an_iterator_never_begun_has_no_threads():
    results = prefetch_map(abs, range(100), 2, 10)
    assert threads() == []
    del results


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends a signal to the main thread")
def test_ctrl_c_interrupts_the_wait_for_a_result():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals go to the main thread, and this is another")
    release, before = threading.Event(), signal.signal(signal.SIGINT, signal.default_int_handler)

    def work(item):
        if item == 2:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            release.wait(30)
        return item

    try:
        with pytest.raises(KeyboardInterrupt):
            list(prefetch_map(work, range(9), 1, 4))
    finally:
        release.set()
        signal.signal(signal.SIGINT, before)
