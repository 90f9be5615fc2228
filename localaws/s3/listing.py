"""ListObjects, ListObjectsV2 and ListObjectVersions out of the index of a bucket.

True: Prefix, Delimiter, MaxKeys (1,000 at most), Marker, StartAfter, ContinuationToken, version markers,
EncodingType and FetchOwner.

The answers are written here and not by moto's serializer, which needs half a second for a page.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from moto.s3.exceptions import InvalidArgumentError, InvalidContinuationToken
from moto.s3.models import OWNER, FakeKey
from moto.s3.responses import S3Response

from localaws.s3 import index

MOST_KEYS = 1000
OWNED = {"ID": OWNER, "DisplayName": "webfile"}
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class InOrder(list[tuple[str, Any]]):
    """Elements of several names in one order, as versions and delete markers are listed: newest first."""


def _element(name: str, value: Any) -> str:
    """Return XML: an element, one for each item of a list, nothing for None."""
    match value:
        case None:
            return ""
        case InOrder():
            return "".join([_element(inner, item) for inner, item in value])
        case list():
            return "".join([_element(name, item) for item in value])
        case dict():
            text = "".join([_element(inner, item) for inner, item in value.items()])
        case bool():
            text = str(value).lower()
        case _:
            text = escape(str(value))
    return f"<{name}>{text}</{name}>"


def _document(name: str, value: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    inside = "".join(_element(inner, item) for inner, item in value.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{NAMESPACE}">{inside}</{name}>'
    return 200, {"Content-Type": "application/xml"}, body


def _encoding(self: S3Response) -> Callable[[str], str]:
    """Return how this answer writes names: as they are, or percent-encoded so that XML can hold any key."""
    return quote if _asked(self, "encoding-type") == "url" else str


def _asked(self: S3Response, name: str) -> str:
    found: str = self.request.args.get(name, "")
    return found


def _limit(self: S3Response) -> int:
    text = _asked(self, "max-keys") or str(MOST_KEYS)
    if not text.isascii() or not text.isdigit():
        raise InvalidArgumentError(
            "Provided max-keys not an integer or within integer range", "max-keys", text
        )
    return min(int(text), MOST_KEYS)


def _entry(key: FakeKey, written: Callable[[str], str], owner: bool) -> dict[str, Any]:
    entry = {
        "Key": written(key.name),
        "LastModified": key.last_modified_ISO8601,
        "ETag": key.etag,
        "Size": key.size,
        "StorageClass": key.storage_class,
    }
    if owner:
        entry["Owner"] = OWNED
    if key.checksum_algorithm and key.checksum_value:
        entry["ChecksumAlgorithm"] = [key.checksum_algorithm]
        entry["ChecksumType"] = key.checksum_type or "FULL_OBJECT"
    return entry


def _answer(self: S3Response, name: str, page: index.Page, result: dict[str, Any]) -> Any:
    written, limit = _encoding(self), _limit(self)
    common = {
        "Name": self.bucket_name,
        "Prefix": written(_asked(self, "prefix")),
        "MaxKeys": limit,
        "IsTruncated": page.truncated,
        "CommonPrefixes": [{"Prefix": written(prefix)} for prefix in page.prefixes],
    }
    if delimiter := _asked(self, "delimiter"):
        common["Delimiter"] = written(delimiter)
    if _asked(self, "encoding-type"):
        common["EncodingType"] = "url"
    return _document(name, common | result)


def _objects(self: S3Response, after: str) -> index.Page:
    store = self.backend.get_bucket(self.bucket_name).keys
    prefix, delimiter = _asked(self, "prefix"), _asked(self, "delimiter")
    return index.objects(store, prefix=prefix, delimiter=delimiter, after=after, limit=_limit(self))


def list_objects(self: S3Response) -> Any:
    """Answer ListObjects. Only with a delimiter the answer names the next marker, as in AWS."""
    written, page = _encoding(self), _objects(self, _asked(self, "marker"))
    result = {
        "Marker": written(_asked(self, "marker")),
        "Contents": [_entry(key, written, owner=True) for key in page.versions],
    }
    if page.truncated and page.last is not None and _asked(self, "delimiter"):
        result["NextMarker"] = written(page.last)
    return _answer(self, "ListBucketResult", page, result)


def _token(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode()


def _after(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError) as error:
        raise InvalidContinuationToken from error


def list_objects_v2(self: S3Response) -> Any:
    """Answer ListObjectsV2."""
    arguments, written = self.request.args, _encoding(self)
    token, start = arguments.get("continuation-token"), _asked(self, "start-after")
    if token == "":
        raise InvalidContinuationToken
    page = _objects(self, start if token is None else _after(token))
    owner = _asked(self, "fetch-owner").lower() == "true"
    result = {
        "KeyCount": len(page.versions) + len(page.prefixes),
        "Contents": [_entry(key, written, owner) for key in page.versions],
    }
    if start:
        result["StartAfter"] = written(start)
    if token is not None:
        result["ContinuationToken"] = token
    if page.truncated and page.last is not None:
        result["NextContinuationToken"] = _token(page.last)
    return _answer(self, "ListBucketResult", page, result)


def list_object_versions(self: S3Response) -> Any:
    """Answer ListObjectVersions."""
    written, store = _encoding(self), self.backend.get_bucket(self.bucket_name).keys
    marker, version = _asked(self, "key-marker"), _asked(self, "version-id-marker")
    if version and not marker:
        message = "A version-id marker cannot be specified without a key marker."
        raise InvalidArgumentError(message, "version-id-marker", version)
    page = index.versions(
        store,
        prefix=_asked(self, "prefix"),
        delimiter=_asked(self, "delimiter"),
        after=marker,
        after_version=version or None,
        limit=_limit(self),
    )
    found = InOrder()
    for one in page.versions:
        latest = store.getlist(one.name, [None])[-1] is one
        entry = {"VersionId": one.version_id, "IsLatest": latest}
        if isinstance(one, FakeKey):
            found.append(("Version", entry | _entry(one, written, owner=True)))
        else:
            modified = one.last_modified_ISO8601
            described = {"Key": written(one.name), "LastModified": modified, "Owner": OWNED}
            found.append(("DeleteMarker", entry | described))
    result = {
        "KeyMarker": written(marker),
        "VersionIdMarker": version,
        "Versions": found,
    }
    if page.truncated and page.last is not None:
        result["NextKeyMarker"] = written(page.last)
        if page.versions and page.versions[-1].name == page.last:
            result["NextVersionIdMarker"] = page.versions[-1].version_id
    return _answer(self, "ListVersionsResult", page, result)
