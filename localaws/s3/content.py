"""What an object is: its content, what came with it, and how it was put together.

True: system metadata and user metadata are kept apart from the other headers of a request; the ETag is the
MD5 of the content, of its parts' MD5s after a multipart upload, and neither when a KMS key encrypts it. Not
true: contents are in memory, and copies share them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.s3.models import FakeAcl, FakeKey, get_canned_acl
from moto.utilities.utils import md5_hash

from localaws.s3.checksums import Checksum

SYSTEM_METADATA = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Type",
    "Expires",
)
DEFAULT_TYPE = "binary/octet-stream"


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that a request names: header in lower case → value."""
    given = list(headers.keys())  # iterating over werkzeug's headers yields pairs
    names = [*SYSTEM_METADATA, *(name for name in given if name.lower().startswith("x-amz-meta-"))]
    found = {name.lower(): headers[name] for name in names if name in headers}
    encodings = [part.strip() for part in found.get("content-encoding", "").split(",")]
    found["content-encoding"] = ",".join(part for part in encodings if part and part != "aws-chunked")
    return {name: value for name, value in found.items() if value or name.startswith("x-amz-meta-")}


@dataclass(frozen=True)
class Encryption:
    """How an object is encrypted: algorithm, KMS key, and whether a bucket key is used."""

    algorithm: str = "AES256"
    key_id: str | None = None
    bucket_key: bool = False


@dataclass(frozen=True)
class Upload:
    """The multipart upload that an object came from.

    Attributes
    ----------
    id:
        Of the upload.
    parts:
        Number of a part → bytes of it.
    """

    id: str
    parts: dict[int, int]


@dataclass(frozen=True)
class Description:
    """Everything about an object but its key and content."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"
    encryption: Encryption = field(default_factory=Encryption)
    website_redirect: str | None = None
    acl: FakeAcl | None = None
    checksum: Checksum | None = None
    upload: Upload | None = None
    etag: str | None = None
    lock_mode: str | None = None
    lock_until: str | None = None
    legal_hold: str | None = None


class Object(FakeKey):  # type: ignore[misc]
    """A version of an object. Nothing about its content changes once it is there."""

    def __init__(
        self, bucket: Any, name: str, content: bytes, described: Description, version_id: str
    ) -> None:
        super().__init__(
            name=name,
            value=content,
            account_id=bucket.account_id,
            region_name=bucket.region_name,
            storage=described.storage_class,
            is_versioned=bucket.versioning_status is not None,
            version_id=version_id,
            bucket_name=bucket.name,
            encryption=described.encryption.algorithm,
            kms_key_id=described.encryption.key_id,
            bucket_key_enabled=described.encryption.bucket_key or None,
            lock_mode=described.lock_mode,
            lock_legal_status=described.legal_hold,
            lock_until=described.lock_until,
        )
        self._etag = described.etag or _etag(content, described.encryption)
        self.multipart = described.upload
        self.website_redirect_location = described.website_redirect
        self.acl = described.acl or get_canned_acl("private")
        self.set_metadata({"content-type": DEFAULT_TYPE, **described.metadata}, replace=True)
        self.checksum = described.checksum
        if self.checksum is not None:
            self.checksum_algorithm = self.checksum.algorithm
            self.checksum_value = self.checksum.value
            self.checksum_type = "FULL_OBJECT" if self.checksum.parts is None else "COMPOSITE"
            self.checksum_parts = self.checksum.parts

    @property
    def value(self) -> bytes:
        """The content."""
        return self._content

    @value.setter
    def value(self, content: bytes) -> None:
        self._content = bytes(content)
        self.contentsize = len(self._content)

    @property
    def etag(self) -> str:
        """The ETag in quotes."""
        return f'"{self._etag}"'

    def checksum_headers(self) -> dict[str, str]:
        """Return what GetObject and HeadObject answer with `ChecksumMode=ENABLED`."""
        if self.checksum is None:
            return {}
        parts = "" if self.checksum.parts is None else f"-{self.checksum.parts}"
        return {
            f"x-amz-checksum-{self.checksum.algorithm.lower()}": self.checksum.value + parts,
            "x-amz-checksum-type": str(self.checksum_type),
        }

    def part(self, number: int) -> tuple[int, int] | None:
        """Return the first byte of a part and the one behind its last; None when there is no such part.

        An object that was not uploaded in parts has one part.
        """
        parts = self.multipart.parts if self.multipart else {1: self.size}
        if number not in parts:
            return None
        start = sum(size for other, size in parts.items() if other < number)
        return start, start + parts[number]


def _etag(content: bytes, encryption: Encryption) -> str:
    """Return the ETag of an object that was not uploaded in parts.

    With a KMS key it is not the MD5 of the content:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html.
    """
    secret = b"" if encryption.algorithm == "AES256" else os.urandom(16)
    return str(md5_hash(content + secret).hexdigest())
