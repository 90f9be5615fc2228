"""What an object has besides its bytes: headers, user metadata, tags, storage class, encryption."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from media_jobs.errors import ChangedMeanwhileError
from media_jobs.listing import GONE
from media_jobs.objects import Version

HEADERS = {
    "ContentType": "Content-Type",
    "ContentEncoding": "Content-Encoding",
    "ContentDisposition": "Content-Disposition",
    "ContentLanguage": "Content-Language",
    "CacheControl": "Cache-Control",
    "Expires": "Expires",
    "WebsiteRedirectLocation": "x-amz-website-redirect-location",
}
"""Field of a HeadObject answer, which is the parameter of a request as well → header."""


@dataclass(frozen=True)
class Encryption:
    """How a bucket encrypts by default; None where it does not say."""

    algorithm: str | None = None
    key: str | None = None

    def fault(self, head: Mapping[str, Any]) -> str | None:
        """Return how an object is encrypted when that is not the bucket's default."""
        if self.algorithm is None:
            return None
        algorithm, key = head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")
        if algorithm != self.algorithm:
            return f"encryption {algorithm}, the bucket's default is {self.algorithm}"
        # An object tells its key's ARN; a bucket may name it by an alias, which says no more.
        if self.key and ":key/" in self.key and key != self.key:
            return f"encrypted with {key}, the bucket's default is {self.key}"
        return None


@dataclass(frozen=True)
class Properties:
    """Properties of one version.

    Parameters
    ----------
    headers
        By the names of `HEADERS`, those that the object has.
    metadata
        User metadata.
    tags
        By key.
    storage_class
        As S3 calls it.
    head
        The whole answer of HeadObject.
    """

    headers: dict[str, str]
    metadata: dict[str, str]
    tags: dict[str, str]
    storage_class: str
    head: Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """One thing that differs; `kind` as in `verification.json`."""

    kind: str
    key: str
    detail: str


def default_encryption(s3: Any, bucket: str) -> Encryption:
    """Return how a bucket encrypts what comes without a wish."""
    try:
        found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ServerSideEncryptionConfigurationNotFoundError":
            return Encryption()
        raise
    default = found[0]["ApplyServerSideEncryptionByDefault"]
    return Encryption(default["SSEAlgorithm"], default.get("KMSMasterKeyID"))


def read(s3: Any, bucket: str, key: str, version: Version) -> Properties:
    """Return the properties of a version.

    Raises
    ------
    ChangedMeanwhileError
        It is no longer there.
    """
    try:
        head = s3.head_object(Bucket=bucket, Key=key, **version.request)
        tags = s3.get_object_tagging(Bucket=bucket, Key=key, **version.request)["TagSet"]
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            raise ChangedMeanwhileError(key) from error
        raise
    # Expires is compared as it was written: a browser gets it so, whether or not it is a date.
    values = head | ({"Expires": head["ExpiresString"]} if "ExpiresString" in head else {})
    return Properties(
        headers={name: str(values[name]) for name in HEADERS if values.get(name)},
        metadata=head.get("Metadata", {}),
        tags={tag["Key"]: tag["Value"] for tag in tags},
        storage_class=head.get("StorageClass") or "STANDARD",
        head=head,
    )


def differences(
    key: str, source: Properties, candidate: Properties, encryption: Encryption
) -> list[Difference]:
    """Return every difference between two versions of a key, one entry for each header, key and tag."""
    found = [
        *_differing("metadata", key, _headers_of(source), _headers_of(candidate)),
        *_differing("metadata", key, _prefixed(source.metadata), _prefixed(candidate.metadata)),
        *_differing("tags", key, source.tags, candidate.tags),
    ]
    if source.storage_class != candidate.storage_class:
        detail = f"{source.storage_class}, in the candidate {candidate.storage_class}"
        found.append(Difference("storage-class", key, detail))
    fault = encryption.fault(candidate.head)
    if fault:
        found.append(Difference("metadata", key, fault))
    return found


def _headers_of(properties: Properties) -> dict[str, str]:
    return {HEADERS[name]: value for name, value in properties.headers.items()}


def _prefixed(metadata: Mapping[str, str]) -> dict[str, str]:
    return {f"x-amz-meta-{name}": value for name, value in metadata.items()}


def _differing(
    kind: str, key: str, source: Mapping[str, str], candidate: Mapping[str, str]
) -> list[Difference]:
    return [
        Difference(
            kind, key, f"{name}: {_said(source.get(name))}, in the candidate {_said(candidate.get(name))}"
        )
        for name in sorted(source.keys() | candidate.keys())
        if source.get(name) != candidate.get(name)
    ]


def _said(value: str | None) -> str:
    return "nothing" if value is None else repr(value)
