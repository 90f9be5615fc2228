"""What a listing tells of an object, and of all versions of a key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

OWN_KEYS = ".know-me/"
"""Keys below it are the migration's own: never counted, copied or compared."""

ARCHIVED_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Cannot be read before they are restored: https://docs.aws.amazon.com/AmazonS3/latest/userguide/archived-objects.html."""

LONGEST_KEY = 1024
"""Bytes of UTF-8: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""

Versions = Literal["current", "all"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, or a delete marker.

    Parameters
    ----------
    version_id
        None where only the current version is looked at.
    size
        Bytes.
    etag
        With its quotes, as S3 gives it.
    deleted
        Whether it is a delete marker: then the rest says nothing.
    readable
        False for an archived object that is not restored.
    """

    version_id: str | None
    last_modified: datetime
    size: int = 0
    etag: str = ""
    storage_class: str = "STANDARD"
    deleted: bool = False
    readable: bool = True

    @property
    def request(self) -> dict[str, str]:
        """What a request names this version by."""
        return {"VersionId": self.version_id} if self.version_id else {}


History = tuple[Version, ...]
"""The versions of a key, oldest first; one at most where only current versions are looked at."""

Entry = tuple[str, History]
"""A key and its versions."""


@dataclass(frozen=True)
class Buckets:
    """The two sides, and the client to reach them with."""

    s3: Any
    source: str
    candidate: str


def current(history: History | None) -> Version | None:
    """Return the version that a reader of the key gets, None when there is none."""
    return history[-1] if history and not history[-1].deleted else None


def version_of(item: Mapping[str, Any]) -> Version:
    """Return a version from an item of a listing."""
    storage_class = item.get("StorageClass") or "STANDARD"
    restored = "RestoreExpiryDate" in item.get("RestoreStatus", {})
    return Version(
        version_id=item.get("VersionId"),
        last_modified=item["LastModified"],
        size=item["Size"],
        etag=item["ETag"],
        storage_class=storage_class,
        readable=restored or storage_class not in ARCHIVED_CLASSES,
    )


def large_object(key: str, version: Version) -> dict[str, Any]:
    """Return an item of `large-objects.json`."""
    return {"key": key, "size": version.size, "etag": version.etag, "storage_class": version.storage_class}
