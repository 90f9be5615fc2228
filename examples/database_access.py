"""How a person at a terminal reaches a database: the secret, and the certificates it needs.

``eval "$(python -m examples.database_access SECRET)"; psql`` sets the variables of libpq: a password in an
argument would show in the process list.
"""

import argparse
import atexit
import json
import os
import shlex
import shutil
import sys
import urllib.request
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from examples.commands import PROJECT

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
_BUNDLE_OF_AWS = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
_BUNDLES: dict[str, Path] = {}
_KEPT_BUNDLE = PROJECT / "build" / "certificate-bundle.pem"
"""For the shell, which needs the certificates after this process has ended."""


class DatabaseAccessError(Exception):
    """The secret or the certificate bundle cannot be read; the message says why."""


def certificate_bundle_url() -> str:
    """Return where the certificates of RDS are published at the endpoint that the AWS tools use here."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return f"{endpoint}/_localaws/certificate-bundle.pem" if endpoint else _BUNDLE_OF_AWS


def certificate_bundle() -> Path:
    """Fetch the certificates of RDS, once per process and again when the file is gone."""
    url = certificate_bundle_url()
    # Whoever empties the temporary directory must not end a long run.
    if url not in _BUNDLES or not _BUNDLES[url].exists():
        directory = mkdtemp(prefix="know-me-certificates-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        path = Path(directory) / "certificate-bundle.pem"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - http(s) by construction
                path.write_bytes(response.read())
        except OSError as error:
            raise DatabaseAccessError(f"The certificate bundle {url} cannot be fetched: {error}") from error
        _BUNDLES[url] = path
    return _BUNDLES[url]


def secret_value(secret: str, client: Any | None = None, *, label: str | None = None) -> dict[str, Any]:
    """Return a secret's document.

    Parameters
    ----------
    secret
        Name or ARN.
    label
        Staging label of the version; None for what the app uses. Generations of the database are labels of
        the application secret.

    Raises
    ------
    DatabaseAccessError
        There is no such secret, it has no such version yet, or this caller may not read it.
    """
    version = {"VersionStage": label} if label else {}
    try:
        answer = (client or boto3.client("secretsmanager")).get_secret_value(SecretId=secret, **version)
        return dict(json.loads(answer["SecretString"]))
    except (ClientError, BotoCoreError, ValueError) as error:
        which = f" with the label {label}" if label else ""
        raise DatabaseAccessError(f"The secret {secret}{which} cannot be read: {error}") from error


def connection_string(credentials: dict[str, Any], **overrides: Any) -> str:
    """Return the libpq connection string of a secret that names host, port, dbname, username and password.

    Parameters
    ----------
    credentials
        The secret's document.
    overrides
        libpq keywords that the secret lacks (a master secret has only a user and a password), or that differ.
    """
    known = {"host": "host", "port": "port", "dbname": "dbname", "username": "user", "password": "password"}
    keywords = {libpq: credentials[name] for name, libpq in known.items() if name in credentials}
    return make_conninfo(
        **{
            **keywords,
            "sslmode": "verify-full",
            "sslrootcert": str(certificate_bundle()),
            "connect_timeout": 10,
            **overrides,
        }
    )


def connection_string_of_secret(secret: str, client: Any | None = None, *, label: str | None = None) -> str:
    """Return the libpq connection string of the application role's secret, or of one generation's version."""
    return connection_string(secret_value(secret, client, label=label))


def main(arguments: list[str] | None = None) -> int:
    """Print libpq's variables as shell exports; exit code 0: printed, 1: the secret cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.database_access",
        description="Print the exports that let psql connect with a secret of Secrets Manager.",
    )
    parser.add_argument("secret", help="name or ARN of the application role's secret")
    parser.add_argument("--generation", help="of the database (default: the one that the app uses)")
    options = parser.parse_args(arguments)
    try:
        keywords = conninfo_to_dict(connection_string_of_secret(options.secret, label=options.generation))
    except DatabaseAccessError as error:
        print(error, file=sys.stderr)
        return 1
    _KEPT_BUNDLE.parent.mkdir(exist_ok=True)
    shutil.copyfile(str(keywords["sslrootcert"]), _KEPT_BUNDLE)
    keywords["sslrootcert"] = str(_KEPT_BUNDLE)
    names = {"dbname": "PGDATABASE", "connect_timeout": "PGCONNECT_TIMEOUT"}
    for name, value in keywords.items():
        print(f"export {names.get(name, f'PG{name.upper()}')}={shlex.quote(str(value))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
