"""STS: temporary credentials of roles.

True: a role must exist, sessions expire, `GetCallerIdentity` answers who the caller is (the administrator
included). Not true: trust policies are not evaluated yet, and web identity and SAML federation are moto's.
"""

from typing import Any

from moto.core.exceptions import ServiceException
from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole, STSBackend, sts_backends
from moto.sts.responses import TokenResponse
from moto.utilities.utils import get_partition

from localaws.credentials import Credentials
from localaws.operations import Operation, Refusal, wire_error
from localaws.runtime import Runtime

SERVICE_SESSION_SECONDS = 12 * 3600
"""A service renews its session; a local process gets one that lasts longer than any job."""


class RoleUnknownError(ServiceException):  # type: ignore[misc]
    """The role does not exist. AWS does not tell that apart from a role one may not assume."""

    code = "AccessDenied"


def role_exists(role_arn: str) -> bool:
    """Return whether IAM has the role."""
    parts = role_arn.split(":")
    if len(parts) < 6 or parts[2] != "iam" or not parts[5].startswith("role/"):
        return False
    backend = iam_backends[parts[4]][parts[1]]
    return any(role.arn == role_arn for role in list(backend.roles.values()))


def assume_role(role_arn: str, session_name: str, region: str) -> Credentials:
    """Return credentials of a new session, as an AWS service does that assumes the role it was given.

    Raises
    ------
    RoleUnknownError
        The role does not exist.
    """
    if not role_exists(role_arn):
        raise RoleUnknownError(f"The role {role_arn} does not exist or cannot be assumed")
    account = role_arn.split(":")[4]
    backend: STSBackend = sts_backends[account][get_partition(region)]
    session: AssumedRole = backend.assume_role(
        region_name=region,
        role_session_name=session_name[:64],
        role_arn=role_arn,
        policy=None,
        duration=SERVICE_SESSION_SECONDS,
        external_id=None,
    )
    return Credentials(
        session.access_key_id, session.secret_access_key, session.session_token, session.expiration
    )


def install(runtime: Runtime) -> None:
    """Refuse roles that do not exist, and know the administrator."""
    stock_assume_role = TokenResponse.assume_role
    stock_caller = STSBackend.get_caller_identity

    def checked_assume_role(self: TokenResponse) -> Any:
        role_arn = self._get_param("RoleArn") or ""
        if not role_exists(role_arn):
            caller = self.backend.get_caller_identity(self.access_key, self.region)[1]
            # Not raised: moto would answer 400, because the API's model does not list this error.
            message = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
            status, headers, body = wire_error(
                Refusal(403, "AccessDenied", message),
                Operation("sts", "AssumeRole", None, None),
                self.headers.get("Content-Type", ""),
            )
            return status, {**headers, "status": status}, body.decode()
        return stock_assume_role(self)

    def caller_identity(self: STSBackend, access_key_id: str, region: str) -> Any:
        if access_key_id == runtime.administrator.access_key_id:
            name = "administrator"
            arn = f"arn:{get_partition(region)}:iam::{self.account_id}:user/{name}"
            return runtime.administrator.access_key_id.replace("AKIA", "AIDA"), arn, self.account_id
        return stock_caller(self, access_key_id, region)

    TokenResponse.assume_role = checked_assume_role
    # A backend method, because moto answers unknown keys with an invented user.
    STSBackend.get_caller_identity = caller_identity
