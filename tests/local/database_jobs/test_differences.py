"""Verification sees every single difference, whatever it is, and names it."""

from collections.abc import Iterator
from typing import Any

import pytest
from database_jobs.roles import describe, restore_database_properties
from psycopg import sql

from tests.local.database_jobs.clusters import SUPERUSER
from tests.local.database_jobs.conftest import DATABASE, Migrated

# What is done to the candidate, and the difference that must be named: kind and name.
DIFFERENCES: dict[str, tuple[str, str, str]] = {
    "one row changed": (
        "UPDATE person SET ratio = ratio + 1e-9 WHERE number = 3",
        "row content",
        "public.person",
    ),
    "case of one letter": (
        "UPDATE person SET email = upper(email::text) WHERE number = 4",
        "row content",
        "public.person",
    ),
    "null instead of empty": ("UPDATE cache SET value = NULL", "row content", "public.cache"),
    "two values swapped": (
        "UPDATE booking SET room = CASE room WHEN 1 THEN 2 ELSE 1 END WHERE lower(during) = any "
        "(ARRAY(SELECT lower(during)"
        " FROM booking WHERE room IN (1, 2) ORDER BY 1 LIMIT 2))",
        "row content",
        "public.booking",
    ),
    "row missing": ("DELETE FROM event WHERE id = 7", "row count", "public.event_other"),
    "row twice": ("INSERT INTO parent VALUES (2)", "row count", "public.parent"),
    "one of two equal rows replaced": (
        "UPDATE parent SET a = 2 WHERE ctid = (SELECT min(ctid) FROM ONLY parent WHERE a = 1)",
        "row content",
        "public.parent",
    ),
    "row without columns missing": (
        "DELETE FROM nothing WHERE ctid = (SELECT min(ctid) FROM nothing)",
        "row count",
        "public.nothing",
    ),
    "row in the wrong table": (
        "UPDATE event SET at = '2023-02-02' WHERE id = 1",
        "row count",
        "public.event_other",
    ),
    "table emptied": ("TRUNCATE child", "row count", "public.child"),
    "table missing": ("DROP TABLE empty CASCADE", "table", "public.empty"),
    "table too many": (
        "CREATE TABLE surplus (); ALTER TABLE surplus OWNER TO know_me",
        "table",
        "public.surplus",
    ),
    "sequence behind": ("SELECT setval('invoice_number', 1994, true)", "sequence", "public.invoice_number"),
    "sequence not handed out": ("SELECT setval('untouched', 77, true)", "sequence", "public.untouched"),
    "identity behind": ("ALTER TABLE person ALTER id RESTART WITH 10", "sequence", "public.person_id_seq"),
    "index missing": ("DROP INDEX person_trigram", "index", "public.person_trigram"),
    "unique lost": (
        "ALTER TABLE person DROP CONSTRAINT person_number_key",
        "constraint",
        "public.person person_number_key",
    ),
    "foreign key lost": (
        "ALTER TABLE booking DROP CONSTRAINT booking_person_fkey",
        "fk constraint",
        "public.booking booking_person_fkey",
    ),
    "constraint validated": (
        "ALTER TABLE booking VALIDATE CONSTRAINT later",
        "check constraint",
        "public.booking later",
    ),
    "column default": (
        "ALTER TABLE person ALTER \"Full Name ✓\" SET DEFAULT 'somebody'",
        "table",
        "public.person",
    ),
    "column type": ("ALTER TABLE counted ALTER id TYPE bigint", "table", "public.counted"),
    "not null lost": ("ALTER TABLE person ALTER tags DROP NOT NULL", "table", "public.person"),
    "grant missing": ("REVOKE SELECT ON person FROM reporting CASCADE", "acl", "public.TABLE person"),
    "grant too many": ("GRANT DELETE ON empty TO reporting", "acl", "public.TABLE empty"),
    "grant option lost": (
        "REVOKE GRANT OPTION FOR SELECT ON person FROM reporting CASCADE",
        "acl",
        "public.TABLE person",
    ),
    "column grant missing": (
        'REVOKE UPDATE (mood) ON person FROM "Read Only"',
        "acl",
        "public.COLUMN person.mood",
    ),
    "default privileges": (
        "ALTER DEFAULT PRIVILEGES FOR ROLE know_me IN SCHEMA archive REVOKE SELECT ON TABLES FROM reporting",
        "default acl",
        "archive.DEFAULT PRIVILEGES FOR TABLES",
    ),
    "trigger disabled": ("ALTER TABLE person DISABLE TRIGGER touch", "trigger", "public.person touch"),
    "trigger enabled": ("ALTER TABLE person ENABLE TRIGGER sleeping", "trigger", "public.person sleeping"),
    "trigger lost": ("DROP TRIGGER replica_only ON person", "trigger", "public.person replica_only"),
    "policy changed": ("ALTER POLICY own_rows ON person USING (true)", "policy", "public.person own_rows"),
    "row security off": ("ALTER TABLE person DISABLE ROW LEVEL SECURITY", "row security", "public.person"),
    "function body": (
        "CREATE OR REPLACE FUNCTION doubled(n int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE STRICT "
        "PARALLEL SAFE COST 5"
        " SET search_path = public, pg_temp AS 'SELECT 3 * n'",
        "function",
        "public.doubled(integer)",
    ),
    "view changed": (
        'CREATE OR REPLACE VIEW grown AS SELECT id, number, email, "Full Name ✓" FROM person',
        "view",
        "public.grown",
    ),
    "enum value": ("ALTER TYPE mood ADD VALUE 'furious'", "type", "public.mood"),
    "domain check": ("ALTER DOMAIN email DROP CONSTRAINT email_check", "domain", "public.email"),
    "comment": ("COMMENT ON COLUMN person.email IS 'changed'", "comment", "public.COLUMN person.email"),
    "owner": ("ALTER TABLE counted OWNER TO know_me", "table", "public.counted"),
    "schema owner": ("ALTER SCHEMA archive OWNER TO reporting", "schema", "archive"),
    "publication": ("ALTER PUBLICATION changes SET (publish = 'insert')", "publication", "changes"),
    "published table": (
        "ALTER PUBLICATION changes DROP TABLE empty",
        "publication table",
        "public.changes empty",
    ),
    "event trigger": (
        "CREATE FUNCTION archive.noticed() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE EVENT TRIGGER noticed ON ddl_command_end EXECUTE FUNCTION archive.noticed()",
        "event trigger",
        "noticed",
    ),
    "replica identity": ("ALTER TABLE booking REPLICA IDENTITY DEFAULT", "table", "public.booking"),
    "storage parameter": ("ALTER TABLE person SET (fillfactor = 90)", "table", "public.person"),
    "statistics object": ("DROP STATISTICS person_statistics", "statistics", "public.person_statistics"),
    "large object byte": ("SELECT lo_put(1000001, 299999, '\\x11')", "large object", "1000001"),
    "large object missing": ("SELECT lo_unlink(1000002)", "large object", "1000002"),
    "large object owner": ("ALTER LARGE OBJECT 1000003 OWNER TO reporting", "large object", "1000003"),
    "large object grant": ("REVOKE SELECT ON LARGE OBJECT 1000003 FROM reporting", "large object", "1000003"),
    "extension missing": ("DROP EXTENSION pgcrypto", "extension", "pgcrypto"),
    "extension moved": ("ALTER EXTENSION pgcrypto SET SCHEMA archive", "extension", "pgcrypto"),
    "database setting": (
        f"ALTER DATABASE {DATABASE} SET timezone = 'UTC'",
        "setting",
        "TimeZone of the database",
    ),
    "database grant": (
        f"REVOKE CONNECT ON DATABASE {DATABASE} FROM reporting",
        "grant",
        "CONNECT on the database to reporting",
    ),
    "database owner": (f"ALTER DATABASE {DATABASE} OWNER TO reporting", "database owner", DATABASE),
    "database comment": (f"COMMENT ON DATABASE {DATABASE} IS NULL", "database comment", DATABASE),
}

