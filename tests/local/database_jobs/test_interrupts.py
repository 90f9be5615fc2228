"""A job that is stopped dies at once, with its children, and says so."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.local.database_jobs.clusters import Cluster
from tests.local.database_jobs.conftest import DATABASE, Run

SECONDS_TO_DIE = 10


@pytest.fixture
def filled(run: Run, blue: Cluster, green: Cluster) -> Run:
    """A run whose two sides hold one partitioned table, which only pg_dump locks."""
    Run(run.environment, run.authority, {}, run.source).job("prepare-role")
    run.job("prepare-role")
    for cluster in (blue, green):
        with cluster.master(DATABASE) as connection:
            connection.execute(
                "DROP TABLE IF EXISTS note; CREATE TABLE note (id int) PARTITION BY RANGE (id)"
            )
    return run


@pytest.fixture
def locked(blue: Cluster, filled: Run) -> Iterator[psycopg.Connection]:
    """Somebody holds a lock on the source's table, so that whoever reads it waits."""
    with blue.master(DATABASE) as connection:
        connection.execute("BEGIN; LOCK TABLE note IN ACCESS EXCLUSIVE MODE")
        yield connection


def waiting(cluster: Cluster) -> int:
    with cluster.superuser("postgres") as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name "
            "= 'know-me-database-job'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def children(pid: int) -> set[int]:
    listed = subprocess.run(
        ["ps", "--no-headers", "-o", "pid", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return {int(text) for text in listed.stdout.split()}


@pytest.mark.parametrize("job", ["dump", "verify"])
def test_stopped_job_ends_its_children_and_records_the_interruption(
    filled: Run, locked: psycopg.Connection, blue: Cluster, job: str
) -> None:
    # Given a job in the middle of its work
    process = filled.start(job)
    deadline = time.monotonic() + 30
    while not waiting(blue):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    tools = children(process.pid)
    assert tools
    # When the build is stopped
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    # Then job and children are gone soon, and the result says why
    assert time.monotonic() - started < SECONDS_TO_DIE
    assert process.returncode == 1, output
    for tool in tools:
        with pytest.raises(ProcessLookupError):
            os.kill(tool, 0)
    result = filled.document(f"jobs/{job}.json")
    assert result["status"] == "failed"
    assert result["error"]["name"] == "DatabaseJobInterrupted"
    assert "SIGTERM" in result["error"]["cause"]


def test_dump_whose_server_session_is_ended_fails_with_its_cause(
    filled: Run, locked: psycopg.Connection, blue: Cluster
) -> None:
    # Given a dump that waits, when the server ends its session
    process = filled.start("dump")
    deadline = time.monotonic() + 30
    while not waiting(blue):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    with blue.superuser("postgres") as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND application_name = 'know-me-database-job'"
        )
    process.communicate(timeout=30)
    # Then the error has a name, pg_dump's own words, and there is no manifest that promises a dump
    error = filled.document("jobs/dump.json")["error"]
    assert error["name"] == "DumpFailed"
    assert "pg_dump ended with exit code 1" in error["cause"] and "terminating connection" in error["cause"]
    assert not filled.has("dump/manifest.json")
