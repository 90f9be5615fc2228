"""Connections to one generation of the database.

TLS verified in full, passwords from Secrets Manager at use.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from job_support.errors import JobError
from psycopg import sql
from psycopg.rows import TupleRow
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from database_jobs.inputs import Database

Connection = psycopg.Connection[TupleRow]
APPLICATION_NAME = "know-me-database-job"

# The database may refuse writes by default (the fence). A job that must write says so for its own session.
WRITE = "-c default_transaction_read_only=off"


@dataclass
class Server:
    """The server that holds one generation, reached as its master user.

    Parameters
    ----------
    database
        The generation.
    secrets
        A boto3 Secrets Manager client.
    certificates
        Path of the bundle of certificate authorities.
    """

    database: Database
    secrets: Any
    certificates: Path
    _open: set[Connection] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _master: str | None = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.database.instance_id} ({self.database.generation})"

    @property
    def master(self) -> str:
        """Name of the master user."""
        if self._master is None:
            self._master = self.credentials()[0]
        return self._master

    def credentials(self) -> tuple[str, str]:
        """Return the master user and its password of this moment (RDS rotates it)."""
        value = self.secrets.get_secret_value(SecretId=self.database.master_secret_arn)["SecretString"]
        secret = json.loads(value)
        return secret["username"], secret["password"]

    @contextmanager
    def connect(self, database_name: str | None = None, *, autocommit: bool = True) -> Iterator[Connection]:
        """Connect as the master user; the connection is closed (and its query cancelled) at the end."""
        connection = self.open(database_name, autocommit=autocommit)
        try:
            yield connection
        finally:
            self.close(connection)

    def open(self, database_name: str | None = None, *, autocommit: bool = True) -> Connection:
        """Connect as the master user; `close` ends it.

        Raises
        ------
        JobError
            `DatabaseJobFailed` when the server cannot be reached or refuses.
        """
        retrying = Retrying(
            stop=stop_after_attempt(4),
            wait=wait_exponential(multiplier=0.5, max=5),
            retry=retry_if_exception_type(psycopg.OperationalError),
            reraise=True,
        )
        try:
            connection = retrying(self._connect, database_name or self.database.database_name, autocommit)
        except psycopg.OperationalError as error:
            raise JobError(
                "DatabaseJobFailed",
                f"No connection to {self.name} at {self.database.endpoint}:{self.database.port}: "
                f"{str(error).strip()}.",
                "Check that the instance is available, that its security group lets the build in, and "
                "that its "
                "certificate names this endpoint.",
            ) from error
        with self._lock:
            self._open.add(connection)
        return connection

    def _connect(self, database_name: str, autocommit: bool) -> Connection:
        user, password = self.credentials()
        return psycopg.connect(
            host=self.database.endpoint,
            port=self.database.port,
            dbname=database_name,
            user=user,
            password=password,
            sslmode="verify-full",
            sslrootcert=str(self.certificates),
            connect_timeout=15,
            keepalives_idle=30,
            application_name=APPLICATION_NAME,
            options=WRITE,
            autocommit=autocommit,
        )

    def close(self, connection: Connection) -> None:
        """Close a connection that `open` returned."""
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def cancel_all(self) -> None:
        """Cancel what runs on every open connection.

        So that threads that wait for an answer come back at once.
        """
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            if not connection.closed:
                connection.cancel_safe(timeout=5)

    def tool_environment(self, directory: Path, database_name: str | None = None) -> dict[str, str]:
        """Return libpq's environment for pg_dump and its friends.

        The password lies in a file only we can read.

        The file is in `directory`, which the caller deletes.
        """
        user, password = self.credentials()
        # "pgpass" syntax: colons and backslashes are escaped.
        fields = (self.database.endpoint, str(self.database.port), "*", user, password)
        line = ":".join(text.replace("\\", "\\\\").replace(":", "\\:") for text in fields)
        path = directory / f"{self.database.instance_id}.pgpass"
        path.touch(mode=0o600)
        path.write_text(line + "\n")
        return {
            "PGHOST": self.database.endpoint,
            "PGPORT": str(self.database.port),
            "PGUSER": user,
            "PGDATABASE": database_name or self.database.database_name,
            "PGPASSFILE": str(path),
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.certificates),
            "PGCONNECT_TIMEOUT": "15",
            "PGAPPNAME": APPLICATION_NAME,
            "PGOPTIONS": WRITE,
            "PGCLIENTENCODING": "UTF8",
        }


def major(connection: Connection) -> int:
    """Return the server's major version."""
    return connection.info.server_version // 10000


def rows(connection: Connection, query: sql.SQL | sql.Composed, parameters: Any = None) -> list[TupleRow]:
    """Return all rows of a query."""
    return connection.execute(query, parameters).fetchall()


def value(connection: Connection, query: sql.SQL | sql.Composed, parameters: Any = None) -> Any:
    """Return the first column of the first row, or None."""
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None
