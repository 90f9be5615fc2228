"""The stand-in API, its client and the sample data on a real PostgreSQL: no AWS is involved."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from psycopg import sql

from examples import sample_data
from examples.api import database
from examples.api.server import Application, make_server
from examples.client import WritingClient
from examples.journal import Journal, read_journal
from examples.reconcile import main as reconcile_main
from examples.reconcile import reconcile
from examples.user_dump import UserDumpError, load
from localaws.postgresql import PostgreSQL, unprivileged_account

pytestmark = pytest.mark.local

PORT = 4670


def _newest_binaries() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = (
        versions[-1] if versions else Path(shutil.which("initdb") or pytest.skip("no PostgreSQL server here"))
    )
    return found.parent


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A PostgreSQL of this module's own; yields the connection string of its superuser."""
    binaries = newest_binaries()
    # Not below pytest's own directory: another session closes that one to PostgreSQL, which is another user.
    directory = Path(tempfile.mkdtemp(prefix="postgresql-test-"))
    data = directory / "data"
    unprivileged: dict[str, Any] = {}
    account = unprivileged_account()
    if account is not None:
        unprivileged = {"user": account, "extra_groups": []}
        shutil.chown(directory, account)

    def run(*arguments: str | Path) -> None:
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60, **unprivileged)

    run(
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-A",
        "trust",
        "--no-sync",
    )
    options = f"-c listen_addresses=127.0.0.1 -c port={PORT} -c unix_socket_directories='' -c fsync=off"
    run(binaries / "pg_ctl", "-D", data, "-w", "-l", directory / "log", "-o", options, "start")
    yield f"host=127.0.0.1 port={PORT} user=postgres dbname=postgres sslmode=disable"
    run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(directory)


