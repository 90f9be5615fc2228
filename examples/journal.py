"""The client's log of writes: one JSON document per line, on disk before the next write is begun.

| field | |
|---|---|
| ``at`` | seconds since the epoch |
| ``outcome`` | ``acknowledged``: the API promised it. ``unanswered``: no promise, the row may exist or not |
| ``resource`` | path of the resource, for example ``journal-entries`` |
| ``reference`` | the id that the client gave the row |
| ``id``, ``hash`` | of an acknowledged row: its id, and the hash of what the API answered |
| ``reason`` | of an unanswered write: why |
"""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO


class JournalError(Exception):
    """The log of writes cannot be read; the message names file and line."""


class Journal:
    """An open log of writes, for many threads.

    Parameters
    ----------
    path
        Appended to; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file: TextIO = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, record: dict[str, Any]) -> None:
        """Append one record; it is on disk when this returns."""
        line = json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a log.

    A last line without its line end was being written when the client was killed; it is left out, and its row
    shows up as unexplained.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    return
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise JournalError(f"{path}, line {number} is not JSON: {error}") from error
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error}") from error
