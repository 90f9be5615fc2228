"""Connections: what they are, and which ones there are."""

import threading
import uuid
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["PENDING", "AVAILABLE", "ERROR"]


@dataclass
class Connection:
    """A connection to a provider.

    Attributes
    ----------
    name, arn, provider, account_id:
        As the API answers them.
    status:
        `PENDING` until it is approved.
    tags:
        Key → value.
    """

    name: str
    arn: str
    provider: str
    account_id: str
    status: Status = "PENDING"
    tags: dict[str, str] = field(default_factory=dict)


class Connections:
    """The connections of one server."""

    def __init__(self) -> None:
        self._by_arn: dict[str, Connection] = {}
        self._lock = threading.Lock()

    def create(
        self, service: str, region: str, account_id: str, name: str, provider: str, tags: dict[str, str]
    ) -> Connection:
        """Make a connection that waits for its approval."""
        arn = f"arn:aws:{service}:{region}:{account_id}:connection/{uuid.uuid4()}"
        connection = Connection(name, arn, provider, account_id, tags=tags)
        with self._lock:
            self._by_arn[arn] = connection
        return connection

    def find(self, arn: str) -> Connection | None:
        """Return a connection by its ARN."""
        with self._lock:
            return self._by_arn.get(arn)

    def named(self, name: str) -> Connection | None:
        """Return a connection by its ARN or its name; the latest of that name."""
        found = [connection for connection in self.all() if name in (connection.arn, connection.name)]
        return found[-1] if found else None

    def remove(self, arn: str) -> None:
        """Forget a connection; one that does not exist is no error, as on AWS."""
        with self._lock:
            self._by_arn.pop(arn, None)

    def all(self) -> list[Connection]:
        """Return every connection, oldest first."""
        with self._lock:
            return list(self._by_arn.values())