# Roles belong to the cluster: these are undone by a second statement.
ROLE_DIFFERENCES = {
    "role attribute": (
        "ALTER ROLE reporting CREATEDB",
        "ALTER ROLE reporting NOCREATEDB",
        "role",
        "reporting",
    ),
    "connection limit": (
        "ALTER ROLE reporting CONNECTION LIMIT 9",
        "ALTER ROLE reporting CONNECTION LIMIT 3",
        "role",
        "reporting",
    ),
    "application cannot log in": (
        "ALTER ROLE know_me NOLOGIN",
        "ALTER ROLE know_me LOGIN",
        "role",
        "know_me",
    ),
    "membership missing": (
        'REVOKE "Read Only" FROM reporting',
        'GRANT "Read Only" TO reporting',
        "membership",
        "reporting in Read Only",
    ),
    "role setting": (
        "ALTER ROLE reporting SET statement_timeout = '1s'",
        "ALTER ROLE reporting SET statement_timeout = '5min'",
        "setting",
        "statement_timeout of reporting",
    ),
    "role missing": (
        'ALTER ROLE "Read Only" RENAME TO "Write Only"',
        'ALTER ROLE "Write Only" RENAME TO "Read Only"',
        "role",
        "Read Only",
    ),
}


def execute(migrated: Migrated, database: str, statement: str) -> None:
    with migrated.green.superuser(database) as connection:
        connection.execute("SET search_path = public")
        connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture
