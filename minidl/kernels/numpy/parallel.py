"""One pool of threads for all kernels: NumPy lets go of Python's lock in products and in long elementwise calls.

Two threads that each multiply a tile of their own are faster than one product that BLAS splits between two: tiles
stay in a core's own cache, and nobody waits in between. So BLAS is limited to one thread while the pool works (by
threadpoolctl, where it is installed), and left as it was found. Products belong in the pool even where there is only
one: OpenBLAS's own threads, once woken, go on looking for work for a while, and take a core from those of the pool.

Tiles are cut without regard to the number of threads, and what they contribute to a sum is added up in their order:
results do not depend on how many threads there are.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from minidl.kernels.common.slices import slices
from minidl.mode import mode

LONGEST = 1 << 19
"""How many numbers a thread should take at a time, at most: 2 MB of float32."""

SHORTEST = 1 << 15
"""And at least: Python's lock goes from hand to hand with each call, which costs as much as some thousand numbers."""

HELD = 500
"""NumPy keeps that lock, and all threads waiting, during products with no more results than this."""

TURNS = 4
"""How many shares there should be, so that no thread waits long for the last."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Local(threading.local):
    """What each thread has for itself."""

    working = False  # on a tile: what it calls runs serially

    def __init__(self) -> None:
        self.buffers: dict[str, np.ndarray] = {}


class _Job:
    """A function, its items, and the results as they come in. Whoever has time takes the next item."""

    def __init__(self, function: Callable[[Any], Any], items: list[Any]):
        self.function, self.items = function, items
        self.next_index = itertools.count()
        self.outcomes: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()

    def work(self) -> None:
        """Take items until none is left."""
        try:
            _local.working = True
            while (index := next(self.next_index)) < len(self.items):
                try:
                    self.outcomes.put((index, self.function(self.items[index]), None))
                except BaseException as error:  # whatever it is, the thread that waits for the result is told
                    self.outcomes.put((index, None, error))
        finally:
            _local.working = False

    def results(self) -> list[Any]:
        """All results, in the order of the items, when they have come in; the first error is raised."""
        outcomes = sorted((self.outcomes.get() for _ in self.items), key=lambda outcome: outcome[0])
        for _, _, error in outcomes:
            if error is not None:
                raise error
        return [result for _, result, _ in outcomes]


class _Pool:
    """Threads that wait for jobs; they end with the process."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.size = 0
        self.lock = threading.Lock()

    def offer(self, job: _Job, helpers: int) -> None:
        """Ask for this many threads to join in."""
        with self.lock:
            while self.size < helpers:
                self.size += 1
                threading.Thread(target=self._serve, name=f"minidl-{self.size}", daemon=True).start()
        for _ in range(helpers):
            self.jobs.put(job)

    def _serve(self) -> None:
        while True:
            self.jobs.get().work()


class _SingleThreadedBlas:
    """A context in which every BLAS runs on one thread; when the last thread has left it, as many as before."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users: set[int] = set()  # threads: one that an interrupt kept from leaving leaves the next time
        self.libraries: list[Any] | None = None
        self.before: list[int] = []

    def __enter__(self) -> None:
        with self.lock:
            if not self.users:
                if self.libraries is None:
                    self.libraries = _blas_libraries()
                self.before = [library.num_threads for library in self.libraries]
                for library, threads in zip(self.libraries, self.before, strict=True):
                    if threads > 1:
                        library.set_num_threads(1)
            self.users.add(threading.get_ident())

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.users.discard(threading.get_ident())
            if not self.users:
                self.restore()

    def restore(self) -> None:
        """Give every BLAS the threads that it had."""
        for library, threads in zip(self.libraries or (), self.before, strict=True):
            if threads > 1:
                library.set_num_threads(threads)


def _blas_libraries() -> list[Any]:
    """The loaded BLAS libraries, as threadpoolctl controls them; without it BLAS keeps its threads."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_local = _Local()
_pool = _Pool()
_one_thread_each = _SingleThreadedBlas()
_threads = available_cores()


def _begin_anew() -> None:
    """In a forked process there are no threads, and nobody will release what they held."""
    global _pool, _one_thread_each
    if _one_thread_each.users:
        _one_thread_each.restore()
    _pool, _one_thread_each = _Pool(), _SingleThreadedBlas()
    _local.working = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def set_num_threads(threads: int) -> None:
    """How many threads minidl's NumPy kernels use, in the whole process. At first: as many as there are cores."""
    global _threads
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise ValueError(f"set_num_threads: expected a number of threads ≥ 1, got {threads!r}")
    _threads = int(threads)


def get_num_threads() -> int:
    """How many threads minidl's NumPy kernels use."""
    return _threads


def parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """function(item) for every item, on all threads; the results are in the order of the items."""
    items = list(items)
    if _local.working or not items:
        return [function(item) for item in items]
    if mode.profiler is not None:
        function = mode.profiler.tile(function)
    with _one_thread_each:
        if len(items) == 1:
            return [_alone(function, items[0])]
        job = _Job(function, items)
        if helpers := min(_threads, len(items)) - 1:
            _pool.offer(job, helpers)
        job.work()
        return job.results()


def _alone(function: Callable[[Item], Result], item: Item) -> Result:
    """function(item), without a job: for one small image the queue would take longer."""
    try:
        _local.working = True
        return function(item)
    finally:
        _local.working = False


def shares(count: int, size_of_one: int) -> list[slice]:
    """0..count in slices for threads to take: not too large for a cache, not too short to be worth a turn."""
    turns = max(1, min(TURNS, count * size_of_one // SHORTEST))
    step = max(1, min(-(-count // turns), LONGEST // max(1, size_of_one)))
    return slices(count, step)


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of undefined content that this thread gets again under this name: fresh memory costs page faults."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = _local.buffers.get(name)
    if buffer is None or buffer.size < size:
        buffer = _local.buffers[name] = np.empty(size, np.uint8)
    return buffer[:size].view(dtype).reshape(shape)
