"""Read sorted streams side by side, in constant memory and each ahead by a thread of its own."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from queue import Full, Queue
from typing import Any, TypeVar

from job_support.errors import JobError

T = TypeVar("T")

BATCH = 1000
"""Entries that a thread hands over at once: as many as S3 lists in one answer."""

BATCHES_AHEAD = 16
SECONDS_TO_LOOK_AROUND = 0.5


def merge(*streams: Iterator[tuple[str, T]]) -> Iterator[tuple[str, tuple[T | None, ...]]]:
    """Yield every key of any stream once, in order, with what each stream has for it (None: nothing).

    Strings compare by code points, which is the order of their UTF-8 bytes, which is the order of S3.

    Raises
    ------
    JobError
        `MediaJobFailed` when a stream is not in this order: the result would be wrong.
    """
    heads = [next(stream, None) for stream in streams]
    while waiting := [head[0] for head in heads if head is not None]:
        key = min(waiting)
        yield key, tuple(head[1] if head is not None and head[0] == key else None for head in heads)
        for index, head in enumerate(heads):
            if head is not None and head[0] == key:
                heads[index] = following = next(streams[index], None)
                if following is not None and following[0] <= key:
                    raise JobError(
                        "MediaJobFailed",
                        f"A list is not sorted: {following[0]!r} came after {key!r}.",
                        "Nothing was compared. Report this with the names of the two objects.",
                    )


@contextmanager
def side_by_side(
    *streams: Iterable[tuple[str, Any]],
) -> Iterator[Iterator[tuple[str, tuple[Any, ...]]]]:
    """Merge streams that are each read ahead by a thread; the threads end with the block.

    What the streams have for a key may be of different types: histories of a bucket, names of files.
    """
    with ExitStack() as stack:
        yield merge(*(stack.enter_context(read_ahead(stream)) for stream in streams))


@contextmanager
def read_ahead(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Let a thread read ahead, so far and no further; its exception is raised where the item is awaited."""
    batches: Queue[Sequence[T] | BaseException] = Queue(BATCHES_AHEAD)
    stopped = threading.Event()

    def hand_over(batch: Sequence[T] | BaseException) -> None:
        while not stopped.is_set():
            try:
                batches.put(batch, timeout=SECONDS_TO_LOOK_AROUND)
            except Full:
                continue
            return

    def read() -> None:
        remaining = iter(items)
        try:
            while batch := list(islice(remaining, BATCH)):
                hand_over(batch)
                if stopped.is_set():
                    return
            hand_over([])
        except BaseException as error:
            hand_over(error)

    def arriving() -> Iterator[T]:
        while batch := batches.get():
            if isinstance(batch, BaseException):
                raise batch
            yield from batch

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield arriving()
    finally:
        stopped.set()
