"""The stand-in API, its client and the sample data on a real PostgreSQL.

The bucket is moto's, in this process; one test runs the image as a task of the local ECS.
"""

import hashlib
import json
import os
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

import boto3
import psycopg
import pytest
from moto import mock_aws
from psycopg import sql

from examples import sample_data, sample_media
from examples.api import database
from examples.api.media import MediaStore
from examples.api.photos import Photos
from examples.api.server import Application, make_server
from examples.client import WritingClient
from examples.journal import Journal, read_journal
from examples.reconcile import main as reconcile_main
from examples.reconcile import reconcile
from examples.reconcile_photos import reconcile_photos
from examples.user_dump import UserDumpError, load
from localaws.postgresql import PostgreSQL, unprivileged_account
from tests.local.conftest import PROJECT, LocalAWS

pytestmark = pytest.mark.local

PORT = 4670
BUCKET = "media"


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


@pytest.fixture(autouse=True)
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an S3 in this process, with an empty bucket."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


@contextmanager
def serving(connection_string: str, bucket: str = BUCKET) -> Iterator[str]:
    pool = database.Pool(connection_string)
    store = MediaStore(boto3.client("s3", region_name="us-east-1"), bucket)
    server = make_server(Application(pool, Photos(pool, store), bucket), "127.0.0.1", 0)
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
        assert call(f"{url}/status/") == (200, {"status": "ok", "media_bucket": BUCKET})


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


def send(method: str, url: str, body: bytes | None = None, kind: str = "image/png") -> tuple[int, str, bytes]:
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def upload(url: str, body: bytes) -> dict[str, Any]:
    status, _, answer = send("POST", f"{url}/photos/?owner=Zo%C3%AB", body)
    assert status == 201, answer
    row: dict[str, Any] = json.loads(answer)
    return row


def test_a_photo_is_an_object_and_a_row_that_refers_to_it(migrated: str, s3: Any) -> None:
    body = bytes(range(256)) * 400
    with serving(migrated) as url:
        # When a photo is uploaded
        row = upload(url, body)
        # Then the row has a path as Django's FileField keeps it
        assert row["file"].startswith("photos/")
        assert row["file"].endswith(".png")
        assert (row["owner"], row["sha256"]) == ("Zoë", hashlib.sha256(body).hexdigest())
        # And the object has the bytes, and what was said of them
        found = s3.get_object(Bucket=BUCKET, Key=f"media/{row['file']}")
        assert found["Body"].read() == body
        assert found["ContentType"] == "image/png"
        assert found["Metadata"] == {"owner": "Zo%C3%AB", "sha256": row["sha256"]}
        tags = s3.get_object_tagging(Bucket=BUCKET, Key=f"media/{row['file']}")["TagSet"]
        assert tags == [{"Key": "kind", "Value": "photo"}]
        # And it reads back the same
        assert send("GET", f"{url}/photos/{row['id']}/") == (200, "image/png", body)


def test_a_photo_is_replaced_in_its_place(migrated: str, s3: Any) -> None:
    with serving(migrated) as url:
        row = upload(url, b"first")
        status, _, answer = send("PUT", f"{url}/photos/{row['id']}/", b"second", "image/webp")
        assert (status, json.loads(answer)["file"]) == (200, row["file"])
        assert send("GET", f"{url}/photos/{row['id']}/") == (200, "image/webp", b"second")
        assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def test_a_deleted_photo_leaves_neither_row_nor_object(migrated: str, s3: Any) -> None:
    with serving(migrated) as url:
        row = upload(url, b"x")
        assert send("DELETE", f"{url}/photos/{row['id']}/")[0] == 200
        for method in ("GET", "PUT", "DELETE"):
            assert send(method, f"{url}/photos/{row['id']}/", b"y" if method == "PUT" else None)[0] == 404
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_row_whose_object_is_missing_is_404_and_says_so(migrated: str, s3: Any) -> None:
    with serving(migrated) as url:
        row = upload(url, b"x")
        s3.delete_object(Bucket=BUCKET, Key=f"media/{row['file']}")
        status, _, answer = send("GET", f"{url}/photos/{row['id']}/")
    assert status == 404
    assert f"media/{row['file']} is not in the bucket media" in json.loads(answer)["error"]


def test_a_bucket_that_refuses_is_503_and_nothing_is_promised(migrated: str) -> None:
    with serving(migrated, "no-such-bucket") as url:
        status, _, answer = send("POST", f"{url}/photos/?owner=a", b"x")
        assert (status, json.loads(answer)["error"]) == (
            503,
            "the media bucket does not serve this now: MediaUnavailableError",
        )
        assert call(f"{url}/status/")[0] == 200
    with psycopg.connect(migrated) as connection:
        assert connection.execute("SELECT count(*) FROM know_me_photo").fetchone() == (0,)


def test_a_fenced_database_keeps_the_bytes_of_a_photo(migrated: str, s3: Any) -> None:
    with serving(migrated) as url, closing(psycopg.connect(migrated, autocommit=True)) as admin:
        row = upload(url, b"first")
        # Given a database that refuses writes
        set_writable(admin, False)
        # When a photo is replaced or deleted
        wait_for(lambda: send("PUT", f"{url}/photos/{row['id']}/", b"second")[0] == 503)
        assert send("DELETE", f"{url}/photos/{row['id']}/")[0] == 503
        # Then its object stays what the row says it is
        assert send("GET", f"{url}/photos/{row['id']}/")[2] == b"first"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "", 400), ("GET", "", 404), ("GET", "x/", 404), ("PATCH", "1/", 405), ("GET", "1/2/", 404)],
)
def test_other_requests_about_photos_are_refused(migrated: str, method: str, path: str, status: int) -> None:
    with serving(migrated) as url:
        assert send(method, f"{url}/photos/{path}", b"x" if method != "GET" else None)[0] == status


