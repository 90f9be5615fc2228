"""One PostgreSQL cluster on disk: what stands behind one DB instance.

A real `postgres` on a loopback address of its own, port 5432 unless told otherwise, TLS with a certificate of
the local authority, SCRAM passwords, and a superuser `rdsadmin` that only this module knows the password of.
Only this is not real: `fsync` is off, because a machine that loses power loses the local AWS too.
"""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from localaws.processes import Process
from localaws.runtime import Runtime

ADMINISTRATOR = "rdsadmin"
START_TIMEOUT = 60
STOP_TIMEOUT = 60

SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "unix_socket_directories": "",
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
    "password_encryption": "scram-sha-256",
    "log_destination": "stderr",
    "log_line_prefix": "%t:%r:%u@%d:[%p]:",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "C",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "wal_level": "replica",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "dynamic_shared_memory_type": "mmap",
}
"""What every cluster starts from; the parameter group comes after it."""


class ClusterError(RuntimeError):
    """PostgreSQL did not do what was asked; the message holds its own words."""


@dataclass
class Cluster:
    """A cluster and its server process.

    Attributes
    ----------
    name:
        Identifier of the DB instance, for process names and messages.
    directory:
        The data directory.
    address, port:
        Where it listens.
    binaries:
        Programs of its major version.
    postgres:
        The server program (RDS's variant, see `distribution`).
    password:
        Of `rdsadmin`; shared by all clusters of this server, so that restored ones accept it too.
    on_crash:
        Called, in a thread of its own, when the server ends without having been asked to.
    """

    runtime: Runtime
    name: str
    directory: Path
    address: str
    port: int
    binaries: Path
    postgres: Path
    password: str = field(repr=False)
    on_crash: Callable[[], None]
    process: Process | None = field(default=None, init=False)
    _ready: bool = field(default=False, init=False)

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.directory.with_name(self.directory.name + ".log")

    # ------------------------------------------------------------------ life

    def initialise(self) -> None:
        """Create the data directory: UTF-8, and RDS's collation en_US.UTF-8 where this machine has it."""
        with tempfile.NamedTemporaryFile("w", prefix="initdb-", dir=self.directory.parent) as password:
            password.write(self.password)
            password.flush()
            self._own(Path(password.name))
            self.run(
                "initdb", "--pgdata", self.directory, "--username", ADMINISTRATOR, "--pwfile", password.name,
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", _locale(), "--no-sync",
                "--no-instructions",
            )  # fmt: skip

    def configure(self, settings: Mapping[str, str], *, force_tls: bool) -> None:
        """Write postgresql.conf, pg_hba.conf and the certificate; `start` or `reload` makes them count."""
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
        own = {**SETTINGS, "listen_addresses": self.address, "port": str(self.port)}
        head = [f"{name} = '{value}'" for name, value in own.items() if name not in settings]
        self._write("postgresql.conf", "\n".join([*head, *lines, ""]))
        self._write("postgresql.auto.conf", "")
        clients = "hostssl" if force_tls else "host"
        self._write(
            "pg_hba.conf",
            f"host    all          {ADMINISTRATOR}  127.0.0.0/8  scram-sha-256\n"
            f"host    replication  {ADMINISTRATOR}  127.0.0.0/8  scram-sha-256\n"
            f"host    all          {ADMINISTRATOR}  all          reject\n"
            f"{clients} rdsadmin     all       all          reject\n"
            f"{clients} all          all       all          scram-sha-256\n",
        )
        certificate, key = self.runtime.certificates.issue([self.address])
        self._write("server.crt", Path(certificate).read_text())
        self._write("server.key", Path(key).read_text())

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises
        ------
        ClusterError
            It ended instead, or does not answer within a minute; with the end of its log.
        """
        (self.directory / "postmaster.pid").unlink(missing_ok=True)
        self._ready = False
        self.process = process = self.runtime.processes.spawn(
            f"rds/{self.name}",
            [self.postgres, "-D", self.directory],
            environment={"PATH": f"{self.binaries}:/usr/bin:/bin", "LC_ALL": "C"},
            directory=self.directory,
            output=self.log,
            user=self.runtime.postgresql.user,
            on_exit=self._ended,
        )
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                with self.connect():
                    self._ready = True
                    return
            except psycopg.OperationalError as error:
                if not process.running:
                    raise ClusterError(f"PostgreSQL did not start: {self._log_end()}") from error
                if time.monotonic() > deadline:
                    self.stop()
                    raise ClusterError(f"PostgreSQL does not answer: {error}") from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Shut down (fast: sessions are ended, nothing is lost); kill what does not end in a minute."""
        if self.process is not None and self.process.running:
            self.process.terminate(grace=STOP_TIMEOUT, number=signal.SIGINT)

    def reload(self) -> None:
        """Make changed dynamic settings count."""
        if self.process is not None and self.process.running:
            os.kill(self.process.pid, signal.SIGHUP)

    @property
    def running(self) -> bool:
        """Whether the server process lives."""
        return self.process is not None and self.process.running

    def _ended(self, process: Process) -> None:
        """Tell of a crash: an end that nobody asked for, of a server that had answered."""
        if process is self.process and self._ready and not process.stopping:
            self.on_crash()

    def remove(self) -> None:
        """Stop the server and delete its files."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    # ------------------------------------------------------------------ copies

    def backup(self, destination: Path) -> None:
        """Copy the cluster to a directory: online when it runs (pg_basebackup), else as files."""
        shutil.rmtree(destination, ignore_errors=True)
        if not self.running:
            copy_files(self.directory, destination)
            return
        self.run(
            "pg_basebackup", "--host", self.address, "--port", str(self.port), "--username", ADMINISTRATOR,
            "--no-password", "--pgdata", destination, "--checkpoint", "fast", "--wal-method",
            "stream", "--no-sync",
            environment={"PGPASSWORD": self.password},
        )  # fmt: skip

    def restore(self, source: Path) -> None:
        """Make the data directory from a copy that `backup` made."""
        copy_files(source, self.directory)
        for name in ("server.crt", "server.key"):
            (self.directory / name).unlink(missing_ok=True)

    # ------------------------------------------------------------------ SQL

    @contextmanager
    def connect(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """Yield an autocommit session of `rdsadmin`."""
        with psycopg.connect(
            host=self.address, port=self.port, user=ADMINISTRATOR, password=self.password, dbname=database,
            autocommit=True, connect_timeout=10, application_name=ADMINISTRATOR,
        ) as connection:  # fmt: skip
            yield connection

    def pending_restart(self) -> bool:
        """Whether a changed setting waits for a restart; PostgreSQL itself says so."""
        with self.connect() as connection:
            row = connection.execute(
                "SELECT EXISTS (SELECT FROM pg_settings WHERE pending_restart)"
            ).fetchone()
        return bool(row and row[0])

    def set_password(self, role: str, password: str) -> None:
        """Change a role's password."""
        with self.connect() as connection:
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))
            )

    # ------------------------------------------------------------------ helpers

    def run(self, program: str, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
        """Run one of PostgreSQL's programs as the server's account; return what it printed."""
        result = subprocess.run(
            [self.binaries / program, *arguments],
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": f"{self.binaries}:/usr/bin:/bin", "LC_ALL": "C", **(environment or {})},
            check=False,
            **account_arguments(self.runtime.postgresql.user),
        )
        printed: str = result.stdout
        if result.returncode:
            raise ClusterError(f"{program} failed: {(result.stderr or result.stdout).strip()[-2000:]}")
        return printed

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        self._own(path)

    def _own(self, path: Path) -> None:
        if user := self.runtime.postgresql.user:
            shutil.chown(path, user)

    def _log_end(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        wrong = [line for line in text.splitlines() if re.search(r"(FATAL|ERROR|PANIC|LOG):", line)]
        return "; ".join(wrong[-3:]) or "no output"


def account_arguments(user: str | None) -> dict[str, Any]:
    """Return the arguments of `subprocess.run` that make a program run as an account."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def copy_files(source: Path, destination: Path) -> None:
    """Copy a cluster's files with owners and modes, by reflink where the file system can."""
    shutil.rmtree(destination, ignore_errors=True)
    subprocess.run(
        ["cp", "--archive", "--reflink=auto", source, destination], check=True, capture_output=True
    )
    for name in ("postmaster.pid", "postmaster.opts"):
        (destination / name).unlink(missing_ok=True)


def _locale() -> str:
    known = (
        subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.lower().split()
    )
    return "en_US.UTF-8" if "en_us.utf8" in known else "C.UTF-8"


def new_password() -> str:
    """Return a password as RDS makes one, without the characters that RDS does not allow."""
    return secrets.token_urlsafe(24)


ROLES = """\
CREATE ROLE rds_superuser NOLOGIN;
CREATE ROLE rds_replication NOLOGIN;
CREATE ROLE rds_password NOLOGIN;
CREATE ROLE rds_iam NOLOGIN;
GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;
GRANT rds_replication, rds_password TO rds_superuser WITH ADMIN OPTION;
CREATE DATABASE rdsadmin;
REVOKE ALL ON DATABASE rdsadmin FROM PUBLIC;
"""
"""RDS User Guide, "Understanding the rds_superuser role". Run one by one, outside a transaction."""

OPTIONAL_MEMBERSHIPS = (
    "pg_checkpoint",
    "pg_maintain",
    "pg_create_subscription",
    "pg_use_reserved_connections",
)
"""Predefined roles of newer majors that rds_superuser has where they exist."""


def create_roles(cluster: Cluster, master: str, password: str, database: str | None) -> None:
    """Make RDS's roles, the master user and the first database of a fresh cluster.

    The master user can create roles and databases and is a member of rds_superuser; it is no superuser, as on
    RDS. Different from RDS, whose server is patched: rds_superuser cannot create event triggers, publications
    FOR ALL TABLES or grant BYPASSRLS here, because PostgreSQL reserves these for superusers.
    """
    with cluster.connect() as connection:
        for statement in ROLES.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in OPTIONAL_MEMBERSHIPS:
            if role in known:
                connection.execute(
                    sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(sql.Identifier(role))
                )
        name = sql.Identifier(master)
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                name, sql.Literal(password)
            )
        )
        connection.execute(sql.SQL("GRANT rds_superuser TO {}").format(name))
        for existing in ("postgres", "template1"):
            connection.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(existing), name)
            )
        if database and database != "postgres":
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), name))


def tail(path: Path, offset: int) -> tuple[list[str], int]:
    """Return the complete lines of a file from an offset on, and the next offset."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    complete = data.rfind(b"\n") + 1
    return data[:complete].decode(errors="replace").splitlines(), offset + complete
