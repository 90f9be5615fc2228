"""The infrastructure, applied by plain terraform: complete, without drift, without secrets in its state."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from know_me.manifest import Manifest, read_manifest

from .conftest import PROJECT, LocalAWS, free_port

pytestmark = [pytest.mark.local, pytest.mark.migration]

ENVIRONMENT = "terraformed"
BLUE = {"database": {"active": "blue", "all": {"blue": {"engine_version": None}}}}
BLUE_AND_GREEN = {"database": {"active": "blue", "all": {**BLUE["database"]["all"], "green": {}}}}  # type: ignore[dict-item]


@dataclass
class Root:
    """The root module in a directory of its own."""

    directory: Path
    environment: dict[str, str]
    aws: LocalAWS

    def terraform(
        self, *arguments: str, accept: tuple[int, ...] = (0,)
    ) -> "subprocess.CompletedProcess[str]":
        """Run terraform."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode in accept, done.stdout[-3000:] + done.stderr
        return done

    def plan(self, generations: dict[str, Any]) -> dict[str, set[str]]:
        """Plan for a document of generations; return addresses by what would happen to them."""
        self.set(generations)
        self.terraform("plan", "-no-color", "-input=false", "-out=test.tfplan")
        document = json.loads(self.terraform("show", "-json", "test.tfplan").stdout)
        found: dict[str, set[str]] = {}
        for change in document["resource_changes"]:
            found.setdefault("+".join(change["change"]["actions"]), set()).add(change["address"])
        return {actions: found[actions] for actions in found if actions not in ("no-op", "read")}

    def set(self, generations: dict[str, Any]) -> None:
        """Write the document of generations as the build does."""
        (self.directory / "generations.auto.tfvars.json").write_text(json.dumps({"generations": generations}))


@pytest.fixture(scope="module")
def root(local_aws: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    """An environment with one generation, applied; destroyed afterwards."""
    directory = tmp_path_factory.mktemp("terraform") / "root"
    shutil.copytree(PROJECT / "terraform", directory, ignore=shutil.ignore_patterns(".terraform", "tests"))
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="terraformed-state")
    variables = {
        "environment": ENVIRONMENT,
        "artifacts_bucket": "terraformed-artifacts",
        "notification_topic_arn": "arn:aws:sns:us-east-1:123456789012:know-me-terraformed-notifications",
        "database_jobs_source": "terraformed-artifacts/bundle.zip",
        "database_engine_version": _newest_engine_version(local_aws),
        "database_skip_final_snapshot": "true",
        "deletion_protection": "false",
        "secret_recovery_days": "0",
        "s3_use_path_style": "true",
        "api_image": "know-me/api:demo",
        "api_listener_port": str(free_port()),
    }
    made = Root(
        directory,
        local_aws.environment() | {f"TF_VAR_{name}": value for name, value in variables.items()},
        local_aws,
    )
    made.set(BLUE)
    made.terraform(
        "init",
        "-input=false",
        "-backend-config=bucket=terraformed-state",
        "-backend-config=key=terraform.tfstate",
        "-backend-config=region=us-east-1",
        "-backend-config=use_path_style=true",
        "-backend-config=workspace_key_prefix=environments",
    )
    made.terraform("workspace", "select", "-or-create", ENVIRONMENT)
    try:
        made.terraform("apply", "-no-color", "-input=false", "-auto-approve")
        yield made
    finally:
        made.set(BLUE)
        made.terraform("destroy", "-no-color", "-input=false", "-auto-approve")


def _newest_engine_version(aws: LocalAWS) -> str:
    offered = aws.client("rds").describe_db_engine_versions(Engine="postgres")["DBEngineVersions"]
    return str(max(int(version["EngineVersion"].split(".")[0]) for version in offered))


@pytest.fixture(scope="module")
def manifest(root: Root) -> Manifest:
    """The manifest as the runbooks read it."""
    return read_manifest(root.aws.client("ssm"), ENVIRONMENT)


def test_second_plan_is_empty(root: Root) -> None:
    assert root.plan(BLUE) == {}


def test_manifest_is_what_the_runbooks_read(manifest: Manifest) -> None:
    assert manifest.environment == ENVIRONMENT
    assert manifest.active_database.instance_id == f"know-me-{ENVIRONMENT}-blue"
    assert manifest.builds.database_jobs == f"know-me-{ENVIRONMENT}-database-jobs"
    assert [service.name for service in manifest.services] == [f"know-me-{ENVIRONMENT}-api"]
    assert manifest.health_check_url.endswith("/status/")


def test_new_generation_only_adds(root: Root) -> None:
    # When a candidate is planned beside the running database
    planned = root.plan(BLUE_AND_GREEN)
    # Then nothing of the old one is touched; the manifest learns of the new one
    assert planned.pop("update") == {"module.manifest.aws_ssm_parameter.manifest"}
    assert planned.keys() == {"create"}
    assert 'module.database["green"].aws_db_instance.this' in planned["create"]
    assert all("green" in address for address in planned["create"])


def test_master_secret_opens_the_database_over_tls_only(root: Root, manifest: Manifest) -> None:
    # Given
    database = manifest.active_database
    secret = json.loads(
        root.aws.client("secretsmanager").get_secret_value(SecretId=database.master_secret_arn)[
            "SecretString"
        ]
    )
    target = {
        "host": database.endpoint,
        "port": database.port,
        "dbname": database.database_name,
        "user": secret["username"],
        "password": secret["password"],
    }
    # When
    with psycopg.connect(
        **target, sslmode="verify-full", sslrootcert=root.aws.variables["PGSSLROOTCERT"]
    ) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    # Then
    assert row is not None
    assert row[0].startswith(database.engine_version.split(".")[0])
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**target, sslmode="disable")


def test_application_secret_is_made_without_a_value(root: Root, manifest: Manifest) -> None:
    secrets = root.aws.client("secretsmanager")
    assert not secrets.describe_secret(SecretId=manifest.active_database.application_secret_arn).get(
        "VersionIdsToStages"
    )


def test_no_password_is_in_the_state(root: Root, manifest: Manifest) -> None:
    # Given every password of the environment
    secrets = root.aws.client("secretsmanager")
    master = json.loads(
        secrets.get_secret_value(SecretId=manifest.active_database.master_secret_arn)["SecretString"]
    )
    django = secrets.get_secret_value(SecretId=f"know-me/{ENVIRONMENT}/api/django-secret-key")["SecretString"]
    # When the whole history of the state is read
    s3 = root.aws.client("s3")
    states = [
        s3.get_object(Bucket="terraformed-state", Key=found["Key"])["Body"].read().decode()
        for found in s3.list_objects_v2(Bucket="terraformed-state")["Contents"]
    ]
    # Then
    assert any("aws_db_instance" in state for state in states)
    assert len(django) == 50
    assert not [state for state in states if master["password"] in state or django in state]


def test_environment_that_is_not_the_workspace_is_refused(root: Root) -> None:
    # When somebody applies another environment's settings here
    done = subprocess.run(
        ["terraform", "plan", "-no-color", "-input=false"],
        cwd=root.directory,
        env=root.environment | {"TF_VAR_environment": "production"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    # Then
    assert done.returncode == 1
    assert "must be the selected workspace" in " ".join(done.stderr.replace("│", " ").split())
