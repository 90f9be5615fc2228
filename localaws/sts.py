"""STS: temporary credentials of roles.

True: a role must exist, sessions expire, `GetCallerIdentity` answers who the caller is (the administrator
included). Not true: trust policies are not evaluated yet, and web identity and SAML federation are moto's.
"""

from typing import Any

from moto.sts.models import STSBackend
from moto.sts.responses import TokenResponse
from moto.utilities.utils import get_partition

from localaws.operations import Operation, Refusal, wire_error
from localaws.roles import role_exists
from localaws.runtime import Runtime


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
