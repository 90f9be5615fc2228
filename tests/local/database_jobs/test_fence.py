"""`stop-writers` and `allow-writes`: nobody writes, nothing is forgotten, and everything comes back."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.local.database_jobs.clusters import Cluster
from tests.local.database_jobs.conftest import APPLICATION_ROLE, DATABASE, Run, secret_of


@pytest.fixture
def fenced(run: Run, blue: Cluster) -> Iterator[Run]:
    """A run whose source has an application role, given back at the end."""
    Run(run.environment, run.authority, {}, run.source).job("prepare-role")
    yield run
    with blue.superuser("postgres") as connection:
        connection.execute(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only")
        connection.execute(f"ALTER ROLE {APPLICATION_ROLE} LOGIN")


def application(run: Run, blue: Cluster) -> psycopg.Connection:
    return blue.connect(APPLICATION_ROLE, secret_of(run.source)["password"], DATABASE)


def test_sessions_that_stay_are_ended_after_the_grace_time(fenced: Run, blue: Cluster) -> None:
    # Given two sessions, one in a transaction
    idle, busy = application(fenced, blue), application(fenced, blue)
    busy.execute("BEGIN")
    busy.execute("CREATE TABLE half (id int)")
    # When writers are stopped with a second of grace
    started = time.monotonic()
    output = fenced.job("stop-writers", "--grace-seconds=1")
    # Then it waited, told who, ended both, and the transaction is undone
    assert time.monotonic() - started >= 1
    assert "2 sessions left" in output and "know_me (unnamed, idle in transaction)" in output
    for session in (idle, busy):
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    figures = fenced.document("jobs/stop-writers.json")["figures"]
    assert figures["sessions_ended"] == 2 and figures["sessions_left"] == 0 and "/" in figures["wal_position"]
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        application(fenced, blue)


def test_session_that_ends_by_itself_is_not_ended_by_force(fenced: Run, blue: Cluster) -> None:
    # Given a session that leaves during the grace time
    session = application(fenced, blue)
    process = fenced.start("stop-writers", "--grace-seconds=30")
    assert process.stdout is not None
    for line in process.stdout:
        if "sessions left" in line:
            session.close()
            break
    # When the job ends, then it did not wait longer than it had to
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert fenced.document("jobs/stop-writers.json")["figures"]["sessions_ended"] == 0


def test_fence_is_recorded_before_anything_is_touched_and_kept_when_repeated(fenced: Run) -> None:
    # Given a fence
    fenced.job("stop-writers", "--grace-seconds=0")
    first = fenced.document("fence.json")
    assert first["login_roles"] == [APPLICATION_ROLE] and first["read_only_setting"] is None
    # When the job is repeated on the fenced database, then the record still says how it was
    fenced.job("stop-writers", "--grace-seconds=0")
    assert fenced.document("fence.json") == first


def test_allow_writes_brings_back_what_was_recorded_and_may_be_repeated(fenced: Run, blue: Cluster) -> None:
    # Given a role that could not log in before, and a database that was writable by its own setting
    with blue.superuser("postgres") as connection:
        connection.execute("DROP ROLE IF EXISTS resting; CREATE ROLE resting NOLOGIN")
        connection.execute(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = off")
    fenced.job("stop-writers", "--grace-seconds=0")
    # When writes are allowed again, twice
    fenced.job("allow-writes")
    fenced.job("allow-writes")
    # Then the application writes, and nothing else changed
    with application(fenced, blue) as session, session.transaction(force_rollback=True):
        session.execute("CREATE TABLE written (id int)")
    with blue.superuser("postgres") as connection:
        assert connection.execute(
            "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'resting'"
        ).fetchone() == (False,)
        assert connection.execute(
            "SELECT setconfig FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase <> 0"
        ).fetchone() == (["default_transaction_read_only=off"],)


def test_nothing_to_undo_is_success(fenced: Run, blue: Cluster) -> None:
    assert "nothing to undo" in fenced.job("allow-writes")
    application(fenced, blue).close()


def test_fence_of_another_instance_is_not_undone_here(fenced: Run) -> None:
    fenced.job("stop-writers", "--grace-seconds=0")
    swapped = Run(fenced.environment, fenced.authority, fenced.candidate, fenced.source, run_id=fenced.run_id)
    assert "is on know-me-test-blue, not on know-me-test-green" in swapped.job("allow-writes", expect=1)


def test_prepared_transaction_is_named_with_its_remedy(fenced: Run, blue: Cluster) -> None:
    # Given a prepared transaction, which ends with no session
    with blue.master(DATABASE) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE promised (id int)")
        connection.execute("PREPARE TRANSACTION 'promise'")
    # When writers are stopped, then it fails and says what to do
    fenced.job("stop-writers", "--grace-seconds=0", expect=1)
    with blue.master(DATABASE) as connection:
        connection.execute(sql.SQL("ROLLBACK PREPARED 'promise'"))
    error = fenced.document("jobs/stop-writers.json")["error"]
    assert error["name"] == "QuiesceTimedOut"
    assert "ROLLBACK PREPARED 'promise'" in error["remedy"]
