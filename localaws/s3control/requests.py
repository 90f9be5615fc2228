"""What S3 checks of the source before CopyObject and UploadPartCopy, and moto does not.

True: a missing source or upload has its error (moto answers UploadPartCopy without a body),
`x-amz-copy-source-if-match`, a range that is not in the source, the size that one request may copy.
Not implemented: `x-amz-copy-source-if-modified-since` and `…-if-unmodified-since` are ignored.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.s3.exceptions import (
    InvalidArgumentError,
    MissingKey,
    MissingVersion,
    NoSuchUpload,
    PreconditionFailed,
)
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from localaws.s3.access import copy_source
from localaws.s3control.limit import SingleCopyLimit

RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def _size(headers: Mapping[str, str], found: FakeKey) -> int:
    """Return how many bytes of the source the request copies."""
    text = headers.get("x-amz-copy-source-range")
    if text is None:
        return int(found.size)
    span = RANGE.fullmatch(text)
    first, last = (int(span[1]), int(span[2])) if span else (1, 0)
    if not first <= last < found.size:
        raise InvalidArgumentError(
            f"Range specified is not valid for source object of size: {found.size}",
            "x-amz-copy-source-range",
            text,
        )
    return last - first + 1


def limited(stock: Callable[..., Any], limit: SingleCopyLimit) -> Callable[..., Any]:
    """Return an action of moto that copies, with the checks before it."""

    @functools.wraps(stock)
    def response(self: S3Response) -> Any:
        upload = self._get_param("uploadId")
        if upload and upload not in self.backend.get_bucket(self.bucket_name).multiparts:
            raise NoSuchUpload(upload_id=upload)
        name, key, version = copy_source(self.headers["x-amz-copy-source"])
        found = self.backend.get_object(name, key, version_id=version)
        if found is None:
            raise MissingVersion if version else MissingKey(key=key)
        wanted = self.headers.get("x-amz-copy-source-if-match")
        if wanted is not None and wanted.strip('"') != found.etag.strip('"'):
            raise PreconditionFailed("x-amz-copy-source-If-Match")
        limit.check(_size(self.headers, found))
        return stock(self)

    return response
