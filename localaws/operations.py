"""Which service and action a request calls, and how an error of that service looks on the wire."""

import json
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from botocore.exceptions import UnknownServiceError
from botocore.session import Session
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import HTTPException

FORM = "application/x-www-form-urlencoded"
JSON = "application/x-amz-json"

OPERATION_KEY = "localaws.operation"
"""Where the door leaves the operation of a request in its WSGI environment."""

TARGETS = {"DynamoDBStreams": "dynamodbstreams"}
"""First part of X-Amz-Target → service, where the signing name is shared with another service."""


class Refusal(ServiceException):  # type: ignore[misc]
    """An error that this server answers instead of moto."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True)
class Operation:
    """What a request asks for.

    Attributes
    ----------
    service:
        Name as in boto3, such as `stepfunctions`; `unknown` when it cannot be told.
    action:
        Name as in the API, such as `StartExecution`; `Unknown` when it cannot be told.
    access_key:
        Access key that signed the request; None when it is not signed.
    region:
        From the signature.
    resource:
        `bucket/key` (or `bucket`) of an S3 request with the bucket in the path, otherwise None.
    """

    service: str
    action: str
    access_key: str | None
    region: str | None
    resource: str | None = None


@cache
def _services_by_signing_name() -> dict[str, list[str]]:
    session = Session()
    found: dict[str, list[str]] = {}
    for name in session.get_available_services():
        model = session.get_service_model(name)
        found.setdefault(model.signing_name.lower(), []).append(name)
    return found


SHARED_SIGNING_NAMES = {
    "s3": ("s3", "s3control"),
    "rds": ("rds",),
    "elasticloadbalancing": ("elbv2", "elb"),
    "states": ("stepfunctions",),
    "events": ("events",),
    "monitoring": ("cloudwatch",),
    "email": ("ses",),
    "application-autoscaling": ("application-autoscaling",),
    "codedeploy": ("codedeploy",),
    "dynamodb": ("dynamodb",),
    "lambda": ("lambda",),
    "ec2": ("ec2",),
}
"""The usual ones, so that botocore's hundreds of models need not be read to find them."""


def _services(signing_name: str) -> tuple[str, ...]:
    if signing_name in SHARED_SIGNING_NAMES:
        return SHARED_SIGNING_NAMES[signing_name]
    try:
        Session().get_service_model(signing_name)
    except UnknownServiceError:
        return tuple(_services_by_signing_name().get(signing_name, ()))
    return (signing_name,)


_services = cache(_services)


def _credential_scope(environ: dict[str, Any]) -> list[str]:
    """Return access key, date, region, service and terminator of a signature, or an empty list."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    if "Credential=" in header:
        scope = header.split("Credential=")[1].split(",")[0].strip()
    else:
        scope = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    # An access key has no slash and the scope ends with four parts.
    parts = scope.split("/")
    return parts if len(parts) == 5 else []


def _form(environ: dict[str, Any]) -> dict[str, list[str]]:
    """Return the form of a request, leaving its body readable."""
    if not environ.get("CONTENT_TYPE", "").startswith(FORM):
        return {}
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = BytesIO(body)
    return parse_qs(body.decode(errors="replace"))


def identify(environ: dict[str, Any]) -> Operation:
    """Return what a WSGI request asks for."""
    scope = _credential_scope(environ)
    query = parse_qs(environ.get("QUERY_STRING", ""))
    access_key = scope[0] if scope else (query.get("AWSAccessKeyId") or [None])[0]
    region = scope[2] if scope else None
    candidates = _services(scope[3].lower()) if scope else ()
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        prefix, _, action = target.rpartition(".")
        service = TARGETS.get(prefix.split("_")[0]) or (candidates[0] if candidates else prefix)
        return Operation(service, action, access_key, region)
    form = _form(environ) or query
    if action_values := form.get("Action"):
        service = _by_version(candidates, (form.get("Version") or [""])[0])
        return Operation(service, action_values[0], access_key, region)
    for service in candidates:
        action = _route(service, environ)
        if action:
            return Operation(service, action, access_key, region, _resource(service, environ))
    return Operation(candidates[0] if candidates else "unknown", "Unknown", access_key, region)


def _by_version(candidates: tuple[str, ...], version: str) -> str:
    for service in candidates:
        if len(candidates) == 1 or get_service_model(service).api_version == version:
            return service
    return candidates[0] if candidates else "unknown"


def _route(service: str, environ: dict[str, Any]) -> str | None:
    if service == "s3" and environ.get("PATH_INFO", "").startswith("/v20180820/"):
        return None  # S3 Control shares S3's signing name
    try:
        matched, _ = get_service_router(service).match(Request(environ))
    except (HTTPException, NotImplementedError):
        return None
    return str(matched.name)


def _resource(service: str, environ: dict[str, Any]) -> str | None:
    if service != "s3":
        return None
    # WSGI hands the bytes of the path over as Latin-1.
    path: str = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
    return path.removeprefix("/") or None


def wire_error(error: Refusal, operation: Operation, content_type: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an error in the protocol of its service."""
    service = operation.service
    try:
        model = get_service_model(service)
        protocol = determine_request_protocol(model, content_type)
    except (UnknownServiceError, NotImplementedError):
        body = {"__type": error.code, "message": error.message, "Message": error.message}
        return error.status, {"Content-Type": "application/json"}, json.dumps(body).encode()
    serializer = get_serializer_class(model.service_name, protocol)(operation_model=OperationModel({}, model))
    serialized = serializer.serialize(error)
    headers = {name: str(value) for name, value in serialized["headers"].items()}
    if "x-amzn-errortype" not in {name.lower() for name in headers}:
        headers["x-amzn-errortype"] = str(error.code)
    body = serialized["body"]
    return error.status, headers, body.encode() if isinstance(body, str) else body