def candidate(migrated: Migrated) -> Iterator[Migrated]:
    """A candidate that a test may spoil: it is kept as a template and made again from it."""
    with migrated.green.superuser(DATABASE) as connection:
        before = describe(connection, DATABASE)
    with migrated.green.superuser("postgres") as connection:
        connection.execute(f"CREATE DATABASE pristine TEMPLATE {DATABASE} STRATEGY file_copy")
    yield migrated
    with migrated.green.superuser("postgres") as connection:
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        connection.execute(f"ALTER DATABASE pristine RENAME TO {DATABASE}")
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                sql.Identifier(DATABASE), sql.Identifier(before.owner)
            )
        )
        assert connection.info.user == SUPERUSER
        assert restore_database_properties(connection, before, DATABASE) == []


def verify(migrated: Migrated) -> tuple[dict[str, Any], dict[str, Any]]:
    assert migrated.run.verify() == 1
    return migrated.run.document("verification.json"), migrated.run.document("jobs/verify.json")["error"]


@pytest.mark.parametrize("case", DIFFERENCES)
def test_difference_is_found_and_named(candidate: Migrated, case: str) -> None:
    statement, kind, name = DIFFERENCES[case]
    # Given a candidate with one difference
    execute(candidate, DATABASE, statement)
    # When both sides are compared
    document, error = verify(candidate)
    # Then the run fails, and the difference is named
    assert document["verdict"] == "different"
    assert (kind, name) in [(found["kind"], found["name"]) for found in document["differences"]]
    assert error["name"] == "VerificationFailed"
    assert f"{kind} {name}" in error["cause"]


@pytest.mark.parametrize("case", ROLE_DIFFERENCES)
def test_difference_of_roles_is_found_and_named(migrated: Migrated, case: str) -> None:
    statement, undo, kind, name = ROLE_DIFFERENCES[case]
    execute(migrated, "postgres", statement)
    try:
        document, error = verify(migrated)
    finally:
        execute(migrated, "postgres", undo)
    assert (kind, name) in [(found["kind"], found["name"]) for found in document["differences"]]
    assert error["name"] == "VerificationFailed"


def test_same_content_in_another_physical_order_is_equal(candidate: Migrated) -> None:
    # Given a candidate whose rows lie elsewhere and whose server writes values otherwise
    execute(candidate, DATABASE, "ALTER TABLE person DISABLE TRIGGER touch")
    execute(candidate, DATABASE, "UPDATE person SET number = number WHERE number % 3 = 0")
    execute(candidate, DATABASE, "ALTER TABLE person ENABLE TRIGGER touch")
    execute(candidate, DATABASE, "ALTER ROLE know_me_admin SET extra_float_digits = 0")
    execute(candidate, DATABASE, "ALTER ROLE know_me_admin SET bytea_output = 'escape'")
    try:
        assert candidate.run.verify() == 0
    finally:
        execute(candidate, DATABASE, "ALTER ROLE know_me_admin RESET ALL")


def test_stale_materialised_view_is_told_and_does_not_fail(candidate: Migrated) -> None:
    # Given a view that holds other rows on the two sides, over tables that are the same
    execute(
        candidate,
        DATABASE,
        "BEGIN; DELETE FROM person WHERE mood = 'sad'; REFRESH MATERIALIZED VIEW moods; COMMIT",
    )
    document, _ = verify(candidate)
    assert "public.moods" not in {found["name"] for found in document["differences"]}
    assert "public.moods" in {
        check["subject"] for check in document["checks"] if check["result"] == "warning"
    }
