"""A local AWS for the tests: one server per test session (and per worker of pytest-xdist)."""

# ruff: noqa: S310 - addresses of our own server

import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

PROJECT = Path(__file__).parents[2]


LONGEST = "test_provision.py"
"""Begins first, in one worker, while the others work on everything else."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name != LONGEST)


@dataclass(frozen=True)
class LocalAWS:
    """A running local AWS, seen from outside.

    Attributes
    ----------
    port, endpoint, directory:
        Where it listens and writes.
    variables:
        What `python -m localaws env` exports.
    """

    port: int
    endpoint: str
    directory: Path
    variables: dict[str, str]

    def environment(self) -> dict[str, str]:
        """Return this process's environment with the AWS variables replaced by those of the server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | self.variables

    def client(self, service: str, region: str = "us-east-1", **credentials: str) -> Any:
        """Return a boto3 client as the administrator, or with other credentials."""
        keys = credentials or {
            "aws_access_key_id": self.variables["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.variables["AWS_SECRET_ACCESS_KEY"],
        }
        return boto3.session.Session(region_name=region, **keys).client(
            service,
            endpoint_url=self.variables["AWS_ENDPOINT_URL_S3"] if service == "s3" else self.endpoint,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=300, inject_host_prefix=False),
        )

    def all_powerful_role(self, *services: str) -> str:
        """Return the ARN of a new role that may do everything and that the services may assume."""
        iam, name = self.client("iam"), f"test-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Principal": {"Service": list(services)}, "Action": "sts:AssumeRole"}
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        trusting, powerful = (
            json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            for statement in (trust, everything)
        )
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=powerful)
        return arn

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the server's own interface below `/_localaws/`; return the decoded answer."""
        request = urllib.request.Request(
            f"{self.endpoint}/_localaws/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def status(self) -> dict[str, Any]:
        """Return what the server says about itself."""
        found: dict[str, Any] = self.control("GET", "status")
        return found


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m localaws` with arguments."""
    return subprocess.run(
        [sys.executable, "-m", "localaws", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.fixture(scope="session")
def local_aws() -> Iterator[LocalAWS]:
    """A local AWS on a free port in a temporary directory; everything it starts ends with the session."""
    # Not below pytest's own directory: another session closes that one to PostgreSQL, which is another user.
    with tempfile.TemporaryDirectory(prefix="localaws-test-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield from _serve(directory)


def _serve(directory: Path) -> Iterator[LocalAWS]:
    port = free_port()
    images = PROJECT / "examples" / "images.json"
    arguments = ["--port", str(port), "--directory", str(directory)]
    started = command("up", *arguments, *(["--images", str(images)] if images.exists() else []))
    assert started.returncode == 0, started.stderr
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_localaws/status", timeout=30) as answer:
            status = json.load(answer)
        yield LocalAWS(port, status["endpoint"], directory, status["environment"])
    finally:
        stopped = command("down", *arguments)
        assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def queue(local_aws: LocalAWS) -> tuple[str, str]:
    """URL and ARN of a queue of the test's own."""
    client = local_aws.client("sqs")
    url = client.create_queue(QueueName=f"test-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn
