"""Large objects: what S3 does not copy in one request is copied in parts (multipart upload).

S3's rules (Amazon S3 User Guide, "Multipart upload limits"): at most 10,000 parts, each 5 MiB to 5 GiB, only
the last one may be smaller.
"""

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from botocore.exceptions import ClientError
from pydantic import BaseModel

from know_me.aws import error_code
from know_me.errors import MediaCopyFailed
from know_me.run_folder import RunFolder

MIB = 1024**2
SMALLEST_PART = 5 * MIB
LARGEST_PART = 5 * 1024 * MIB
USUAL_PART = 256 * MIB
"""Small enough that a part which fails is cheap to repeat, large enough that 100 GiB are 400 requests."""
MOST_PARTS = 10_000

DESCRIPTION = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "StorageClass",
    "WebsiteRedirectLocation",
)
"""What an object has besides its bytes, as HeadObject and CreateMultipartUpload both call it."""

CHECKSUMS = ("CRC64NVME", "CRC32C", "CRC32", "SHA256", "SHA1")


class LargeObject(BaseModel):
    """An entry of `large-objects.json`."""

    key: str
    size: int
    etag: str
    storage_class: str


class LargeCopy(BaseModel):
    """The copy of one object in parts: what is under way, and which parts are still missing."""

    done: bool
    key: str
    size: int
    gone: bool = False
    upload_id: str | None = None
    copy_source: str | None = None
    etag: str | None = None
    part_size: int | None = None
    parts: int | None = None
    missing_parts: list[int] = []


class Pair(BaseModel):
    """The two buckets of a copy."""

    source: str
    candidate: str


