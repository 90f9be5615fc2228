"""Two clusters, a run folder in S3 and secrets, for jobs that are run as the build runs them."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.local.database_jobs.clusters import ADDRESS, MASTER, Authority, Cluster

ROOT = Path(__file__).resolve().parents[3]
BUCKET = "know-me-test-artifacts"
APPLICATION_ROLE = "know_me"
DATABASE = "know_me"
TORTURE = Path(__file__).with_name("torture.sql")


# Of the package: the variables would lead other tests of the session to this moto.
@pytest.fixture(scope="package")
def aws() -> Iterator[dict[str, str]]:
    """Environment of a process that finds S3 and Secrets Manager (moto's: they need no more truth here).

    moto runs in a process of its own: another test's `mock_aws` would empty it in this one.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        _create_bucket(port)
        yield environment
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.terminate()
        server.wait(30)


def _create_bucket(port: int) -> None:
    """Wait until moto listens, and make the bucket of the run folders."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.1)
    boto3.client("s3").create_bucket(Bucket=BUCKET)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def cluster(name: str, authority: Authority) -> Iterator[Cluster]:
    server = Cluster(name, authority)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def blue(authority: Authority) -> Iterator[Cluster]:
    """The old server."""
    yield from cluster("blue", authority)


@pytest.fixture(scope="module")
def green(authority: Authority) -> Iterator[Cluster]:
    """The new server."""
    yield from cluster("green", authority)


@dataclass
class Run:
    """One run: a run folder, the two databases as the manifest describes them, and the jobs."""

    environment: dict[str, str]
    authority: Authority
    source: dict[str, Any]
    candidate: dict[str, Any]
    run_id: str = field(default_factory=lambda: f"run-{uuid.uuid4().hex[:12]}")

    @property
    def prefix(self) -> str:
        return f"runs/{self.run_id}"

    def arguments(self, job: str, *more: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "database_jobs",
            job,
            f"--run-id={self.run_id}",
            f"--run-folder=s3://{BUCKET}/{self.prefix}",
            f"--certificate-bundle-url=file://{self.authority.bundle}",
            f"--source={json.dumps(self.source)}",
            f"--candidate={json.dumps(self.candidate)}",
            *more,
        ]

    def start(self, job: str, *more: str) -> subprocess.Popen[str]:
        """Start a job as the build does: a process of its own."""
        return subprocess.Popen(
            self.arguments(job, *more),
            cwd=ROOT / "codebuild",
            env={"PATH": os.environ["PATH"], **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def job(self, job: str, *more: str, expect: int = 0) -> str:
        """Run a job; return what it printed."""
        process = self.start(job, *more)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == expect, output
        return output

    def verify(self) -> int:
        """Run the job `verify` in this process, which is quicker; return its exit code."""
        # Here and not above: benchmarks use this module without the jobs' package on their path.
        from database_jobs.command_line import parse_inputs, parser, perform

        inputs = parse_inputs(parser().parse_args(self.arguments("verify")[3:]))
        return perform("verify", inputs, boto3.Session())

    def document(self, name: str) -> Any:
        """Return a document of the run folder."""
        body = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"{self.prefix}/{name}")["Body"]
        return json.loads(body.read())

    def has(self, name: str) -> bool:
        listed = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/{name}")
        return bool(listed["KeyCount"])


def application_secret() -> str:
    """Make an environment's application secret, without a value; return its ARN."""
    made = boto3.client("secretsmanager").create_secret(
        Name=f"know-me/{uuid.uuid4().hex[:8]}/database/application"
    )
    return str(made["ARN"])


def generation(name: str, cluster: Cluster, database: str, secret: str) -> dict[str, Any]:
    """Return a generation as the manifest describes it, a version of the application secret."""
    secrets = boto3.client("secretsmanager")
    unique = uuid.uuid4().hex[:8]
    master = secrets.create_secret(
        Name=f"rds-master-{unique}",
        SecretString=json.dumps({"username": MASTER, "password": cluster.password}),
    )
    return {
        "generation": name,
        "instance_id": f"know-me-test-{name}",
        "endpoint": ADDRESS,
        "port": cluster.port,
        "database_name": database,
        "engine_version": "15",
        "master_secret_arn": master["ARN"],
        "application_secret_arn": secret,
        "application_secret_label": name,
        "application_role": APPLICATION_ROLE,
        "subnet_ids": [],
        "security_group_ids": [],
    }


def secret_of(database: dict[str, Any]) -> dict[str, Any]:
    """Return the value of a generation's version of the application secret."""
    return json.loads(version_of(database)["SecretString"])


def version_of(database: dict[str, Any]) -> dict[str, Any]:
    """Return a generation's version of the application secret."""
    found: dict[str, Any] = boto3.client("secretsmanager").get_secret_value(
        SecretId=database["application_secret_arn"], VersionStage=database["application_secret_label"]
    )
    return found


def load(cluster: Cluster, database: str, script: Path) -> None:
    """Run a script as the superuser."""
    environment = {
        "PATH": os.environ["PATH"],
        "PGPASSWORD": cluster.superuser_password,
        "PGSSLMODE": "require",
        "PGCLIENTENCODING": "UTF8",
    }
    done = subprocess.run(
        [
            "psql",
            "--no-psqlrc",
            "--quiet",
            f"--host={ADDRESS}",
            f"--port={cluster.port}",
            "--username=rdsadmin",
            f"--dbname={database}",
            "--set=ON_ERROR_STOP=1",
            f"--set=database={database}",
            "--output=/dev/null",
            f"--file={script}",
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def run(aws: dict[str, str], authority: Authority, blue: Cluster, green: Cluster) -> Run:
    """A run from blue to green; nothing is done yet."""
    secret = application_secret()
    source, candidate = (
        generation(name, cluster, DATABASE, secret) for name, cluster in (("blue", blue), ("green", green))
    )
    return Run(aws, authority, source, candidate)


@dataclass
class Migrated:
    """A finished run, its servers and what the jobs printed."""

    run: Run
    blue: Cluster
    green: Cluster
    output: str


@pytest.fixture(scope="module")
def migrated(aws: dict[str, str], authority: Authority, blue: Cluster, green: Cluster) -> Migrated:
    """A database with one of everything, moved by the jobs in the order of the runbook.

    The source stays fenced.
    """
    secret = application_secret()
    source, candidate = (
        generation(name, cluster, DATABASE, secret) for name, cluster in (("blue", blue), ("green", green))
    )
    output = [Run(aws, authority, {}, source).job("prepare-role")]
    load(blue, DATABASE, TORTURE)
    run = Run(aws, authority, source, candidate)
    for job in ("inspect", "inspect-candidate", "prepare-role", "stop-writers", "dump", "restore", "verify"):
        output.append(run.job(job, "--grace-seconds=0"))
    return Migrated(run, blue, green, "\n".join(output))
