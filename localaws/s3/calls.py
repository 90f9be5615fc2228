"""The calls on objects: PutObject, CopyObject, UploadPart, UploadPartCopy, GetObject, HeadObject and others.

True: conditions on source and destination, metadata and tagging directives, checksums, parts of an object,
listings of uploads and of parts. How much one copy may have is said by `localaws.s3control.limit`. Not true:
keys that customers provide (SSE-C) are ignored.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import xmltodict  # type: ignore[import-untyped]
from moto.core.responses import ActionResult
from moto.core.utils import str_to_rfc_1123_datetime
from moto.s3.exceptions import (
    CopyObjectMustChangeSomething,
    HeadOnDeleteMarker,
    InvalidArgumentError,
    InvalidMaxPartNumberArgument,
    InvalidPartOrder,
    MissingKey,
    ObjectNotInActiveTierError,
    PreconditionFailed,
    RangeNotSatisfiable,
)
from moto.s3.models import OWNER, FakeBucket
from moto.s3.notifications import S3NotificationEvent as Event
from moto.s3.responses import S3Response
from moto.s3.utils import ARCHIVE_STORAGE_CLASSES

from localaws.s3 import checksums
from localaws.s3.access import copy_source
from localaws.s3.backend import Backend, encryption_of
from localaws.s3.content import Description, Encryption, Object, metadata_of

MOST_UPLOADS = 1000
OWNED = {"ID": OWNER, "DisplayName": "webfile"}


def _encryption(self: S3Response, bucket: FakeBucket) -> Encryption:
    named = {
        name: self.headers.get(f"x-amz-server-side-encryption{suffix}")
        for name, suffix in (
            ("algorithm", ""),
            ("key", "-aws-kms-key-id"),
            ("bucket_key", "-bucket-key-enabled"),
        )
    }
    bucket_key = None if named["bucket_key"] is None else named["bucket_key"].lower() == "true"
    return encryption_of(bucket, named["algorithm"], named["key"], bucket_key)


def _described(self: S3Response, bucket: FakeBucket, **more: Any) -> Description:
    """Return what the headers of a request say about the object that it makes."""
    hold, mode, until = self._get_lock_details(bucket, bucket.object_lock_enabled)
    said: dict[str, Any] = {
        "metadata": metadata_of(self.headers),
        "tags": self._tagging_from_headers(self.headers),
        "storage_class": self.headers.get("x-amz-storage-class", "STANDARD"),
        "encryption": _encryption(self, bucket),
        "website_redirect": self.headers.get("x-amz-website-redirect-location"),
        "acl": self._acl_from_headers(self.headers) or bucket.acl,
        "legal_hold": hold,
        "lock_mode": mode,
        "lock_until": until,
    }
    return Description(**(said | more))


def _check_destination(self: S3Response, backend: Backend, key: str) -> None:
    """Hold the conditions on what a write would replace: `If-Match` and `If-None-Match: *`."""
    wanted, unwanted = self.headers.get("If-Match"), self.headers.get("If-None-Match")
    if wanted is None and unwanted is None:
        return
    there = backend.get_object(self.bucket_name, key)
    if wanted is not None and there is None:
        raise MissingKey(key=key)
    if wanted is not None and wanted.strip('"') != there.etag.strip('"'):
        raise PreconditionFailed("If-Match")
    if unwanted == "*" and there is not None:
        raise PreconditionFailed("If-None-Match")


def _written(made: Object) -> dict[str, Any]:
    """Return the headers of an answer about an object that was made."""
    kept = ("etag", "x-amz-version-id", "x-amz-server-side-encryption")
    headers = {
        name: value
        for name, value in made.response_dict.items()
        if name.lower() in kept or name.startswith("x-amz-server-side-encryption-")
    }
    if made.version_id == "null":
        headers.pop("x-amz-version-id", None)
    return headers


def put_object(self: S3Response) -> Any:
    """Answer PutObject."""
    backend, key, bucket = self.backend, self.parse_key_name(), self.backend.get_bucket(self.bucket_name)
    _check_destination(self, backend, key)
    content = bytes(self.body or b"")
    checksum = checksums.of_request(self.headers, self.raw_body or b"", content)
    made = backend.put(self.bucket_name, key, content, _described(self, bucket, checksum=checksum))
    return 200, {**self._get_cors_headers_other(), **_written(made), **made.checksum_headers()}, ""


def _since(headers: Mapping[str, str], name: str) -> datetime.datetime | None:
    text = headers.get(name)
    return None if text is None else str_to_rfc_1123_datetime(text)


def _check_source(self: S3Response, source: Object) -> None:
    """Hold the conditions on the source of a copy and refuse what is archived."""
    headers, prefix = self.headers, "x-amz-copy-source-if-"
    etag, modified = source.etag.strip('"'), source.last_modified.replace(microsecond=0)
    wanted, unwanted = headers.get(f"{prefix}match"), headers.get(f"{prefix}none-match")
    after, before = _since(headers, f"{prefix}modified-since"), _since(headers, f"{prefix}unmodified-since")
    failed = {
        "match": wanted is not None and wanted.strip('"') != etag,
        "none-match": unwanted is not None and unwanted.strip('"') == etag,
        "modified-since": after is not None and modified <= after,
        # An ETag that matches outweighs the date:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html.
        "unmodified-since": before is not None and modified > before and wanted is None,
    }
    for name, fails in failed.items():
        if fails:
            raise PreconditionFailed(f"x-amz-copy-source-If-{name.title()}")
    if source.storage_class in ARCHIVE_STORAGE_CLASSES and 'ongoing-request="false"' not in str(
        source.response_dict.get("x-amz-restore")
    ):
        raise ObjectNotInActiveTierError(source)


def _copied_checksum(self: S3Response, source: Object) -> checksums.Checksum | None:
    asked = self.headers.get("x-amz-checksum-algorithm")
    there: checksums.Checksum | None = source.checksum
    algorithm = asked.upper() if asked else there.algorithm if there else None
    if algorithm is None or (there and there.parts is None and algorithm == there.algorithm):
        return there
    return checksums.Checksum(algorithm, checksums.digest(algorithm, source.value))


def copy_object(self: S3Response) -> Any:
    """Answer CopyObject: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html."""
    backend, key, headers = self.backend, self.parse_key_name(), self.headers
    bucket = backend.get_bucket(self.bucket_name)
    named = copy_source(headers["x-amz-copy-source"])
    source = backend.found(*named)
    _check_source(self, source)
    replaced = headers.get("x-amz-metadata-directive") == "REPLACE"
    changes = ("x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-website-redirect-location")
    in_place = (source.bucket_name, source.name) == (self.bucket_name, key) and named[2] is None
    if in_place and not (replaced or bucket.encryption or any(name in headers for name in changes)):
        raise CopyObjectMustChangeSomething
    _check_destination(self, backend, key)
    more: dict[str, Any] = {"checksum": _copied_checksum(self, source)}
    if not replaced:
        more["metadata"] = dict(source.metadata)
    if headers.get("x-amz-tagging-directive") != "REPLACE":
        more["tags"] = backend.tags_of(source)
    described = _described(self, bucket, **more)
    made = backend.put(self.bucket_name, key, source.value, described, Event.OBJECT_CREATED_COPY_EVENT)
    result: dict[str, Any] = {"ETag": made.etag, "LastModified": made.last_modified}
    if made.checksum is not None:
        result |= {f"Checksum{made.checksum.algorithm}": made.checksum.value, "ChecksumType": "FULL_OBJECT"}
    self.data["Action"] = "CopyObject"
    status, answered, body = self.serialized(ActionResult({"CopyObjectResult": result}))
    answered |= self._get_cors_headers_other() | _written(made)
    if source._is_versioned:
        answered["x-amz-copy-source-version-id"] = source.version_id
    return status, answered, body


def _part_number(self: S3Response) -> int:
    number = self._get_int_param("partNumber")
    if not 1 <= number <= 10000:
        raise InvalidMaxPartNumberArgument(number)
    return int(number)


def upload_part(self: S3Response) -> Any:
    """Answer UploadPart."""
    content = bytes(self.body or b"")
    checksum = checksums.of_request(self.headers, self.raw_body or b"", content)
    part = self.backend.put_part(
        self.bucket_name, self._get_param("uploadId"), _part_number(self), content, checksum
    )
    return 200, {**self._get_cors_headers_other(), "ETag": part.etag, **_checksum_alone(part)}, ""


def _checksum_alone(part: Object) -> dict[str, str]:
    return {name: value for name, value in part.checksum_headers().items() if name != "x-amz-checksum-type"}


def _range(text: str, size: int) -> tuple[int, int]:
    """Return the first byte and the one behind the last of `bytes=first-last`."""
    first, _, last = text.removeprefix("bytes=").partition("-")
    if not (text.startswith("bytes=") and first.isdigit() and last.isdigit() and int(first) <= int(last)):
        message = (
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are "
            "the zero-based offsets of the first and last bytes to copy"
        )
        raise InvalidArgumentError(message, "x-amz-copy-source-range", text)
    if int(last) >= size:
        message = f"Range specified is not valid for source object of size: {size}"
        raise InvalidArgumentError(message, "x-amz-copy-source-range", text)
    return int(first), int(last) + 1


def upload_part_copy(self: S3Response) -> Any:
    """Answer UploadPartCopy; moto ignores the conditions and takes a wrong range for the whole object."""
    backend, number, upload_id = self.backend, _part_number(self), self._get_param("uploadId")
    upload = backend.upload(self.bucket_name, upload_id)
    source = backend.found(*copy_source(self.headers["x-amz-copy-source"]))
    _check_source(self, source)
    text = self.headers.get("x-amz-copy-source-range")
    first, end = (0, source.size) if text is None else _range(text, source.size)
    content = source.value[first:end]
    algorithm = upload.metadata.get("x-amz-checksum-algorithm")
    checksum = algorithm and checksums.Checksum(algorithm, checksums.digest(algorithm, content))
    part = backend.put_part(self.bucket_name, upload_id, number, content, checksum)
    result = {"ETag": part.etag, "LastModified": part.last_modified}
    if checksum:
        result[f"Checksum{checksum.algorithm}"] = checksum.value
    self.data["Action"] = "UploadPartCopy"
    status, answered, body = self.serialized(ActionResult({"CopyPartResult": result}))
    answered |= self._get_cors_headers_other()
    if source._is_versioned:
        answered["x-amz-copy-source-version-id"] = source.version_id
    return status, answered, body


def complete_multipart_body(_self: S3Response, body: bytes) -> Iterator[tuple[int, str]]:
    """Yield number and ETag of the parts that CompleteMultipartUpload names.

    Raises
    ------
    InvalidPartOrder
        Not in ascending order (moto never refuses that).
    """
    before = 0
    document = xmltodict.parse(body, force_list=("Part",))["CompleteMultipartUpload"] or {}
    for part in document.get("Part", []):
        number = int(part["PartNumber"])
        if number <= before:
            raise InvalidPartOrder
        before = number
        yield number, part["ETag"]


def tagging_from_xml(self: S3Response) -> dict[str, str]:
    """Return the tags that PutObjectTagging names; moto fails when it names none, and strips spaces."""
    parsed = xmltodict.parse(self.body, force_list=("Tag",), strip_whitespace=False)["Tagging"]
    tags = ((parsed or {}).get("TagSet") or {}).get("Tag", [])
    return {tag["Key"]: tag["Value"] or "" for tag in tags}


def list_multipart_uploads(self: S3Response) -> Any:
    """Answer ListMultipartUploads: by key, then by the time when they began."""
    asked = self.request.args
    prefix, marker = asked.get("prefix", ""), (asked.get("key-marker", ""), asked.get("upload-id-marker", ""))
    limit = min(int(asked.get("max-uploads", MOST_UPLOADS)), MOST_UPLOADS)
    uploads = list(self.backend.get_bucket(self.bucket_name).multiparts.values())
    uploads = sorted(uploads, key=lambda upload: (upload.key_name, upload.initiated))
    uploads = [upload for upload in uploads if upload.key_name.startswith(prefix)]
    if marker[0]:
        ids = [upload.id for upload in uploads]
        begin = ids.index(marker[1]) + 1 if marker[1] in ids else 0
        uploads = [
            upload
            for position, upload in enumerate(uploads)
            if upload.key_name > marker[0] or (begin and upload.key_name == marker[0] and position >= begin)
        ]
    page = uploads[:limit]
    result: dict[str, Any] = {
        "Bucket": self.bucket_name,
        "Prefix": prefix,
        "KeyMarker": marker[0],
        "UploadIdMarker": marker[1],
        "MaxUploads": limit,
        "IsTruncated": len(uploads) > limit,
        "Uploads": [
            {
                "Key": upload.key_name,
                "UploadId": upload.id,
                "Initiator": OWNED,
                "Owner": OWNED,
                "StorageClass": upload.storage or "STANDARD",
                "Initiated": upload.initiated,
                "ChecksumAlgorithm": upload.metadata.get("x-amz-checksum-algorithm"),
            }
            for upload in page
        ],
    }
    if result["IsTruncated"]:
        result |= {"NextKeyMarker": page[-1].key_name, "NextUploadIdMarker": page[-1].id}
    self.data["Action"] = "ListMultipartUploads"
    return self.serialized(ActionResult(result))


def _part_headers(found: Object, number: int) -> tuple[dict[str, str], int, int]:
    """Return the headers of a part, its first byte and the one behind its last."""
    span = found.part(number)
    if span is None:
        raise RangeNotSatisfiable
    first, end = span
    headers = {"content-length": str(end - first), "content-range": f"bytes {first}-{end - 1}/{found.size}"}
    if found.multipart:
        headers["x-amz-mp-parts-count"] = str(len(found.multipart.parts))
    return headers, first, end


def get_object(stock: Callable[[S3Response], Any]) -> Callable[[S3Response], Any]:
    """Return GetObject that knows the parts of an object."""

    def answer(self: S3Response) -> Any:
        return _get_part(self, stock) if "partNumber" in self.querystring else stock(self)

    return answer


def _get_part(self: S3Response, stock: Callable[[S3Response], Any]) -> Any:
    number = _part_number(self)
    self.querystring = {name: value for name, value in self.querystring.items() if name != "partNumber"}
    status, headers, body = stock(self)
    if status != 200:
        return status, headers, body
    found, _ = self._get_key()
    part, first, end = _part_headers(found, number)
    return 206, headers | part, found.value[first:end]


def head_object(
    self: S3Response, bucket_name: str, query: dict[str, Any], key_name: str, headers: Mapping[str, str]
) -> Any:
    """Answer HeadObject."""
    version = query.get("versionId", [None])[0]
    number = query.get("partNumber", [None])[0]
    try:
        found = self.backend.head_object(bucket_name, key_name, version)
    except HeadOnDeleteMarker as covered:
        told = {"x-amz-delete-marker": "true", "x-amz-version-id": version or covered.marker.version_id}
        return (405, told | {"allow": "DELETE"}, "") if version else (404, told, "")
    if found is None:
        return 404, {}, ""
    answered: dict[str, Any] = {**found.metadata, **found.response_dict, "Accept-Ranges": "bytes"}
    etag, modified = found.etag.strip('"'), found.last_modified.replace(microsecond=0)
    wanted, unwanted = headers.get("If-Match"), headers.get("If-None-Match")
    before, after = _since(headers, "If-Unmodified-Since"), _since(headers, "If-Modified-Since")
    if (wanted and wanted.strip('"') != etag) or (not wanted and before and modified > before):
        return 412, {}, ""
    if (unwanted and unwanted.strip('"') == etag) or (not unwanted and after and modified <= after):
        return 304, {name: value for name, value in answered.items() if not name.startswith("content-")}, ""
    if headers.get("x-amz-checksum-mode") == "ENABLED":
        answered |= found.checksum_headers()
    if number is None:
        return 200, answered, ""
    part, _, _ = _part_headers(found, int(number))
    return 206, answered | part, ""


def get_object_attributes(self: S3Response) -> Any:
    """Answer GetObjectAttributes."""
    found, _ = self._get_key(validate_storage_class=False)
    asked = [name.strip() for name in self.headers.get("x-amz-object-attributes", "").split(",")]
    checksum, upload = found.checksum, found.multipart
    attributes: dict[str, Any] = {
        "ETag": found.etag.strip('"'),
        "ObjectSize": found.size,
        "StorageClass": found.storage_class,
        "Checksum": checksum
        and {f"Checksum{checksum.algorithm}": checksum.value, "ChecksumType": found.checksum_type},
        "ObjectParts": upload and {"TotalPartsCount": len(upload.parts)},
    }
    result = {name: value for name, value in attributes.items() if name in asked and value is not None}
    self.data["Action"] = "GetObjectAttributes"
    status, headers, body = self.serialized(ActionResult(result | {"LastModified": found.last_modified}))
    if found._is_versioned:
        headers["x-amz-version-id"] = found.version_id
    return status, headers | self._get_cors_headers_other(), body
