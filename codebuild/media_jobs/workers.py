"""Threads that wait for S3: so many at a time, and no more work queued than they soon do."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Semaphore
from typing import Any

THREADS = 32
"""Each waits for an answer of S3 most of its time; S3 takes 3,500 writes a second per prefix."""

QUEUED = 4 * THREADS


class Workers:
    """A pool of threads whose queue is bounded; the first unexpected exception ends everything."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._places = Semaphore(QUEUED)
        self._error: BaseException | None = None

    def submit(self, work: Callable[..., object], *arguments: Any) -> None:
        """Have work done; wait for a place in the queue."""
        self._places.acquire()
        self._raise()
        self._pool.submit(work, *arguments).add_done_callback(self._done)

    def wait(self) -> None:
        """Wait until everything submitted is done."""
        for _ in range(QUEUED):
            self._places.acquire()
        self._places.release(QUEUED)
        self._raise()

    def _done(self, future: "Future[object]") -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._error = self._error or error
        self._places.release()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


@contextmanager
def workers() -> Iterator[Workers]:
    """Lend threads; at the end of the block their work is done, or, when it fails, nothing new begins."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="worker")
    try:
        lent = Workers(pool)
        yield lent
        lent.wait()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
