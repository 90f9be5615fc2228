"""Who may call this server: the administrator and the sessions of roles.

True: an access key is known or it is refused; a role's session ends when its time is over. Not true:
signatures are not verified, so the secret of a key is never checked (the server listens on loopback only).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True)
class Credentials:
    """Credentials as an AWS client wants them; `session_token` is None for long-lived ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expiration: datetime | None = None

    def environment(self) -> Mapping[str, str]:
        """Return the variables that AWS's SDKs read."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        return variables | ({"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {})


def administrator(seed: str) -> Credentials:
    """Return the administrator's credentials of a server.

    They derive from `seed` (directory and port), so a shell keeps working when the server is started again,
    and the credentials of one server are unknown to another.
    """
    digest = hashlib.sha256(seed.encode()).digest()
    key = "AKIA" + "".join(ALPHABET[byte % 32] for byte in digest[:16])
    return Credentials(key, hashlib.sha256(digest).hexdigest()[:40])
