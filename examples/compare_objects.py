"""Compare objects of the old and the new media bucket as ``aws s3api head-object`` shows them.

The old bucket refuses writes since the app was stopped for the migration, so it is what there was. What the
client replaced or deleted in the new bucket afterwards is told apart by the log: see `explained`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from botocore.exceptions import ClientError

from examples.api.media import MEDIA_PREFIX
from examples.reconcile_photos import Expectation

MIGRATION_PREFIX = ".know-me/"
"""Keys below it are the migration's own."""

_THREADS = 12
_CHUNK_BYTES = 1 << 20
# Every header of an answer to HeadObject that belongs to the object and not to its place or the time.
HEADERS = (
    "ContentLength",
    "ContentType",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ExpiresString",
    "WebsiteRedirectLocation",
    "StorageClass",
    "Metadata",
)


@dataclass
class Comparison:
    """How the objects of two buckets compare; `differences` are faults."""

    objects: int = 0
    compared: int = 0
    by_content: int = 0
    changed_since: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether no object differs, and any was compared."""
        return self.compared > 0 and not self.differences

    def summary(self) -> str:
        """Return one line for a person."""
        verdict = "agree" if self.agrees else "DISAGREE"
        return (
            f"head-object and tags of {self.compared:,} of {self.objects:,} objects {verdict}"
            + (f", {self.by_content} large ones compared byte for byte" if self.by_content else "")
            + (f"; the client changed {self.changed_since} of them since" if self.changed_since else "")
            + (f": {'; '.join(self.differences[:5])}" if self.differences else "")
        )


@dataclass(frozen=True)
class Listed:
    """What a listing says about an object; its size is in bytes."""

    written: datetime
    size: int


def listing(s3: Any, bucket: str) -> dict[str, Listed]:
    """Return every object of a bucket by its key; what belongs to the migration is left out."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {
        item["Key"]: Listed(item["LastModified"], item["Size"])
        for page in pages
        for item in page.get("Contents", [])
        if not item["Key"].startswith(MIGRATION_PREFIX)
    }


def compare_objects(
    s3: Any, old: str, new: str, log: Mapping[int, Expectation], sample: int | None = None
) -> Comparison:
    """Compare headers, user metadata, tags and ETag of objects that the old bucket has.

    Parameters
    ----------
    s3
        boto3 client.
    old, new
        Names of the buckets.
    log
        What the client's log says about its photos.
    sample
        About how many objects, spread evenly over the keys, and the largest one; None for all.
    """
    listed = listing(s3, old)
    result = Comparison(objects=len(listed))
    chosen = sorted(listed)
    if sample and sample < len(chosen):
        # The largest was copied in parts, if any was.
        largest = max(chosen, key=lambda key: listed[key].size)
        chosen = sorted({*chosen[:: -(-len(chosen) // sample)], largest})
    logged = {MEDIA_PREFIX + wanted.file: wanted for wanted in log.values()}
    with ThreadPoolExecutor(_THREADS) as pool:
        pairs = pool.map(lambda key: (_look(s3, old, key), _look(s3, new, key)), chosen)
        for key, (before, after) in zip(chosen, pairs, strict=True):
            if explained(before, after, logged.get(key)):
                result.changed_since += 1
                continue
            result.compared += 1
            found = differences(before, after)
            # Parts have an ETag of their own: only the content tells.
            if not found and before["ETag"] != after["ETag"]:
                result.by_content += 1
                if "-" not in after["ETag"] + before["ETag"] or _hash(s3, old, key) != _hash(s3, new, key):
                    found = ["ETag"]
            result.differences += [f"{key}: {', '.join(found)}"] if found else []
    return result


def explained(before: Mapping[str, Any], after: Mapping[str, Any] | None, wanted: Expectation | None) -> bool:
    """Return whether the log says that the client itself changed an object after it was copied."""
    if wanted is None:
        return False
    if after is None:
        return None in wanted.allowed
    digest = after["Metadata"].get("sha256")
    return digest in wanted.allowed and digest != before["Metadata"].get("sha256")


def differences(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> list[str]:
    """Return the names of what differs between two objects, besides the ETag."""
    if after is None:
        return ["missing"]
    return [name for name in (*HEADERS, "Tags") if before.get(name) != after.get(name)]


def _look(s3: Any, bucket: str, key: str) -> Any:
    """Return what HeadObject and GetObjectTagging say, None when there is no such object."""
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
        tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return {**head, "Tags": {tag["Key"]: tag["Value"] for tag in tags}}


def _hash(s3: Any, bucket: str, key: str) -> str:
    digest = sha256()
    for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