def test_sample_media_is_in_the_bucket_and_most_of_it_has_a_row(migrated: str, s3: Any) -> None:
    # When a bucket is filled
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    loaded = sample_media.load(s3, BUCKET, migrated, count=150, large_bytes=5000)
    # Then every object is there
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert len(keys) == loaded.objects > 170
    # And the rows are true but for the files that are missing on purpose
    with psycopg.connect(migrated) as connection:
        files = {f"media/{file}" for (file,) in connection.execute("SELECT file FROM know_me_photo")}
    assert len(files) == loaded.rows
    assert len(files - keys) == sample_media.MISSING_FILES
    assert len(keys - files) == loaded.unreferenced > 0
    # And there are noncurrent versions and delete markers
    versions = s3.list_object_versions(Bucket=BUCKET, MaxKeys=1000)
    assert versions["DeleteMarkers"]
    assert any(not version["IsLatest"] for version in versions["Versions"])
    # And the API serves what the rows say
    with psycopg.connect(migrated) as connection:
        rows = connection.execute("SELECT id, sha256 FROM know_me_photo WHERE id % 9 = 0").fetchall()
    with serving(migrated) as url:
        for identifier, digest in rows:
            status, _, body = send("GET", f"{url}/photos/{identifier}/")
            assert (status, hashlib.sha256(body).hexdigest()) == (200, digest)


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
        client = WritingClient(url, journal, writers=3, rate=100, uploads=40)
        client.start()
        wait_for(lambda: client.figures().acknowledged > 30)
        wait_for(lambda: client.photos.figures().acknowledged > 10)
        set_writable(admin, False)
        wait_for(lambda: client.figures().in_outage and client.figures().unanswered > 5)
        set_writable(admin, True)
        wait_for(lambda: not client.figures().in_outage and not client.photos.figures().in_outage)
        acknowledged = client.figures().acknowledged
        wait_for(lambda: client.figures().acknowledged > acknowledged + 30)
        figures = client.stop()
        photos = reconcile_photos(read_journal(journal.path), url)
    journal.close()
    # When log and database are compared
    with psycopg.connect(migrated) as connection:
        result = reconcile(read_journal(journal.path), connection)
    # Then they agree, and the outage was seen
    assert result.agrees, result
    assert result.kept == result.acknowledged == figures.acknowledged
    assert figures.longest_outage_seconds(time.time()) > 0
    # And every photo is what was promised
    assert photos.agrees, photos
    assert photos.read > 5
    assert client.photos.figures().outages
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
        "MEDIA_BUCKET": "unused",
        "AWS_REGION": "us-east-1",
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
    assert "MEDIA_BUCKET" in done.stdout
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


def test_a_task_stores_the_static_files_with_the_role_of_its_own(local_aws: LocalAWS) -> None:
    # Given a bucket, and a role that the task acts with
    s3, ecs, iam = (local_aws.client(name) for name in ("s3", "ecs", "iam"))
    name = f"static-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    may = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{name}/static/*"}
    iam.put_role_policy(
        RoleName=name,
        PolicyName="write",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}),
    )
    subnet = local_aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    variables = {
        "DATABASE_HOST": "unused",
        "DATABASE_NAME": "unused",
        "DATABASE_USERNAME": "unused",
        "DATABASE_PASSWORD": "unused",
        "DATABASE_SSLMODE": "disable",
        "DJANGO_SECRET_KEY": "unused",
        "MEDIA_BUCKET": name,
    }
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(
        family=name,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        taskRoleArn=role,
        containerDefinitions=[
            {
                "name": "api",
                "image": "know-me/api:test",
                "command": ["collectstatic"],
                "environment": [{"name": key, "value": value} for key, value in variables.items()],
            }
        ],
    )
    # When the image's command runs as a task
    (task,) = ecs.run_task(
        cluster=name,
        taskDefinition=name,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
    )["tasks"]

    def ended() -> Any:
        (found,) = ecs.describe_tasks(cluster=name, tasks=[task["taskArn"]])["tasks"]
        return found if found["lastStatus"] == "STOPPED" else None

    wait_for(ended, 60)
    # Then the files are there, with what a browser needs, and the role has put them there
    assert ended()["containers"][0]["exitCode"] == 0, ended()
    directory = PROJECT / "examples" / "api" / "static"
    files = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
    listed = {item["Key"] for item in s3.list_objects_v2(Bucket=name)["Contents"]}
    assert listed == {f"static/{file}" for file in files}
    found = s3.head_object(Bucket=name, Key="static/know_me.css")
    assert (found["ContentType"], found["CacheControl"]) == (
        "text/css; charset=utf-8",
        "public, max-age=86400",
    )
    lines = (local_aws.directory / "requests.jsonl").read_text().splitlines()
    callers = {
        item["principal"]
        for item in map(json.loads, lines)
        if item.get("action") == "PutObject" and name in json.dumps(item)
    }
    assert callers
    assert all(f"/{name}/" in caller or caller.endswith(f"role/{name}") for caller in callers), callers
