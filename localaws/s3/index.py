"""The keys of a bucket in order, kept as keys come and go, and pages of them.

True: a page costs its own length, not the size of the bucket; the order is that of the keys' UTF-8 bytes,
which is the order of Python's strings (both compare code points).

Departures from moto: its store sorts (and for versions copies) every key of the bucket for every page, lists
delete markers' prefixes, and closes the content of an object that is overwritten while it is being read.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from moto.s3.models import FakeDeleteMarker, FakeKey
from moto.s3.utils import _VersionedKeyStore
from sortedcontainers import SortedList  # type: ignore[import-untyped]

BATCH = 256
"""Keys that are taken out of the index at a time."""

Version: TypeAlias = FakeKey | FakeDeleteMarker


class KeyStore(_VersionedKeyStore):  # type: ignore[misc]
    """Key → versions, the oldest first, with an index of the keys."""

    def __init__(self) -> None:
        super().__init__()
        self._index = SortedList()
        self._lock = threading.RLock()

    def __setitem__(self, key: str, value: Version) -> None:
        self.setlist(key, [*self.getlist(key, []), value])

    def setlist(self, key: str, list_: list[Version]) -> None:
        """Replace the versions of a key. Who still reads one that goes away reads on."""
        with self._lock:
            if key not in self:
                self._index.add(key)
            dict.__setitem__(self, key, list_)

    def pop(self, key: str) -> None:
        """Remove a key and its versions.

        Raises
        ------
        KeyError
            There is no such key.
        """
        with self._lock:
            dict.pop(self, key)
            self._index.discard(key)

    def names(self, start: str, *, inclusive: bool) -> Iterator[str]:
        """Yield the keys from `start` in order; keys may come and go meanwhile."""
        while True:
            with self._lock:
                found = list(islice(self._index.irange(minimum=start, inclusive=(inclusive, True)), BATCH))
            yield from found
            if len(found) < BATCH:
                return
            start, inclusive = found[-1], False


@dataclass(frozen=True)
class Page:
    """A part of a listing.

    Attributes
    ----------
    versions:
        In order.
    prefixes:
        Common prefixes, in order.
    truncated:
        Whether more follows.
    last:
        The last key or prefix on this page; None when it is empty.
    """

    versions: list[Version]
    prefixes: list[str]
    truncated: bool
    last: str | None


def _after_all(prefix: str) -> str:
    """Return the first string behind all that begin with `prefix`."""
    text = prefix.rstrip(chr(0x10FFFF))
    return text[:-1] + chr(ord(text[-1]) + 1)


def _items(
    store: KeyStore, prefix: str, delimiter: str, after: str, visible: Any
) -> Iterator[tuple[str, list[Version] | None]]:
    """Yield (key, versions) and (common prefix, None), beyond `after`."""
    start, inclusive = (prefix, True) if after < prefix else (after, False)
    while True:
        for name in store.names(start, inclusive=inclusive):
            if not name.startswith(prefix):
                return
            versions = visible(store.getlist(name, []))
            if not versions:
                continue
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                yield name, versions
                continue
            common = name[: end + len(delimiter)]
            if common > after:
                yield common, None
            start, inclusive = _after_all(common), True
            break
        else:
            return


def _page(items: Iterator[tuple[str, Version | None]], limit: int) -> Page:
    found = list(islice(items, limit + 1)) if limit else []
    kept = found[:limit]
    return Page(
        [version for _, version in kept if version is not None],
        [name for name, version in kept if version is None],
        len(found) > limit,
        kept[-1][0] if kept else None,
    )


def objects(store: KeyStore, *, prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """Return a page of the current objects.

    Parameters
    ----------
    store:
        Of the bucket.
    prefix, delimiter:
        As in ListObjectsV2; empty when not given.
    after:
        The page begins behind this key or common prefix.
    limit:
        Keys and common prefixes.
    """

    def current(versions: list[Version]) -> list[Version]:
        return versions[-1:] if versions and isinstance(versions[-1], FakeKey) else []

    items = _items(store, prefix, delimiter, after, current)
    return _page(((name, versions[0] if versions else None) for name, versions in items), limit)


def versions(
    store: KeyStore, *, prefix: str, delimiter: str, after: str, after_version: str | None, limit: int
) -> Page:
    """Return a page of all versions and delete markers, the newest of each key first.

    Parameters
    ----------
    store, prefix, delimiter, after, limit:
        As of `objects`.
    after_version:
        The page begins behind this version of the key `after`; None: behind all of its versions.
    """

    def every() -> Iterator[tuple[str, Version | None]]:
        if after_version is not None and after.startswith(prefix):
            left = store.getlist(after, [])[::-1]
            ids = [version.version_id for version in left]
            if after_version in ids:
                yield from ((after, version) for version in left[ids.index(after_version) + 1 :])
        for name, found in _items(store, prefix, delimiter, after, lambda versions: versions):
            if found is None:
                yield name, None
            else:
                yield from ((name, version) for version in reversed(found))

    return _page(every(), limit)
