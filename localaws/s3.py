"""S3: bucket policies with conditions, notifications to EventBridge, and no pretended sub-resources.

True: a Deny in a bucket policy refuses object calls when principal, action, resource and every condition
match; condition operators that are not implemented are refused when the policy is evaluated. Not true: plain
HTTP to the local server counts as secure transport (`aws:SecureTransport` is true), because the server is on
loopback addresses and has no TLS, and a policy that demands TLS would refuse every call; policies are
evaluated for object calls only, and statements for particular principals are passed over until
`localaws.authorisation` evaluates policies.

Departures from moto: it answers "denied" for each statement whose condition does *not* match, so
`FakeBucket.get_permission`, the only place that evaluates bucket policies, is replaced. It takes a
sub-resource that it does not know for the bucket or the object itself (deleting a bucket's metrics
configuration deletes the bucket), so those are refused.
"""

import functools
import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from flask import has_request_context, request
from moto.core.responses import ActionResult
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from localaws.runtime import Runtime

Test = Callable[[str, str], bool]

OPERATORS: dict[str, Test] = {
    "StringEquals": lambda actual, wanted: actual == wanted,
    "StringEqualsIgnoreCase": lambda actual, wanted: actual.lower() == wanted.lower(),
    "StringLike": fnmatchcase,
    "ArnEquals": fnmatchcase,
    "ArnLike": fnmatchcase,
    "Bool": lambda actual, wanted: actual.lower() == wanted.lower(),
    "NumericEquals": lambda actual, wanted: float(actual) == float(wanted),
    "NumericLessThan": lambda actual, wanted: float(actual) < float(wanted),
    "NumericLessThanEquals": lambda actual, wanted: float(actual) <= float(wanted),
    "NumericGreaterThan": lambda actual, wanted: float(actual) > float(wanted),
    "NumericGreaterThanEquals": lambda actual, wanted: float(actual) >= float(wanted),
}
"""Condition operator → does this value of the request match this value of the policy."""

NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
}


def _list(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def condition_matches(operator: str, key: str, wanted: Any, context: Mapping[str, str]) -> bool:
    """Return whether one condition holds: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html.

    A key that the request does not have makes a positive operator false, a negated one and `…IfExists` true.

    Raises
    ------
    NotImplementedError
        The operator is not implemented.
    """
    actual = context.get(key.lower())
    values = _list(wanted)
    if operator == "Null":
        return (actual is None) == (values[0].lower() == "true")
    name = operator.removesuffix("IfExists")
    if actual is None and name != operator:
        return True
    if name in NEGATED:
        return actual is None or not any(OPERATORS[NEGATED[name]](actual, value) for value in values)
    if name not in OPERATORS:
        raise NotImplementedError(f"condition operator {operator} in a bucket policy")
    return actual is not None and any(
        OPERATORS[name](actual, value.lower() if name == "Bool" else value) for value in values
    )


def _matches(statement: Mapping[str, Any], name: str, value: str, ignore_case: bool = False) -> bool:
    def fits(pattern: str) -> bool:
        return fnmatchcase(value.lower(), pattern.lower()) if ignore_case else fnmatchcase(value, pattern)

    if f"Not{name}" in statement:
        return not any(fits(pattern) for pattern in _list(statement[f"Not{name}"]))
    return any(fits(pattern) for pattern in _list(statement.get(name, [])))


def _everybody(principal: Any) -> bool:
    return principal == "*" or (isinstance(principal, dict) and "*" in _list(principal.get("AWS", [])))


def evaluate(policy: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]) -> str:
    """Return `Deny`, `Allow` or `Neutral` for a call of anybody.

    Parameters
    ----------
    policy:
        The bucket policy.
    action, resource:
        Such as `s3:GetObject` and the object's ARN.
    context:
        Condition key in lower case → value.
    """
    statements = policy["Statement"]
    effects = {
        statement["Effect"]
        for statement in (statements if isinstance(statements, list) else [statements])
        if _everybody(statement.get("Principal"))
        and _matches(statement, "Action", action, ignore_case=True)
        and _matches(statement, "Resource", resource)
        and all(
            condition_matches(operator, key, wanted, context)
            for operator, keys in (statement.get("Condition") or {}).items()
            for key, wanted in keys.items()
        )
    }
    return "Deny" if "Deny" in effects else "Allow" if effects else "Neutral"


def _context() -> dict[str, str]:
    context = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}
    if has_request_context():
        context |= {
            f"s3:{name.lower()}": value
            for name, value in request.headers.items()
            if name.lower().startswith("x-amz-")
        }
        context["aws:sourceip"] = request.remote_addr or "127.0.0.1"
    return context


RESULTS = {
    "Deny": PermissionResult.DENIED,
    "Allow": PermissionResult.PERMITTED,
    "Neutral": PermissionResult.NEUTRAL,
}


def _get_permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    if self.policy is None:
        return PermissionResult.NEUTRAL
    return RESULTS[evaluate(json.loads(self.policy), action, resource, _context())]


def _get_bucket_notification(self: S3Response) -> Any:
    """GetBucketNotificationConfiguration, with the part that moto keeps and does not answer."""
    found = self.backend.get_bucket_notification_configuration(self.bucket_name)
    self.data["Action"] = "GetBucketNotificationConfiguration"
    if not found:
        return self.serialized(ActionResult({}))

    def targets(items: Any, name: str) -> list[dict[str, Any]]:
        return [
            {"Id": item.id, name: item.arn, "Events": item.events}
            | (
                {"Filter": {"Key": {"FilterRules": item.filters["S3Key"]["FilterRule"]}}}
                if item.filters
                else {}
            )
            for item in items
        ]

    configuration: dict[str, Any] = {
        "TopicConfigurations": targets(found.topic, "TopicArn"),
        "QueueConfigurations": targets(found.queue, "QueueArn"),
        "LambdaFunctionConfigurations": targets(found.cloud_function, "LambdaFunctionArn"),
    }
    if found.event_bridge is not None:
        configuration["EventBridgeConfiguration"] = {}
    return self.serialized(ActionResult(configuration))


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


def _refuse_pretended(kind: str, stock: Callable[..., Any]) -> Callable[..., Any]:
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


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Evaluate conditions of bucket policies, answer EventBridge notifications, refuse what is pretended."""
    FakeBucket.get_permission = _get_permission
    S3Response._bucket_response = _refuse_pretended("bucket", S3Response._bucket_response)
    S3Response._key_response = _refuse_pretended("key", S3Response._key_response)
    S3Response.get_bucket_notification = _get_bucket_notification
