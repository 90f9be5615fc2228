"""List a bucket in constant memory: keys in the order of their UTF-8 bytes, each with its versions."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from botocore.exceptions import ClientError

from media_jobs.objects import OWN_KEYS, Entry, History, Version, Versions, version_of

RESTORE_STATUS = ["RestoreStatus"]
GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion"})

Item = tuple[str, Version, bool]
"""Key, version, is it the latest."""


def listing(s3: Any, bucket: str, versions: Versions) -> Iterator[Entry]:
    """Yield every key with its versions, but not the migration's own keys."""
    entries = histories(s3, bucket) if versions == "all" else current_versions(s3, bucket)
    return ((key, history) for key, history in entries if not key.startswith(OWN_KEYS))


def look(s3: Any, bucket: str, key: str, versions: Versions) -> History:
    """Return what a bucket holds of one key at this moment."""
    if versions == "all":
        return next((history for found, history in histories(s3, bucket, key) if found == key), ())
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            return ()
        raise
    found = {"Key": key, "Size": head["ContentLength"], **head}
    # The current version is meant, whichever it is when it is read: a listing gives no version either.
    return (version_of({name: value for name, value in found.items() if name != "VersionId"}),)


def current_versions(s3: Any, bucket: str) -> Iterator[Entry]:
    """Yield each key with its current version: one request per 1,000 keys."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, OptionalObjectAttributes=RESTORE_STATUS
    )
    for page in pages:
        for item in page.get("Contents", ()):
            yield item["Key"], (version_of(item),)


def histories(s3: Any, bucket: str, prefix: str = "") -> Iterator[Entry]:
    """Yield each key with all its versions and delete markers, oldest first."""
    for key, items in groupby(_items(s3, bucket, prefix), key=lambda item: item[0]):
        yield key, oldest_first([(version, latest) for _, version, latest in items])


def oldest_first(listed: Iterable[tuple[Version, bool]]) -> History:
    """Return the versions of one key, oldest first.

    Parameters
    ----------
    listed
        Each version with whether it is the latest, newest first as S3 lists them
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html).
    """

    # Times alone do not do: S3 tells them in seconds. A stable sort keeps S3's order within one.
    def age(item: tuple[Version, bool]) -> tuple[bool, datetime]:
        return item[1], item[0].last_modified

    reversed_order = list(listed)[::-1]
    return tuple(version for version, _ in sorted(reversed_order, key=age))


def remember_order(s3: Any) -> None:
    """Let a client's answers to ListObjectVersions tell in which order their items came, as `Order`.

    botocore sorts them into versions and delete markers, whose common order would be lost.
    """
    s3.meta.events.register_first("before-parse.s3.ListObjectVersions", _keep_order)


def _keep_order(response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    # Keys come URL-encoded and owners escaped: nothing else in the answer looks like these elements.
    found = re.findall(rb"<(Version|DeleteMarker)>", response_dict["body"])
    customized_response_dict["Order"] = [f"{name.decode()}s" for name in found]


def _items(s3: Any, bucket: str, prefix: str) -> Iterator[Item]:
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Prefix=prefix, OptionalObjectAttributes=RESTORE_STATUS
    )
    for page in pages:
        kinds = {
            "Versions": (
                (item["Key"], version_of(item), item["IsLatest"]) for item in page.get("Versions", ())
            ),
            "DeleteMarkers": (
                (item["Key"], _delete_marker(item), item["IsLatest"])
                for item in page.get("DeleteMarkers", ())
            ),
        }
        yield from sorted((next(kinds[kind]) for kind in page["Order"]), key=lambda item: item[0])


def _delete_marker(item: Mapping[str, Any]) -> Version:
    return Version(item["VersionId"], item["LastModified"], deleted=True)