@pytest.fixture
def empty_database(cluster: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with closing(psycopg.connect(cluster, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield cluster.replace("dbname=postgres", f"dbname={name}")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def migrated(empty_database: str) -> str:
    with psycopg.connect(empty_database) as connection:
        assert database.migrate(connection)
    return empty_database


@contextmanager
def serving(connection_string: str) -> Iterator[str]:
    pool = database.Pool(connection_string)
    server = make_server(Application(pool), "127.0.0.1", 0)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        pool.close()


def newest_binaries() -> Path:
    return PostgreSQL().binaries()


def call(url: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    data = json.dumps(body).encode() if body is not None else None
    try:
        request = urllib.request.Request(url, data)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_for(condition: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def set_writable(admin: psycopg.Connection[Any], writable: bool) -> None:
    """What fencing a database does: new sessions are read-only, and the present ones end."""
    admin.execute(f"ALTER DATABASE {admin.info.dbname} SET default_transaction_read_only = {not writable}")
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def test_status_is_503_until_the_schema_is_there(empty_database: str) -> None:
    with serving(empty_database) as url:
        # Given a database without a schema
        assert call(f"{url}/status/")[0] == 503
        # When the schema is created
        with psycopg.connect(empty_database) as connection:
            assert database.migrate(connection)
        # Then the API is ready
        assert call(f"{url}/status/") == (200, {"status": "ok"})


def test_migrating_twice_does_nothing(migrated: str) -> None:
    with psycopg.connect(migrated) as connection:
        assert not database.migrate(connection)


def test_what_is_written_can_be_read_back(migrated: str) -> None:
    with serving(migrated) as url:
        # Given a user
        reference = str(uuid.uuid4())
        user = {"reference": reference, "first_name": "Zoë", "last_name": "田中", "email": "zoe@example.org"}
        status, row = call(f"{url}/users/", user)
        assert (status, row["reference"]) == (201, reference)
        # When an entry with every kind of JSON value is written
        metadata = {"mood": None, "hours": 7.50, "tags": ["a", "ä\\"], "big": 10**18}
        entry = {"user_id": row["id"], "text": "a\tb\\N", "metadata": metadata, "written_on": "2024-02-29"}
        status, written = call(f"{url}/journal-entries/", {"reference": str(uuid.uuid4()), **entry})
        # Then it reads back the same
        assert status == 201
        assert call(f"{url}/journal-entries/{written['id']}/") == (200, written)
        assert call(f"{url}/journal-entries/") == (200, [written])
        assert entry.items() <= written.items()


def test_bad_bodies_are_refused_with_every_fault(migrated: str) -> None:
    with serving(migrated) as url:
        status, answer = call(f"{url}/profiles/", {"reference": "x", "user_id": 0, "surprise": 1})
    assert status == 400
    assert all(name in answer["error"] for name in ("reference", "user_id", "name", "surprise"))


def test_conflicts_are_the_clients_and_commit_nothing(migrated: str) -> None:
    with serving(migrated) as url:
        user = {"first_name": "A", "last_name": "B", "email": "same@example.org"}
        assert call(f"{url}/users/", {"reference": str(uuid.uuid4()), **user})[0] == 201
        assert call(f"{url}/users/", {"reference": str(uuid.uuid4()), **user})[0] == 409
        orphan = {"reference": str(uuid.uuid4()), "user_id": 999999, "name": "x"}
        assert call(f"{url}/profiles/", orphan)[0] == 409
        assert len(call(f"{url}/users/")[1]) == 1
        assert call(f"{url}/profiles/")[1] == []


@pytest.mark.parametrize("path", ["nothing", "users/1/2", "users/99", ""])
def test_unknown_paths_are_404(migrated: str, path: str) -> None:
    with serving(migrated) as url:
        assert call(f"{url}/{path}")[0] == 404


def test_a_database_that_refuses_writes_is_503_and_reads_go_on(migrated: str) -> None:
    with serving(migrated) as url, closing(psycopg.connect(migrated, autocommit=True)) as admin:
        user = {"first_name": "A", "last_name": "B", "email": "a@example.org"}
        # Given a fenced database
        set_writable(admin, False)
        # When the API writes
        status, _ = call(f"{url}/users/", {"reference": str(uuid.uuid4()), **user})
        # Then nothing is acknowledged, reads go on, and writes come back with the database
        assert status == 503
        assert call(f"{url}/users/") == (200, [])
        assert call(f"{url}/status/")[0] == 200
        set_writable(admin, True)
        wait_for(lambda: call(f"{url}/users/", {"reference": str(uuid.uuid4()), **user})[0] == 201)


def test_sample_data_is_the_same_for_the_same_seed_and_fits_beside_itself(migrated: str) -> None:
    # Given two sizes of sample data made from one seed
    size = sample_data.Size(20)
    first = dict.fromkeys(size.rows, 1)
    made = [list(sample_data.Generator(size, 7, first).rows(table)) for table in size.rows for _ in range(2)]
    assert made[::2] == made[1::2]
    # When they are loaded twice into one database
    rows = sample_data.load(migrated, users=20)
    sample_data.load(migrated, users=20)
    # Then every table has twice the rows, and the app can go on writing
    with psycopg.connect(migrated) as connection:
        for table, count in rows.items():
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            assert connection.execute(query).fetchone() == (2 * count,)
        assert connection.execute("SELECT count(*) FROM know_me_activity").fetchone() == (40,)
        connection.execute("INSERT INTO account_user (first_name, last_name) VALUES ('a', 'b')")


def test_every_acknowledged_write_is_reconciled(migrated: str, tmp_path: Path, monkeypatch: Any) -> None:
    # Given a client that writes for a while, and a database that is away in the middle
    journal = Journal(tmp_path / "writes.jsonl")
    with serving(migrated) as url, closing(psycopg.connect(migrated, autocommit=True)) as admin:
        client = WritingClient(url, journal, writers=3, rate=100)
        client.start()
        wait_for(lambda: client.figures().acknowledged > 30)
        set_writable(admin, False)
        wait_for(lambda: client.figures().in_outage and client.figures().unanswered > 5)
        set_writable(admin, True)
        wait_for(lambda: not client.figures().in_outage)
        acknowledged = client.figures().acknowledged
        wait_for(lambda: client.figures().acknowledged > acknowledged + 30)
        figures = client.stop()
    journal.close()
    # When log and database are compared
    with psycopg.connect(migrated) as connection:
        result = reconcile(read_journal(journal.path), connection)
    # Then they agree, and the outage was seen
    assert result.agrees, result
    assert result.kept == result.acknowledged == figures.acknowledged
    assert figures.longest_outage_seconds(time.time()) > 0
    monkeypatch.setenv("DSN", migrated)
    arguments = ["--log", str(journal.path), "--dsn-variable", "DSN"]
    assert reconcile_main(arguments) == 0

    # And a lost, a changed and an invented row are each found
    with psycopg.connect(migrated) as connection:
        connection.execute("DELETE FROM know_me_comment WHERE id = (SELECT max(id) FROM know_me_comment)")
        connection.execute("UPDATE know_me_journalentry SET text = text || ' ' WHERE id = 1")
        connection.execute("INSERT INTO know_me_profile (user_id, name) VALUES (1, 'invented')")
    with psycopg.connect(migrated) as connection:
        result = reconcile(read_journal(journal.path), connection)
    assert (len(result.missing), len(result.different), len(result.unexplained)) == (1, 1, 1)
    assert reconcile_main(arguments) == 1


def test_sigterm_ends_the_api_at_once_and_well(migrated: str, tmp_path: Path) -> None:
    # Given the API as a container would run it, on the address in its task metadata
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v4/abc/task" else 404)
            self.end_headers()
            self.wfile.write(b'{"Containers": [{"Networks": [{"IPv4Addresses": ["127.46.70.1"]}]}]}')

    metadata = HTTPServer(("127.0.0.1", 0), Metadata)
    Thread(target=metadata.serve_forever, daemon=True).start()
    name = psycopg.conninfo.conninfo_to_dict(migrated)["dbname"]
    environment = {
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": str(PORT),
        "DATABASE_NAME": str(name),
        "DATABASE_USERNAME": "postgres",
        "DATABASE_PASSWORD": "unused",
        "DATABASE_SSLMODE": "disable",
        "DJANGO_SECRET_KEY": "unused",
        "ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:{metadata.server_address[1]}/v4/abc",
    }
    command = [sys.executable, "-m", "examples.api"]
    jobs = subprocess.run([*command, "background-jobs"], env=environment, timeout=30)
    assert jobs.returncode == 0
    process = subprocess.Popen([*command, "serve"], env=environment)

    def answers() -> bool:
        try:
            return call("http://127.46.70.1:8000/status/")[0] == 200
        except OSError:
            return False

    try:
        wait_for(answers)
        # When it is told to stop
        process.send_signal(signal.SIGTERM)
        # Then it ends with exit code 0
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        metadata.shutdown()


def test_every_fault_of_the_configuration_is_named_and_no_value() -> None:
    environment = {"DATABASE_PORT": "hush", "DATABASE_PASSWORD": ""}
    done = subprocess.run(
        [sys.executable, "-m", "examples.api", "migrate"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    for name in ("HOST", "PORT", "NAME", "USERNAME", "PASSWORD", "CERTIFICATE_BUNDLE_URL"):
        assert f"DATABASE_{name}" in done.stdout
    assert "DJANGO_SECRET_KEY" in done.stdout
    assert "hush" not in done.stdout


def test_a_dump_of_another_server_loads_or_leaves_nothing(
    migrated: str, cluster: str, tmp_path: Path
) -> None:
    # Given a dump with owners, rights, COPY and a database of its own
    sample_data.load(migrated, users=15)
    with psycopg.connect(migrated) as connection:
        connection.execute("CREATE ROLE somebody; GRANT SELECT ON account_user TO somebody")
        connection.execute("CREATE FUNCTION two() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END")
    path = tmp_path / "dump.sql"
    command = [newest_binaries() / "pg_dump", "--create", f"--file={path}", f"--dbname={migrated}"]
    subprocess.run(command, check=True, timeout=60)
    text = path.read_text()
    # When it is loaded by a role that is no superuser and owns its database, as on RDS
    other = f"other_{uuid.uuid4().hex}"
    with closing(psycopg.connect(cluster, autocommit=True)) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(other)))
        admin.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(other)))
    target = f"host=127.0.0.1 port={PORT} user={other} dbname={other} sslmode=disable"
    counts = "SELECT (SELECT count(*) FROM know_me_journalentry), (SELECT count(*) FROM account_user), two()"
    with closing(psycopg.connect(target)) as connection:
        # A file that fails in its last line leaves nothing
        path.write_text(text + "SELECT 1/0;\n")
        with pytest.raises(UserDumpError, match=f"line {text.count(chr(10)) + 1}: division by zero"):
            load(path, connection)
        path.write_text(text)
        loaded = load(path, connection)
        # Then all of it is there, and what was left out is named
        assert loaded.left_out["roles, owners and rights belong to the old server"] > 10
        assert connection.execute(counts).fetchone() == (150, 15, 2)
        with pytest.raises(UserDumpError, match="start with --fresh"):
            load(path, connection)
