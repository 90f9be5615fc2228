"""The password of a generation's role: a labelled version of the application secret, once per run."""

import json
from typing import Any

import boto3
import pytest
from database_jobs.inputs import Database
from database_jobs.prepare_role import fresh_password
from moto import mock_aws


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-1")


def generation(secrets: Any, name: str) -> Database:
    """Return a generation of an environment whose secret is made when it is missing."""
    listed = secrets.list_secrets()["SecretList"]
    arn = (
        listed[0]["ARN"] if listed else secrets.create_secret(Name="know-me/test/database/application")["ARN"]
    )
    return Database(
        generation=name,
        instance_id=f"know-me-test-{name}",
        endpoint=f"{name}.example.com",
        port=5432,
        database_name="know_me",
        master_secret_arn="master",
        application_secret_arn=arn,
        application_secret_label=name,
        application_role="know_me",
    )


def version(secrets: Any, database: Database, label: str) -> tuple[dict[str, Any], set[str]]:
    """Return value and labels of a version."""
    found = secrets.get_secret_value(SecretId=database.application_secret_arn, VersionStage=label)
    return json.loads(found["SecretString"]), set(found["VersionStages"])


def test_the_first_role_is_what_tasks_read_and_the_next_ones_are_labelled_only(secrets: Any) -> None:
    blue, green = generation(secrets, "blue"), generation(secrets, "green")
    # When the roles of the active database and of a candidate are prepared
    passwords = {each.generation: fresh_password(secrets, each, "run-1") for each in (blue, green)}
    # Then each is a version of its own, and tasks go on reading the first one
    for each, labels in ((blue, {"blue", "AWSCURRENT"}), (green, {"green"})):
        document, found = version(secrets, each, each.generation)
        assert document["password"] == passwords[each.generation]
        assert document["host"] == each.endpoint
        assert found == labels
    assert version(secrets, blue, "AWSCURRENT")[0]["host"] == blue.endpoint


def test_a_repeated_job_finds_its_password_and_another_run_makes_a_new_one(secrets: Any) -> None:
    database = generation(secrets, "green")
    first = fresh_password(secrets, database, "run-1")
    assert fresh_password(secrets, database, "run-1") == first
    second = fresh_password(secrets, database, "run-2")
    assert second != first
    assert version(secrets, database, "green")[0]["password"] == second
