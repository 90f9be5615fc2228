"""Whether two versions hold the same bytes: by the listing, or at the last by reading both."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import ClientError

from media_jobs.errors import ChangedMeanwhileError
from media_jobs.listing import GONE
from media_jobs.objects import Buckets, Version

Means = Literal["etag", "checksum", "content", "size"]

LARGEST_READ = 1024**3
"""Bytes of an object that is still read from both sides when nothing else settles it."""

CHUNK = 1024 * 1024

ALGORITHMS = (
    "ChecksumCRC64NVME",
    "ChecksumCRC32C",
    "ChecksumCRC32",
    "ChecksumSHA512",
    "ChecksumSHA256",
    "ChecksumSHA1",
    "ChecksumMD5",
    "ChecksumXXHASH128",
    "ChecksumXXHASH64",
    "ChecksumXXHASH3",
)


@dataclass(frozen=True)
class Verdict:
    """Whether two versions are equal, by which means it was found, and what differs."""

    equal: bool
    by: Means
    detail: str = ""


def by_listing(source: Version, candidate: Version) -> Verdict | None:
    """Return what the listing settles without any request; None when it settles nothing.

    Equal ETags are equal bytes, those of multipart uploads (`…-N`) too. Different ETags say little: they
    depend on how an object was uploaded and encrypted
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html).
    """
    if source.size != candidate.size:
        return Verdict(False, "size", f"{source.size} bytes, in the candidate {candidate.size}")
    if source.etag == candidate.etag:
        return Verdict(True, "etag")
    return None


def compare(buckets: Buckets, key: str, source: Version, candidate: Version) -> Verdict:
    """Return whether two versions of one key hold the same bytes.

    Raises
    ------
    ChangedMeanwhileError
        One of them is no longer there.
    """
    return by_listing(source, candidate) or _by_requests(buckets, key, source, candidate)


def _by_requests(buckets: Buckets, key: str, source: Version, candidate: Version) -> Verdict:
    s3 = buckets.s3
    try:
        sides = [
            s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **version.request)
            for bucket, version in ((buckets.source, source), (buckets.candidate, candidate))
        ]
        if sides[0]["ContentLength"] != source.size or sides[0]["ETag"] != source.etag:
            raise ChangedMeanwhileError(key)
        common = by_checksum(*sides)
        if common is not None:
            return common
        if source.size > LARGEST_READ:
            return Verdict(True, "size")
        equal = digest(s3, buckets.source, key, source) == digest(s3, buckets.candidate, key, candidate)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE | {"PreconditionFailed", "412"}:
            raise ChangedMeanwhileError(key) from error
        raise
    return Verdict(equal, "content", "" if equal else "the contents differ")


def by_checksum(source: Mapping[str, Any], candidate: Mapping[str, Any]) -> Verdict | None:
    """Return what the checksums of two HeadObject answers settle; None when they share none to compare.

    A composite checksum is one of checksums of parts: different parts of the same bytes make different ones
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
    """
    for name in ALGORITHMS:
        first, second = source.get(name), candidate.get(name)
        if first is None or second is None:
            continue
        if first == second:
            return Verdict(True, "checksum")
        if all(_of_whole_object(side, name) for side in (source, candidate)):
            detail = f"{name.removeprefix('Checksum')} {first}, in the candidate {second}"
            return Verdict(False, "checksum", detail)
    return None


def _of_whole_object(head: Mapping[str, Any], name: str) -> bool:
    return bool(head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" and "-" not in head[name])


def digest(s3: Any, bucket: str, key: str, version: Version) -> str:
    """Return the SHA-256 of a version's content, read as a stream."""
    body = s3.get_object(Bucket=bucket, Key=key, IfMatch=version.etag, **version.request)["Body"]
    found = hashlib.sha256()
    for chunk in body.iter_chunks(CHUNK):
        found.update(chunk)
    return found.hexdigest()
