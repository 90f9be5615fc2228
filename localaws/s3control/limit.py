"""How large an object may be that is copied in one request: 5 GB in AWS, less when a test says so.

`POST /_localaws/s3/single-copy-limit {"bytes": n}` lowers the limit, `DELETE` restores it, `GET` tells it. It
holds for CopyObject, for the range of UploadPartCopy and for the tasks of S3 Batch Operations.
"""

import json
from http import HTTPStatus
from typing import Any

from moto.s3.exceptions import S3ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from localaws.runtime import RouteAnswer

AWS_LIMIT_BYTES = 5_368_709_120
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""

PATH = "s3/single-copy-limit"


class CopySourceTooLargeError(S3ClientError):  # type: ignore[misc]
    """The source, or the range of it, is larger than what one request may copy."""

    code = "InvalidRequest"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {limit}"
        )


class _Setting(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = Field(alias="bytes", ge=1, le=AWS_LIMIT_BYTES)


class SingleCopyLimit:
    """The limit of one server.

    Attributes
    ----------
    size:
        In bytes; as large may still be copied.
    """

    def __init__(self) -> None:
        self.size = AWS_LIMIT_BYTES

    def check(self, size: int) -> None:
        """Raise `CopySourceTooLargeError` when so many bytes cannot be copied at once."""
        if size > self.size:
            raise CopySourceTooLargeError(self.size)

    def route(self, _rest: str, environ: dict[str, Any], _signed: bool) -> RouteAnswer:
        """Answer a request of the control path."""
        match environ["REQUEST_METHOD"]:
            case "POST":
                length = int(environ.get("CONTENT_LENGTH") or 0)
                try:
                    self.size = _Setting.model_validate_json(environ["wsgi.input"].read(length)).size
                except ValidationError as error:
                    text = error.json(include_url=False, include_input=False)
                    return HTTPStatus.BAD_REQUEST, [("Content-Type", "application/json")], text.encode()
            case "DELETE":
                self.size = AWS_LIMIT_BYTES
        return (
            HTTPStatus.OK,
            [("Content-Type", "application/json")],
            json.dumps({"bytes": self.size}).encode(),
        )
