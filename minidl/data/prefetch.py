"""Doing the next pieces of work in the background while the last one is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch_map(function: Callable[[T], R], items: Iterable[T], num_workers: int, ahead: int) -> Iterator[R]:
    """Like `map`, in the same order, computed by threads, at most `ahead` results before they are asked for.

    An exception in the function comes out where its result would have. However the iteration ends (at its
    end, by an exception, a `break`, Ctrl-C or because the iterator is dropped), the threads finish the
    piece of work in hand and end.
    """
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="minidl-prefetch")
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # waiting could hang a `break` on a slow read
