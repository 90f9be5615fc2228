"""PostgreSQL clusters for tests: real servers on loopback with TLS, shaped like RDS.

What is like RDS: the superuser is `rdsadmin` and nobody's; the master user may create roles and databases,
is a member of `rds_superuser` (an ordinary role here) and of the monitoring roles; connections need TLS and
a password. What is not: RDS lets `rds_superuser` make event triggers and untrusted extensions, stock
PostgreSQL lets superusers only.
"""

import ipaddress
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg import sql

ADDRESS = "127.0.0.1"
MASTER = "know_me_admin"
SUPERUSER = "rdsadmin"


def binaries() -> Path:
    """Return the directory of the newest server binaries."""
    places = [Path(place) for place in os.environ["PATH"].split(os.pathsep)]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    places += sorted(Path("/usr").glob("pgsql-*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise RuntimeError("no PostgreSQL server binaries: run `make setup`")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((ADDRESS, 0))
        return int(listener.getsockname()[1])


class Authority:
    """A certificate authority that lives as long as the tests."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test authority {secrets.token_hex(4)}")])
        self._name = name
        certificate = (
            self._builder(name)
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = directory / "authorities.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
        )

    def issue(self, address: str, directory: Path) -> None:
        """Write `server.crt` and `server.key` for an address."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)]))
            .public_key(key.public_key())
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        (directory / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (directory / "server.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (directory / "server.key").chmod(0o600)


class Cluster:
    """A running server."""

    def __init__(self, name: str, authority: Authority) -> None:
        self.name = name
        self.port = free_port()
        self.password = f"pass:word\\{secrets.token_urlsafe(16)}"
        self.superuser_password = secrets.token_urlsafe(16)
        self._binaries = binaries()
        self._user = "postgres" if os.getuid() == 0 else None
        self.directory = Path(tempfile.mkdtemp(prefix=f"know-me-{name}-"))
        self._data = self.directory / "data"
        password_file = self.directory / "superuser"
        password_file.write_text(self.superuser_password)
        self._give()
        self._execute(
            "initdb",
            f"--pgdata={self._data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        authority.issue(ADDRESS, self._data)
        (self._data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        (self._data / "postgresql.auto.conf").write_text(
            f"listen_addresses = '{ADDRESS}'\nport = {self.port}\nunix_socket_directories = ''\nssl = on\n"
            "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\nshared_buffers = 64MB\n"
            "max_connections = 60\nmax_prepared_transactions = 5\nwal_level = logical\nlog_statement = "
            "'all'\n"
        )
        self._give()
        self._execute("pg_ctl", f"--pgdata={self._data}", f"--log={self.directory}/log", "--wait", "start")
        with self.superuser("postgres") as connection:
            connection.execute("CREATE ROLE rds_superuser")
            connection.execute("GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION")
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                    sql.Identifier(MASTER), sql.Literal(self.password)
                )
            )
            connection.execute(sql.SQL("GRANT rds_superuser TO {}").format(sql.Identifier(MASTER)))

    def _give(self) -> None:
        self.directory.chmod(0o755)
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            for path in [self.directory, *self.directory.rglob("*")]:
                os.chown(path, account.pw_uid, account.pw_gid)

    def _execute(self, program: str, *arguments: str) -> None:
        # pg_ctl's server keeps standard output open: a file, not a pipe, or we would wait for the server's
        # end.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self._binaries / program), *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd="/",
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                timeout=60,
                check=False,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            )
            output.seek(0)
            if done.returncode:
                raise RuntimeError(f"{program}: {output.read().decode()}")

    @property
    def log(self) -> str:
        """What the server logged so far; every statement is in it."""
        return (self.directory / "log").read_text(errors="replace")

    def connect(self, user: str, password: str, database: str) -> psycopg.Connection:
        """Connect as any role."""
        return psycopg.connect(
            host=ADDRESS,
            port=self.port,
            user=user,
            password=password,
            dbname=database,
            sslmode="require",
            autocommit=True,
        )

    def superuser(self, database: str) -> psycopg.Connection:
        """Connect as the superuser that nobody has on RDS."""
        return self.connect(SUPERUSER, self.superuser_password, database)

    def master(self, database: str) -> psycopg.Connection:
        """Connect as the master user."""
        return self.connect(MASTER, self.password, database)

    def stop(self) -> None:
        """Stop the server and remove its directory."""
        self._execute("pg_ctl", f"--pgdata={self._data}", "--mode=immediate", "--wait", "stop")
        shutil.rmtree(self.directory)
