"""The one place that knows who calls, and may refuse.

True: every request is attributed to a principal (the administrator, an IAM user or a session of a role);
unknown and expired keys are refused as AWS refuses them; who called what is written to `requests.jsonl`. Not
true: identity policies are not evaluated yet (`authorise` is where that will happen; bucket policies are, by
`localaws.s3.access`), and signatures are not verified.
"""

from dataclasses import dataclass
from typing import Any

from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from localaws.credentials import Credentials
from localaws.operations import Operation, Refusal
from localaws.principals import ANONYMOUS, Principal
from localaws.record import RequestRecord

UNSIGNED_ACTIONS = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})
UNSIGNED_TARGETS = ("AWSCognitoIdentityService", "AWSCognitoIdentityProviderService")

UNKNOWN_KEY = {
    "s3": ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "s3control": ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "ec2": ("AuthFailure", "AWS was not able to validate the provided access credentials"),
    "sts": ("InvalidClientTokenId", "The security token included in the request is invalid."),
    "iam": ("InvalidClientTokenId", "The security token included in the request is invalid."),
    "sns": ("InvalidClientTokenId", "The security token included in the request is invalid."),
    "rds": ("InvalidClientTokenId", "The security token included in the request is invalid."),
    "cloudformation": ("InvalidClientTokenId", "The security token included in the request is invalid."),
    "cloudwatch": ("InvalidClientTokenId", "The security token included in the request is invalid."),
    "elbv2": ("InvalidClientTokenId", "The security token included in the request is invalid."),
}
"""Service → error of a key that nobody has; the JSON services answer `UnrecognizedClientException`."""


@dataclass(frozen=True)
class RequestContext:
    """One request that waits for permission."""

    principal: Principal
    operation: Operation
    environ: dict[str, Any]


def authorise(_context: RequestContext) -> None:
    """Refuse the request (raise `Refusal`) or return. Until policies are evaluated nobody is refused."""


class Gate:
    """Finds the principal of each request and keeps the record.

    Parameters
    ----------
    administrator:
        Whose key may do everything.
    account_id:
        Of the administrator.
    record:
        Where a line per request is written.
    """

    def __init__(self, administrator: Credentials, account_id: str, record: RequestRecord) -> None:
        self._administrator = administrator
        self._administrator_arn = f"arn:aws:iam::{account_id}:user/administrator"
        self._record = record
        self._sessions: dict[str, tuple[Any, Principal]] = {}

    def principal(self, operation: Operation, token: str | None) -> Principal:
        """Return who calls.

        Raises
        ------
        Refusal
            Unknown access key, missing or expired session, or no signature where one is needed.
        """
        key = operation.access_key
        if key is None:
            if operation.service in ("s3", "unknown") or operation.action in UNSIGNED_ACTIONS:
                return ANONYMOUS
            raise Refusal(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        if key == self._administrator.access_key_id:
            return Principal("administrator", self._administrator_arn)
        session = self._session(key)
        if session is not None:
            assumed, principal = session
            if token != assumed.session_token:
                raise _unknown(operation)
            if assumed.expiration <= utcnow():
                code = (
                    "ExpiredToken" if operation.service in ("s3", "sts", "ec2") else "ExpiredTokenException"
                )
                raise Refusal(403, code, "The security token included in the request is expired")
            return principal
        for backends in list(iam_backends.values()):
            for backend in list(backends.values()):
                user = backend.get_user_from_access_key_id(key)
                if user is not None:
                    return Principal("user", user.arn)
        raise _unknown(operation)

    def _session(self, key: str) -> tuple[Any, Principal] | None:
        if key not in self._sessions and key.startswith("ASIA"):
            for backends in list(sts_backends.values()):
                for backend in list(backends.values()):
                    assumed = backend.get_assumed_role_from_access_key(key)
                    if assumed is not None:
                        self._sessions[key] = (assumed, Principal("role", assumed.arn, assumed.role_arn))
        return self._sessions.get(key)

    def record(self, principal: Principal | None, operation: Operation, status: int, seconds: float) -> None:
        """Write one line about a request that was answered."""
        caller = (principal.arn or principal.kind) if principal else None
        self._record.write(caller, operation.service, operation.action, operation.resource, status, seconds)


def _unknown(operation: Operation) -> Refusal:
    code, message = UNKNOWN_KEY.get(
        operation.service,
        ("UnrecognizedClientException", "The security token included in the request is invalid."),
    )
    return Refusal(403, code, message)
