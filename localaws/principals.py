"""Who calls, and how the code that answers a request learns it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENVIRON_KEY = "localaws.principal"
"""Where the door leaves the principal of a request in its WSGI environment."""


@dataclass(frozen=True)
class Principal:
    """Who calls.

    Attributes
    ----------
    kind:
        `administrator`, `user`, `role`, `service` or `anonymous`.
    arn:
        As `GetCallerIdentity` answers it; the name of a service (`s3.amazonaws.com`); empty when anonymous.
    role_arn:
        The role of a session, otherwise None.
    """

    kind: str
    arn: str
    role_arn: str | None = None

    @property
    def account_id(self) -> str | None:
        """The account of a user or a role, None of a service and when anonymous."""
        parts = self.arn.split(":")
        return parts[4] if len(parts) >= 6 else None

    def context(self) -> dict[str, str]:
        """Return the condition keys that tell who calls.

        `aws:PrincipalArn` of a session is the ARN of its role, and an anonymous request has none:
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn.
        """
        if self.account_id is None:
            return {}
        return {"aws:principalarn": self.role_arn or self.arn, "aws:principalaccount": self.account_id}


ANONYMOUS = Principal("anonymous", "")


def principal_of(environ: Mapping[str, Any]) -> Principal:
    """Return the principal of a request that came through the door; anonymous when none was found."""
    found: Principal = environ.get(ENVIRON_KEY, ANONYMOUS)
    return found
