"""Checksums of objects: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html.

True: a checksum that a client sends (header or trailer) is compared with the content and kept; CopyObject
keeps or makes one of the whole object; multipart uploads have composite or full-object ones. Not true: S3
itself adds CRC64NVME when a client sends none; nothing here computes it at a bearable speed, so the object
has none then. CRC32C and CRC64NVME are kept as they were sent, not compared, and refused where they would
have to be computed.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from moto.s3.exceptions import S3ClientError

DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": lambda content: zlib.crc32(content).to_bytes(4, "big"),
    "SHA1": lambda content: hashlib.sha1(content, usedforsecurity=False).digest(),
    "SHA256": lambda content: hashlib.sha256(content).digest(),
}
"""Algorithm → digest, of those that can be computed here."""

ALGORITHMS = (*DIGESTS, "CRC32C", "CRC64NVME")
TRAILER = re.compile(rb"x-amz-checksum-(\w+):([A-Za-z0-9+/]+=*)")


@dataclass(frozen=True)
class Checksum:
    """A checksum of an object.

    Attributes
    ----------
    algorithm:
        Such as `CRC32`.
    value:
        In base64, without the number of parts.
    parts:
        Of a composite checksum; None of one of the whole object.
    """

    algorithm: str
    value: str
    parts: int | None = None


def digest(algorithm: str, content: bytes) -> str:
    """Return a checksum in base64.

    Raises
    ------
    NotImplementedError
        The algorithm cannot be computed here.
    """
    if algorithm not in DIGESTS:
        raise NotImplementedError(f"computing a {algorithm} checksum")
    return base64.b64encode(DIGESTS[algorithm](content)).decode()


def sent(headers: Mapping[str, str], raw_body: bytes) -> tuple[str, str] | None:
    """Return algorithm and value that came with a request, in a header or in the trailer of its body."""
    for algorithm in ALGORITHMS:
        if value := headers.get(f"x-amz-checksum-{algorithm.lower()}"):
            return algorithm, value
    if headers.get("x-amz-trailer", "").lower().startswith("x-amz-checksum-"):
        found = TRAILER.search(raw_body, max(0, len(raw_body) - 1024))
        if found:
            return found[1].decode().upper(), found[2].decode()
    return None


def of_request(headers: Mapping[str, str], raw_body: bytes, content: bytes) -> Checksum | None:
    """Return the checksum to keep with content that came with a request.

    Raises
    ------
    S3ClientError
        `BadDigest`: a checksum or `Content-MD5` does not fit the content.
    """
    md5 = headers.get("Content-MD5")
    if md5 and md5 != base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode():
        raise S3ClientError("BadDigest", "The Content-MD5 you specified did not match what we received.")
    found = sent(headers, raw_body)
    if found is None:
        asked = headers.get("x-amz-sdk-checksum-algorithm", "").upper()
        return Checksum(asked, digest(asked, content)) if asked in DIGESTS else None
    algorithm, value = found
    if algorithm in DIGESTS and value != digest(algorithm, content):
        message = f"The {algorithm} you specified did not match the calculated checksum."
        raise S3ClientError("BadDigest", message)
    return Checksum(algorithm, value)


def of_upload(algorithm: str, kind: str | None, contents: list[bytes]) -> Checksum:
    """Return the checksum of a multipart upload: composite unless `kind` is `FULL_OBJECT`."""
    if (kind or "COMPOSITE") == "FULL_OBJECT":
        return Checksum(algorithm, digest(algorithm, b"".join(contents)))
    joined = b"".join(base64.b64decode(digest(algorithm, content)) for content in contents)
    return Checksum(algorithm, digest(algorithm, joined), len(contents))
