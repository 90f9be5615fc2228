"""Lists of keys in files: one JSON string per line, compressed, sorted as S3 sorts."""

import gzip
import heapq
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from job_support.run_folder import RunFolder


def fetch(folder: RunFolder, name: str, path: Path) -> Iterator[tuple[str, bool]]:
    """Download a list of the run folder; return its keys, each with True. None is an empty one."""
    return read(path) if folder.download(name, path) else iter(())


def read(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the keys of a file, each with True, as a stream to be merged."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield json.loads(line), True


class KeyFile:
    """A list that is written key by key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._lines = gzip.open(path, "wt", encoding="utf-8", newline="\n")  # noqa: SIM115 - see close

    def add(self, key: str) -> None:
        """Write a key; they come in order."""
        self._lines.write(json.dumps(key, ensure_ascii=False) + "\n")
        self.count += 1

    def close(self) -> Path:
        """End the list; return its path."""
        self._lines.close()
        return self.path


def write(path: Path, keys: Iterable[str]) -> Path:
    """Write a list of sorted keys."""
    made = KeyFile(path)
    for key in keys:
        made.add(key)
    return made.close()


def with_more(path: Path, more: Iterable[str], target: Path) -> Path:
    """Write the keys of a list and some more, in order."""
    return write(target, heapq.merge((key for key, _ in read(path)), sorted(more)))
