"""Sub-resources that moto does not know and takes for the bucket or the object itself.

Deleting a bucket's metrics configuration would delete the bucket, so these are refused.
"""

import functools
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.s3.responses import S3Response

PRETENDED = {
    "bucket": {
        "GET": {
            "abac",
            "analytics",
            "intelligent-tiering",
            "metadataConfiguration",
            "metadataTable",
            "metrics",
            "session",
        },
        "PUT": {
            "abac",
            "analytics",
            "intelligent-tiering",
            "metadataAnnotationTable",
            "metadataInventoryTable",
            "metadataJournalTable",
            "metrics",
            "requestPayment",
        },
        "DELETE": {
            "analytics",
            "intelligent-tiering",
            "inventory",
            "metadataConfiguration",
            "metadataTable",
            "metrics",
        },
        "POST": {"metadataConfiguration", "metadataTable"},
    },
    "key": {
        "GET": {"annotation", "retention", "torrent"},
        "PUT": {"annotation", "encryption", "renameObject"},
        "DELETE": {"annotation"},
    },
}
"""Sub-resources that moto takes for the bucket or the object itself."""


def refuse_pretended(kind: str, stock: Callable[..., Any]) -> Callable[..., Any]:
    """Return a dispatcher of moto (`kind`: `bucket` or `key`) that refuses what it would mistake."""

    @functools.wraps(stock)
    def response(self: S3Response, http_request: Any, *arguments: Any) -> Any:
        names = set(http_request.args) & PRETENDED[kind].get(http_request.method, set())
        if names:
            raise NotImplementedError(f"{http_request.method} ?{names.pop()}")
        if kind == "bucket" and http_request.method == "GET" and "requestPayment" in http_request.args:
            self.data["Action"] = "GetBucketRequestPayment"
            return self.serialized(ActionResult({"Payer": "BucketOwner"}))
        return stock(self, http_request, *arguments)

    return response
