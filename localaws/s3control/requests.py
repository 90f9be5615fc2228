"""CopyObject and UploadPartCopy within the limit that `localaws.s3control.limit` sets."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.s3.models import FakeKey
from moto.s3.responses import S3Response

from localaws.s3.access import copy_source
from localaws.s3control.limit import SingleCopyLimit

RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def _size(headers: Mapping[str, str], found: FakeKey) -> int:
    """Return how many bytes of the source the request copies."""
    text = headers.get("x-amz-copy-source-range")
    span = RANGE.fullmatch(text) if text else None
    return int(found.size) if span is None else min(int(span[2]) + 1, int(found.size)) - int(span[1])


def limited(stock: Callable[..., Any], limit: SingleCopyLimit) -> Callable[..., Any]:
    """Return an action of S3 that copies, refused when it would copy too much at once."""

    @functools.wraps(stock)
    def response(self: S3Response) -> Any:
        name, key, version = copy_source(self.headers["x-amz-copy-source"])
        found = self.backend.get_object(name, key, version)
        if found is not None:  # otherwise the action itself says so
            limit.check(_size(self.headers, found))
        return stock(self)

    return response
