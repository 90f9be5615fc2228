"""Each inspection finds what it looks for, and its remedy is SQL that puts it right."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from database_jobs.inspect_source import Inspection, examine

from tests.local.database_jobs.clusters import MASTER, Cluster
from tests.local.database_jobs.conftest import DATABASE, Run

# check: (what makes it appear, result, whether the remedy can be executed as it stands)
SOURCE: dict[str, tuple[str, str, bool]] = {
    "invalid indexes": (
        "CREATE TABLE t (a int); CREATE INDEX broken ON t (a);"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass",
        "failed",
        False,
    ),
    "unlogged tables": ("CREATE UNLOGGED TABLE t (a int PRIMARY KEY)", "warning", False),
    "publications": ("CREATE PUBLICATION changes", "warning", False),
    "event triggers": (
        "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE EVENT TRIGGER noticed ON ddl_command_end EXECUTE FUNCTION f()",
        "warning",
        False,
    ),
    "tables without primary key": ("CREATE TABLE t (a int)", "warning", False),
    "materialised views": ("CREATE MATERIALIZED VIEW t AS SELECT 1", "warning", False),
    "foreign data": (
        "CREATE EXTENSION postgres_fdw; CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw",
        "warning",
        False,
    ),
    "row security": (
        f"SET ROLE {MASTER}; CREATE TABLE t (a int PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE t FORCE ROW LEVEL SECURITY; RESET ROLE",
        "failed",
        True,
    ),
    "fence": (f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on", "failed", False),
    "owners": ("CREATE TABLE t (a int PRIMARY KEY)", "failed", True),
    "replication slots": (
        "SELECT pg_create_logical_replication_slot('reader', 'test_decoding')",
        "failed",
        False,
    ),
}


@pytest.fixture
def prepared(run: Run, blue: Cluster, green: Cluster) -> Iterator[Run]:
    """Both sides with an application role and an empty database; the databases are dropped at the end."""
    Run(run.environment, run.authority, {}, run.source).job("prepare-role")
    run.job("prepare-role")
    yield run
    for cluster in (blue, green):
        with cluster.superuser("postgres") as connection:
            connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def execute(cluster: Cluster, statement: str) -> None:
    with cluster.superuser(DATABASE) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def findings(run: Run, job: str) -> dict[str, dict[str, Any]]:
    run.job(job)
    name = "source" if job == "inspect" else "candidate"
    order = ("passed", "skipped", "warning", "failed")
    found = sorted(run.document(f"findings/{name}.json"), key=lambda finding: order.index(finding["result"]))
    return {finding["check"]: finding for finding in found}


def test_ordinary_database_passes_every_check(prepared: Run) -> None:
    found = findings(prepared, "inspect")
    assert {name for name, finding in found.items() if finding["result"] != "passed"} == set()
    assert {"size", "roles", "collation", "large objects", "prepared transactions"} <= set(found)
    found = findings(prepared, "inspect-candidate")
    assert {
        name for name, finding in found.items() if finding["result"] not in ("passed", "skipped")
    } == set()


@pytest.mark.parametrize("check", SOURCE)
def test_inspection_finds_it_and_names_a_remedy(prepared: Run, blue: Cluster, check: str) -> None:
    statement, result, executable = SOURCE[check]
    # Given a source with it
    execute(blue, statement) if "SET ROLE" in statement else [
        execute(blue, part) for part in statement.split("; ")
    ]
    # When it is inspected, then it is found
    finding = findings(prepared, "inspect")[check]
    assert finding["result"] == result
    assert finding["remedy"]
    if executable:
        # When the remedy's SQL is executed, then it passes
        sql = finding["remedy"].split(";")[0].removeprefix("As a user who may: ")
        execute(blue, sql)
        assert findings(prepared, "inspect")[check]["result"] == "passed"
        if check == "owners":
            execute(blue, f"REVOKE rdsadmin FROM {MASTER}")


def test_candidate_that_cannot_make_event_triggers_is_told_before(prepared: Run, blue: Cluster) -> None:
    # Given an event trigger on the source, and a master user without the right
    execute(blue, "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
    execute(blue, "CREATE EVENT TRIGGER noticed ON ddl_command_end EXECUTE FUNCTION f()")
    execute(blue, "CREATE PUBLICATION everything FOR ALL TABLES")
    found = findings(prepared, "inspect-candidate")
    assert found["event triggers"]["result"] == "failed"
    assert found["publications"]["result"] == "failed"


def test_extension_that_the_candidate_cannot_make_is_told_before(
    prepared: Run, blue: Cluster, green: Cluster
) -> None:
    execute(blue, "CREATE EXTENSION pgcrypto")
    assert findings(prepared, "inspect-candidate")["extensions"]["result"] == "passed"


def test_candidate_that_is_not_empty_is_told_before(prepared: Run, green: Cluster) -> None:
    execute(green, "CREATE TABLE somebody (id int)")
    found = findings(prepared, "inspect-candidate")["empty"]
    assert found["result"] == "failed" and "public.somebody" in found["message"]


def test_candidate_without_room_is_told_before(prepared: Run, blue: Cluster) -> None:
    prepared.candidate["allocated_storage"] = 20
    assert findings(prepared, "inspect-candidate")["room"]["result"] == "passed"


def test_prepared_transaction_is_found(prepared: Run, blue: Cluster) -> None:
    with blue.master(DATABASE) as connection:
        connection.execute("BEGIN; CREATE TABLE promised (id int)")
        connection.execute("PREPARE TRANSACTION 'it''s'")
        finding = findings(prepared, "inspect")["prepared transactions"]
        connection.execute("ROLLBACK PREPARED 'it''s'")
    assert finding["result"] == "failed"
    assert "ROLLBACK PREPARED 'it''s'" in finding["remedy"]


def test_other_login_roles_are_named(prepared: Run, blue: Cluster) -> None:
    execute(blue, "CREATE ROLE analyst LOGIN BYPASSRLS")
    try:
        found = findings(prepared, "inspect")["roles"]
        there = findings(prepared, "inspect-candidate")["roles"]
    finally:
        execute(blue, "DROP ROLE analyst")
    assert found["result"] == "warning" and "analyst" in found["message"]
    assert there["result"] == "failed" and "BYPASSRLS" in there["message"]


def test_long_name_of_everything_is_quoted_for_the_remedy(prepared: Run, blue: Cluster) -> None:
    execute(blue, 'CREATE UNLOGGED TABLE "Mixed ""Case""" (id int PRIMARY KEY)')
    assert 'ALTER TABLE "Mixed ""Case""" SET LOGGED' in str(
        findings(prepared, "inspect")["unlogged tables"]["remedy"]
    )


def test_server_error_in_one_check_hides_no_other(prepared: Run) -> None:

    def broken(inspection: Inspection) -> list[Any]:
        raise psycopg.errors.InsufficientPrivilege("permission denied for view pg_everything")

    def fine(inspection: Inspection) -> list[Any]:
        return []

    inspection = Inspection(None, "know_me", "know_me", Path())  # type: ignore[arg-type]
    found = examine({"broken": broken, "fine": fine}, inspection)
    assert [(finding.check, finding.result) for finding in found] == [("broken", "skipped")]
    assert "permission denied" in found[0].message
