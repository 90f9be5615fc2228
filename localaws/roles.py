"""Sessions of roles, as an AWS service has them that assumes the role it was given.

True: the role must exist in IAM and a session expires. Not true: trust policies are not evaluated yet.
"""

from moto.core.exceptions import ServiceException
from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole, STSBackend, sts_backends
from moto.utilities.utils import get_partition

from localaws.credentials import Credentials

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
