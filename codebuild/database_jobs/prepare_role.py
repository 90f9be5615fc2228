"""Job `prepare-role`: the application role of a new generation.

With a password that only Secrets Manager knows.
"""

import hashlib
import json
import secrets as randomness
from typing import Any

from botocore.exceptions import ClientError
from job_support.performance import Figures
from job_support.progress import say
from psycopg import sql

from database_jobs.connections import Connection, major, value
from database_jobs.context import JobContext, required
from database_jobs.inputs import Database
from database_jobs.roles import join

# Read by Django and psycopg on the application's side; nothing RDS does not allow an application.
PASSWORD_BYTES = 32


def run(context: JobContext) -> Figures:
    """Create (or repair) the role, its password, its secret and its ownership of the database."""
    server = context.candidate
    database = server.database
    for what, named in (
        ("application secret", database.application_secret_arn),
        ("label of the application secret", database.application_secret_label),
    ):
        required(
            named,
            "DatabaseJobFailed",
            f"The manifest names no {what} for generation {database.generation}.",
            "Apply the infrastructure again: Terraform creates the secret and publishes the manifest.",
        )
    with server.connect("postgres") as connection:
        password = fresh_password(context.secrets, database, context.inputs.run_id)
        created = ensure_role(connection, database.application_role, password)
        say(f"Role {database.application_role} {'created' if created else 'exists; it has a new password'}.")
        made = ensure_database(connection, database.database_name, database.application_role)
        say(
            f"Database {database.database_name} {'created' if made else 'exists'}; owner "
            f"{database.application_role}."
        )
    with server.connect() as connection:
        ensure_public_schema(connection, database.application_role)
    return {"role_created": created, "database_created": made}


def fresh_password(secrets: Any, database: Database, run_id: str) -> str:
    """Return this run's password for the role, storing the secret first; a repeated job finds the same one.

    The version gets the generation's label and no other: which generation the app uses is not decided here.
    Its id derives from the run, so that Secrets Manager makes one version per run however often it is asked.
    """
    arn = database.application_secret_arn
    token = hashlib.sha256(f"{run_id} {arn} {database.generation}".encode()).hexdigest()
    try:
        stored = json.loads(secrets.get_secret_value(SecretId=arn, VersionId=token)["SecretString"])
        return str(stored["password"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
    password = randomness.token_urlsafe(PASSWORD_BYTES)
    document = {
        "username": database.application_role,
        "password": password,
        "host": database.endpoint,
        "port": database.port,
        "dbname": database.database_name,
        "engine": "postgres",
    }
    # The very first version of a secret gets AWSCURRENT besides, by Secrets Manager's own rule.
    secrets.put_secret_value(
        SecretId=arn,
        ClientRequestToken=token,
        SecretString=json.dumps(document),
        VersionStages=[database.application_secret_label],
    )
    return password


def ensure_role(connection: Connection, role: str, password: str) -> bool:
    """Create the role or give it the password; return whether it was created.

    The password is hashed here (SCRAM-SHA-256), as `\\password` of psql does: the server, and a log of its
    statements, never see it in the clear.
    """
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    exists = value(connection, sql.SQL("SELECT true FROM pg_roles WHERE rolname = %s"), [role])
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
            sql.SQL("ALTER" if exists else "CREATE"), sql.Identifier(role), sql.Literal(verifier)
        )
    )
    join(connection, [role])
    return not exists


def ensure_database(connection: Connection, name: str, role: str) -> bool:
    """Create the database when it is missing and make the role its owner; return whether it was created."""
    owner = value(
        connection, sql.SQL("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"), [name]
    )
    if owner is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(role))
        )
    elif owner != role:
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(role))
        )
    return owner is None


def ensure_public_schema(connection: Connection, role: str) -> None:
    """Let the role create tables in `public`.

    Since PostgreSQL 15 the schema belongs to `pg_database_owner`, that is to the role already. Before,
    everybody may create there unless somebody revoked it.
    """
    if major(connection) < 15 and not value(
        connection, sql.SQL("SELECT has_schema_privilege(%s, 'public', 'CREATE')"), [role]
    ):
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(role)))
