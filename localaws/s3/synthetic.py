"""Many small objects at once, for tests and benchmarks: `POST /_localaws/s3/objects`.

The objects are put inside the server, without a request each, through the same code as PutObject: index,
versions, ETags, default encryption and events are those of any other object. Their content differs and
follows from `seed`, so that it can be known without reading it.
"""

import hashlib
import json
from typing import Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from localaws.runtime import RouteAnswer, Runtime
from localaws.s3.backend import Backend, encryption_of
from localaws.s3.content import Description

ANSWER = [("Content-Type", "application/json")]


class Request(BaseModel):
    """What is asked for.

    Attributes
    ----------
    bucket, prefix:
        The keys are `<prefix>` and a number of eight digits.
    count:
        Of objects.
    size:
        Bytes of each.
    seed:
        Another seed makes other contents.
    """

    model_config = ConfigDict(extra="forbid")

    bucket: str
    prefix: str = ""
    count: int = Field(ge=1, le=1_000_000)
    size: int = Field(default=16, ge=0, le=1_048_576)
    seed: int = 0


def content_of(seed: int, number: int, size: int) -> bytes:
    """Return the content of an object."""
    return hashlib.shake_128(f"{seed}/{number}".encode()).digest(size)


def put_objects(backend: Backend, asked: Request) -> int:
    """Make the objects; return how many bytes they have.

    Raises
    ------
    S3ClientError
        The bucket does not exist, or a key is not possible.
    """
    bucket = backend.get_bucket(asked.bucket)
    described = Description(encryption=encryption_of(bucket), acl=bucket.acl)
    for number in range(asked.count):
        content = content_of(asked.seed, number, asked.size)
        backend.put(asked.bucket, f"{asked.prefix}{number:08}", content, described)
    return asked.count * asked.size


def install_synthetic(runtime: Runtime) -> None:
    """Answer below `/_localaws/s3/objects`."""

    def answer(_rest: str, environ: dict[str, Any], _signed: bool) -> RouteAnswer:
        if environ["REQUEST_METHOD"] != "POST":
            return 405, ANSWER, b'{"message": "POST only"}'
        length = int(environ.get("CONTENT_LENGTH") or 0)
        try:
            asked = Request.model_validate_json(environ["wsgi.input"].read(length))
            total = put_objects(s3_backends[runtime.account_id]["aws"], asked)
        except ValidationError as error:
            return 400, ANSWER, error.json(include_url=False, include_input=False).encode()
        except S3ClientError as error:
            return 400, ANSWER, json.dumps({"code": error.code, "message": error.message}).encode()
        return 200, ANSWER, json.dumps({"objects": asked.count, "bytes": total}).encode()

    runtime.routes["s3/objects"] = answer