def part_size(size: int, limit: int, like: tuple[int, int] | None = None) -> int:
    """Return the size of all parts but the last, in bytes.

    Parameters
    ----------
    size : int
        Of the object, in bytes.
    limit : int
        What one request may copy, in bytes.
    like : (int, int), optional
        Size of the source's first part and how many parts it has: parts of the same sizes keep the ETag.
    """
    if like is not None:
        first, count = like
        large_enough = first >= SMALLEST_PART or count == 1
        if (
            large_enough
            and first <= min(limit, LARGEST_PART)
            and part_count(size, first) == count <= MOST_PARTS
        ):
            return first
    wanted = max(min(USUAL_PART, limit), -(-size // MOST_PARTS))
    return min(max(wanted, SMALLEST_PART), LARGEST_PART)


def part_count(size: int, of: int) -> int:
    """Return into how many parts an object is cut."""
    return max(1, -(-size // of))


def ranges(size: int, of: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last byte of each part."""
    for start in range(0, size, of):
        yield start, min(start + of, size) - 1


def begin(s3: Any, folder: RunFolder, buckets: Pair, key: str, limit: int) -> LargeCopy:
    """Begin to copy an object in parts, or take up what this run has begun; safe to repeat.

    The run keeps which upload it made for which content and description; another upload of the same key is
    what a run left that was killed, and is aborted.
    """
    source = _head(s3, buckets.source, key, ChecksumMode="ENABLED")
    if source is None:
        return LargeCopy(done=True, gone=True, key=key, size=0)
    size, etag = source["ContentLength"], source["ETag"].strip('"')
    described = _described(s3, buckets.source, key, source)
    if _is_equal(s3, buckets.candidate, key, source, described):
        return LargeCopy(done=True, key=key, size=size, etag=etag)
    each = part_size(size, limit, _parts_of(s3, buckets.source, key, etag))
    record = f"media/large/{_identity(key, etag)}.json"
    wanted = {
        "key": key,
        "etag": etag,
        "part_size": each,
        "described": {n: str(v) for n, v in described.items()},
    }
    known = folder.read(record) or {}
    upload_id = (
        known.get("upload_id") if all(known.get(name) == value for name, value in wanted.items()) else None
    )
    there = None if upload_id is None else _parts(s3, buckets.candidate, key, upload_id)
    if there is None:
        _abort_strays(s3, buckets.candidate, key)
        upload_id = s3.create_multipart_upload(
            Bucket=buckets.candidate, Key=key, **described, **_checksum_to_keep(source)
        )["UploadId"]
        folder.write(record, {**wanted, "upload_id": upload_id})
        there = []
    sizes = {part["PartNumber"]: part["Size"] for part in there}
    missing = [
        number
        for number, (first, last) in enumerate(ranges(size, each), start=1)
        if sizes.get(number) != last - first + 1
    ]
    return LargeCopy(
        done=False,
        key=key,
        size=size,
        upload_id=upload_id,
        copy_source=f"{buckets.source}/{quote(key, safe='/~')}",
        etag=etag,
        part_size=each,
        parts=part_count(size, each),
        missing_parts=missing,
    )


def complete(s3: Any, folder: RunFolder, buckets: Pair, copy: LargeCopy) -> int:
    """Put the parts together and compare the result; return its bytes. Safe to repeat.

    An object that changed while it was copied is left to the next round: 0.

    Raises
    ------
    MediaCopyFailed
        Parts are missing, or the new object is not what it should be.
    """
    parts = _parts(s3, buckets.candidate, copy.key, str(copy.upload_id))
    if parts is None:  # completed before, when this step is repeated
        _check(copy, _head(s3, buckets.candidate, copy.key), None)
        return _copied(folder, copy)
    if len(parts) != copy.parts or sum(part["Size"] for part in parts) != copy.size:
        if has_changed(s3, buckets.source, copy):
            abort(s3, buckets, copy)
            return 0
        raise MediaCopyFailed(
            f"Of the {copy.parts} parts of {copy.key} only {len(parts)} were copied.",
            "Start the migration again; what is copied stays.",
        )
    s3.complete_multipart_upload(
        Bucket=buckets.candidate,
        Key=copy.key,
        UploadId=copy.upload_id,
        MultipartUpload={
            "Parts": [{name: value for name, value in part.items() if name in PART_FIELDS} for part in parts]
        },
    )
    _check(copy, _head(s3, buckets.candidate, copy.key), composite_etag([part["ETag"] for part in parts]))
    return _copied(folder, copy)


PART_FIELDS = frozenset({"ETag", "PartNumber", *(f"Checksum{name}" for name in CHECKSUMS)})


def abort(s3: Any, buckets: Pair, copy: LargeCopy) -> None:
    """Abort the upload, so that nobody pays for its parts; safe to repeat."""
    if copy.upload_id is None:
        return
    try:
        s3.abort_multipart_upload(Bucket=buckets.candidate, Key=copy.key, UploadId=copy.upload_id)
    except ClientError as error:
        if error_code(error) != "NoSuchUpload":
            raise


def has_changed(s3: Any, bucket: str, copy: LargeCopy) -> bool:
    """Whether the source is gone, or another object than when the copy began."""
    now = _head(s3, bucket, copy.key)
    return now is None or now["ETag"].strip('"') != copy.etag


def failure_document(key: str) -> str:
    """Return the name of the document that says why a large object was not copied."""
    return f"media/failed/{hashlib.sha256(key.encode()).hexdigest()}.json"


def composite_etag(etags: list[str]) -> str:
    """Return the ETag that S3 gives to an object of these parts: the MD5 of their MD5s, and how many."""
    digests = b"".join(bytes.fromhex(etag.strip('"')) for etag in etags)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"


def _copied(folder: RunFolder, copy: LargeCopy) -> int:
    """Record what was copied: the summary counts these documents."""
    folder.write(
        f"media/large-copied/{_identity(copy.key, str(copy.etag))}.json",
        {"key": copy.key, "bytes": copy.size},
    )
    return copy.size


def _identity(key: str, etag: str) -> str:
    return hashlib.sha256(f"{etag}\n{key}".encode()).hexdigest()


def _check(copy: LargeCopy, made: dict[str, Any] | None, etag: str | None) -> None:
    """Compare the new object with what was copied.

    The ETag is the MD5 of the parts' MD5s unless the bucket encrypts with KMS (Amazon S3 API Reference,
    Object).
    """
    comparable = (
        etag is not None and made is not None and made.get("ServerSideEncryption") in (None, "AES256")
    )
    if made is None or made["ContentLength"] != copy.size or (comparable and made["ETag"].strip('"') != etag):
        found = "nothing" if made is None else f"{made['ContentLength']} bytes with the ETag {made['ETag']}"
        raise MediaCopyFailed(
            f"The copy of {copy.key} is not what was copied: {found} instead of {copy.size} bytes"
            f"{' with the ETag ' + etag if comparable and etag else ''}.",
            "Start the migration again; the object is copied once more.",
        )


def _head(s3: Any, bucket: str, key: str, **more: Any) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = s3.head_object(Bucket=bucket, Key=key, **more)
    except ClientError as error:
        if error_code(error) in ("404", "NoSuchKey", "NotFound"):
            return None
        raise
    return found


def _described(s3: Any, bucket: str, key: str, head: dict[str, Any]) -> dict[str, Any]:
    """Return headers, metadata, storage class and tags as CreateMultipartUpload takes them."""
    tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    described = {name: head[name] for name in DESCRIPTION if head.get(name)}
    if tags:
        described["Tagging"] = urlencode(sorted((tag["Key"], tag["Value"]) for tag in tags))
    return described


def _is_equal(s3: Any, bucket: str, key: str, source: dict[str, Any], described: dict[str, Any]) -> bool:
    candidate = _head(s3, bucket, key)
    if candidate is None:
        return False
    same = all(candidate[name] == source[name] for name in ("ContentLength", "ETag"))
    return same and _described(s3, bucket, key, candidate) == described


def _parts_of(s3: Any, bucket: str, key: str, etag: str) -> tuple[int, int] | None:
    """Return the size of the first part and how many parts there are; None when it was uploaded in one."""
    if "-" not in etag:
        return None
    first = _head(s3, bucket, key, PartNumber=1)
    if first is None or not first.get("PartsCount"):
        return None
    return first["ContentLength"], first["PartsCount"]


def _checksum_to_keep(head: dict[str, Any]) -> dict[str, str]:
    """Return the kind of checksum that the new object should have: the source's own.

    A whole-object checksum of an object made of parts exists for the CRCs only (Amazon S3 User Guide,
    "Checking object integrity").
    """
    algorithm = next((name for name in CHECKSUMS if head.get(f"Checksum{name}")), None)
    if algorithm is None:
        return {}
    composite = algorithm.startswith("SHA") or head.get("ChecksumType") == "COMPOSITE"
    return {"ChecksumAlgorithm": algorithm, "ChecksumType": "COMPOSITE" if composite else "FULL_OBJECT"}


def _parts(s3: Any, bucket: str, key: str, upload_id: str) -> list[dict[str, Any]] | None:
    """List the parts of an upload; None when there is no such upload."""
    try:
        return [
            part
            for page in s3.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=upload_id)
            for part in page.get("Parts", [])
        ]
    except ClientError as error:
        if error_code(error) == "NoSuchUpload":
            return None
        raise


def _abort_strays(s3: Any, bucket: str, key: str) -> None:
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key):
        for upload in page.get("Uploads", []):
            if upload["Key"] == key:
                s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])
