"""Wrong inputs and wrong surroundings end with one clear error, and nothing is touched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from tests.local.database_jobs.clusters import Authority, Cluster
from tests.local.database_jobs.conftest import ROOT, Run, secret_of, version_of


def test_every_fault_of_the_options_is_named_at_once(run: Run) -> None:
    # Given three faults
    run.source |= {"port": 70000}
    del run.source["master_secret_arn"]
    # When a job is started with them
    output = run.job("inspect", "--grace-seconds=soon", expect=2)
    # Then all are named, and the run folder knows
    for word in ("source.port", "source.master_secret_arn", "grace_seconds"):
        assert word in output
    error = run.document("jobs/inspect.json")["error"]
    assert error["name"] == "DatabaseJobFailed" and "source.port" in error["cause"]


def test_job_without_its_database_is_refused(run: Run) -> None:
    run.candidate = {}
    assert "candidate: job verify needs this database" in run.job("verify", expect=2)


@pytest.mark.parametrize("job", ["", "dump", "verify", "stop-writers"])
def test_help_says_what_a_job_does(job: str) -> None:
    arguments = [sys.executable, "-m", "database_jobs", *([job] if job else []), "--help"]
    done = subprocess.run(
        arguments, cwd=ROOT / "codebuild", capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert "usage: python -m database_jobs" in done.stdout
    assert "--source" in done.stdout or "Exit codes" in done.stdout


def test_server_with_a_certificate_of_another_authority_is_refused(run: Run, tmp_path: Path) -> None:
    # Given a bundle that does not hold the server's authority
    run.authority = Authority(tmp_path)
    # When a job connects, then it refuses before any password is sent
    output = run.job("inspect", expect=1)
    assert "certificate verify failed" in output


def test_server_whose_certificate_names_another_host_is_refused(run: Run) -> None:
    run.source |= {"endpoint": "127.0.0.2"}
    # Nothing listens there for this test: the connection itself already fails, with the endpoint named
    assert "127.0.0.2" in run.job("inspect", expect=1)


def test_bundle_that_is_no_certificate_is_refused(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html>sign in</html>")
    run.authority = type("Bundle", (), {"bundle": page})()
    assert "is not a bundle of PEM certificates" in run.job("inspect", expect=1)


def test_wrong_master_password_is_told_without_the_password(run: Run) -> None:
    # Given a master secret that is out of date
    boto3.client("secretsmanager").put_secret_value(
        SecretId=run.source["master_secret_arn"],
        SecretString=json.dumps({"username": "know_me_admin", "password": "out-of-date"}),
    )
    # When a job connects, then the error names the server and not the password
    output = run.job("inspect", expect=1)
    assert "password authentication failed" in output
    assert "out-of-date" not in output
    assert "out-of-date" not in json.dumps(run.document("jobs/inspect.json"))


def test_restore_without_a_dump_is_refused(run: Run, green: Cluster) -> None:
    assert "holds no complete dump" in run.job("restore", expect=1)


def test_preparing_the_role_twice_gives_the_password_once(run: Run, green: Cluster) -> None:
    # Given a job that was repeated
    run.job("prepare-role")
    first = version_of(run.candidate)
    run.job("prepare-role")
    # Then the generation has one version and the role its password
    second = version_of(run.candidate)
    assert first["VersionId"] == second["VersionId"]
    document = json.loads(second["SecretString"])
    green.connect(document["username"], document["password"], document["dbname"]).close()
    # When another run prepares the role, then the password is fresh
    Run(run.environment, run.authority, run.source, run.candidate).job("prepare-role")
    third = secret_of(run.candidate)
    assert third["password"] != document["password"]
    green.connect(third["username"], third["password"], third["dbname"]).close()


def test_the_role_of_a_candidate_does_not_change_what_the_app_reads(run: Run) -> None:
    # Given the role of the active database, the first version of the secret, which tasks therefore read
    secrets, arn = boto3.client("secretsmanager"), run.candidate["application_secret_arn"]
    Run(run.environment, run.authority, run.candidate, run.source).job("prepare-role")
    assert secrets.get_secret_value(SecretId=arn)["VersionStages"] == ["blue", "AWSCURRENT"]
    # When a migration makes the role of the candidate
    run.job("prepare-role")
    # Then it is a version of its own, and tasks read what they read before
    assert version_of(run.candidate)["VersionStages"] == ["green"]
    assert json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"]) == secret_of(run.source)
