"""Bucket policies: may this principal make this call on this object.

True: object calls and listings need every action that AWS names for them, also on the source of a copy, and
a Deny for the principal refuses them with `AccessDenied`; an anonymous call needs an Allow, or to read an
object whose ACL is public. Not true: plain HTTP to the local server counts as secure transport
(`aws:SecureTransport` is true), because the server is on loopback addresses and has no TLS, and a policy that
demands TLS would refuse every call; other calls on buckets are not looked at; conditions on existing tags
find none; the identity policies of a caller are not evaluated until `localaws.authorisation` does.

Departure from moto: it evaluates `s3:<Method>Object` for everybody alike, answers "denied" for each statement
whose condition does *not* match, and without a body.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from flask import has_request_context, request
from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import BucketAccessDeniedError, MissingBucket
from moto.s3.models import FakeBucket, S3Backend
from moto.s3.responses import S3Response

from localaws.operations import OPERATION_KEY, Operation
from localaws.policies import Decision, document, evaluate
from localaws.principals import ANONYMOUS, Principal, principal_of

ACTIONS: dict[str, tuple[str, ...]] = {
    "AbortMultipartUpload": ("AbortMultipartUpload",),
    "CompleteMultipartUpload": ("PutObject",),
    "CopyObject": ("PutObject",),
    "CreateMultipartUpload": ("PutObject",),
    "DeleteObject": ("DeleteObject",),
    "DeleteObjectTagging": ("DeleteObjectTagging",),
    "GetObject": ("GetObject",),
    "GetObjectAcl": ("GetObjectAcl",),
    "GetObjectAttributes": ("GetObject", "GetObjectAttributes"),
    "GetObjectLegalHold": ("GetObjectLegalHold",),
    "GetObjectTagging": ("GetObjectTagging",),
    "HeadObject": ("GetObject",),
    "ListParts": ("ListMultipartUploadParts",),
    "PutObject": ("PutObject",),
    "PutObjectAcl": ("PutObjectAcl",),
    "PutObjectLegalHold": ("PutObjectLegalHold",),
    "PutObjectRetention": ("PutObjectRetention",),
    "PutObjectTagging": ("PutObjectTagging",),
    "RestoreObject": ("RestoreObject",),
    "SelectObjectContent": ("GetObject",),
    "UploadPart": ("PutObject",),
    "UploadPartCopy": ("PutObject",),
    "HeadBucket": ("ListBucket",),
    "ListMultipartUploads": ("ListBucketMultipartUploads",),
    "ListObjects": ("ListBucket",),
    "ListObjectsV2": ("ListBucket",),
    "ListObjectVersions": ("ListBucketVersions",),
}
"""Operation → what it needs: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html."""

OF_A_VERSION = {
    "DeleteObject": "DeleteObjectVersion",
    "DeleteObjectTagging": "DeleteObjectVersionTagging",
    "GetObject": "GetObjectVersion",
    "GetObjectAcl": "GetObjectVersionAcl",
    "GetObjectAttributes": "GetObjectVersionAttributes",
    "GetObjectTagging": "GetObjectVersionTagging",
    "PutObjectAcl": "PutObjectVersionAcl",
    "PutObjectTagging": "PutObjectVersionTagging",
}
"""Action → the action that is needed instead when the request names a version."""

BY_HEADER = {"x-amz-tagging": "PutObjectTagging", "x-amz-acl": "PutObjectAcl"}
"""Header of a call that writes an object → what it needs besides."""

BY_METHOD = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
"""Method of an anonymous call on an object → action."""

LISTING_KEYS = ("prefix", "delimiter", "max-keys")


def copy_source(header: str) -> tuple[str, str, str | None]:
    """Return bucket, key and version (or None) of the header `x-amz-copy-source`."""
    path, _, query = header.partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    return bucket, key, unquote(query) or None


def request_context() -> dict[str, str]:
    """Return the condition keys of the request under way."""
    context = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}
    if has_request_context():
        context |= {
            f"s3:{name.lower()}": value
            for name, value in request.headers.items()
            if name.lower().startswith("x-amz-")
        }
        context |= {f"s3:{name}": request.args[name] for name in LISTING_KEYS if name in request.args}
        if "versionId" in request.args:
            context["s3:versionid"] = request.args["versionId"]
        context["aws:sourceip"] = request.remote_addr or "127.0.0.1"
    return context


def requester() -> Principal:
    """Return the principal of the request under way; anonymous outside of a request."""
    return principal_of(request.environ) if has_request_context() else ANONYMOUS


def decide(bucket: FakeBucket, action: str, resource: str, principal: Principal) -> Decision:
    """Return what the policy of a bucket says.

    Parameters
    ----------
    bucket:
        Its policy is evaluated.
    action:
        Such as `GetObject`.
    resource:
        ARN of the bucket or the object.
    principal:
        Who calls.
    """
    if bucket.policy is None:
        return "Neutral"
    policy = document(bucket.policy.decode() if isinstance(bucket.policy, bytes) else bucket.policy)
    return evaluate(
        policy, principal=principal, action=f"s3:{action}", resource=resource, context=request_context()
    )


def _needed(
    backend: S3Backend, operation: str, bucket: FakeBucket, key: str | None
) -> Iterator[tuple[FakeBucket, str, str | None]]:
    """Yield bucket, action and key of everything that a call needs."""
    headers, version = request.headers, request.args.get("versionId")
    for action in ACTIONS.get(operation, ()):
        yield bucket, OF_A_VERSION.get(action, action) if version else action, key
    if operation in ("PutObject", "CopyObject", "CreateMultipartUpload"):
        yield from ((bucket, action, key) for header, action in BY_HEADER.items() if header in headers)
    if operation not in ("CopyObject", "UploadPartCopy"):
        return
    name, source_key, source_version = copy_source(headers["x-amz-copy-source"])
    source, of_a_version = backend.get_bucket(name), OF_A_VERSION if source_version else {}
    yield source, of_a_version.get("GetObject", "GetObject"), source_key
    if operation == "CopyObject" and headers.get("x-amz-tagging-directive") != "REPLACE":
        found = backend.get_object(name, source_key, source_version)
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html: both when there are tags
        if found is not None and backend.tagger.get_tag_dict_for_resource(found.arn):
            yield source, of_a_version.get("GetObjectTagging", "GetObjectTagging"), source_key
            yield bucket, "PutObjectTagging", key


def _decision(bucket: FakeBucket, action: str, key: str | None) -> Decision:
    return decide(bucket, action, bucket.arn if key is None else f"{bucket.arn}/{key}", requester())


def _refused(backend: S3Backend, operation: Operation, bucket: FakeBucket, key: str | None) -> bool:
    if operation.access_key is not None:
        needed = _needed(backend, operation.action, bucket, key)
        return any(_decision(where, action, of) == "Deny" for where, action, of in needed)
    action = BY_METHOD.get(request.method)
    if key is None or action is None:
        return False
    decision = _decision(bucket, action, key)
    if decision == "Neutral" and action == "GetObject":
        found = backend.get_object(bucket.name, key)
        return not (found is not None and found.acl is not None and found.acl.public_read)
    return decision != "Allow"


def checked(kind: str, stock: Callable[..., Any]) -> Callable[..., Any]:
    """Return a dispatcher of moto (`kind` is `bucket` or `key`) that refuses what a bucket policy denies."""

    @functools.wraps(stock)
    def response(self: S3Response, http_request: Any, *arguments: Any) -> Any:
        key = self.parse_key_name() if kind == "key" else None
        operation = http_request.environ.get(OPERATION_KEY)
        try:
            bucket = self.backend.get_bucket(self.bucket_name)
            refused = operation is not None and _refused(self.backend, operation, bucket, key)
        except MissingBucket:
            refused = False  # the call itself says so
        if refused:
            raise BucketAccessDeniedError(bucket=self.bucket_name)
        return stock(self, http_request, *arguments)

    return response


def get_permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    """Answer moto's own question; what is denied was refused before."""
    name = {"s3:HeadObject": "GetObject"}.get(action, action.removeprefix("s3:"))
    allowed = decide(self, name, resource, requester()) == "Allow"
    return PermissionResult.PERMITTED if allowed else PermissionResult.NEUTRAL
