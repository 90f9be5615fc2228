"""Secrets Manager: where staging labels are, and how they move. Every test would pass against AWS."""

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import LocalAWS

pytestmark = pytest.mark.local


class Secret:
    """A secret with the versions blue, which was the first one, and green."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.arn = client.create_secret(Name=f"tests/{uuid.uuid4().hex}")["ARN"]
        self.versions = {name: self.put(name, VersionStages=[name]) for name in ("blue", "green")}

    def put(self, value: str, **more: Any) -> str:
        """Make a version; return its id."""
        return str(self.client.put_secret_value(SecretId=self.arn, SecretString=value, **more)["VersionId"])

    def labels(self, version: str) -> set[str]:
        """Return the labels of a version."""
        described = self.client.describe_secret(SecretId=self.arn)["VersionIdsToStages"]
        return set(described.get(version, []))

    def current(self) -> str:
        """Return the value that is read without a label."""
        return str(self.client.get_secret_value(SecretId=self.arn)["SecretString"])

    def move(self, label: str, **versions: str) -> None:
        """UpdateSecretVersionStage."""
        self.client.update_secret_version_stage(SecretId=self.arn, VersionStage=label, **versions)


@pytest.fixture
def secret(local_aws: LocalAWS) -> Secret:
    return Secret(local_aws.client("secretsmanager"))


def test_the_first_version_is_the_current_one_whatever_its_label_and_the_next_is_not(secret: Secret) -> None:
    assert secret.labels(secret.versions["blue"]) == {"blue", "AWSCURRENT"}
    assert secret.labels(secret.versions["green"]) == {"green"}
    assert secret.current() == "blue"


def test_current_moves_to_a_label_and_back_and_the_versions_keep_their_own(secret: Secret) -> None:
    blue, green = secret.versions["blue"], secret.versions["green"]
    # When the current version is changed
    secret.move("AWSCURRENT", MoveToVersionId=green, RemoveFromVersionId=blue)
    # Then it is what is read, and the one before is the previous one
    assert secret.current() == "green"
    assert secret.labels(blue) == {"blue", "AWSPREVIOUS"}
    assert secret.labels(green) == {"green", "AWSCURRENT"}
    # And back
    secret.move("AWSCURRENT", MoveToVersionId=blue, RemoveFromVersionId=green)
    assert secret.current() == "blue"
    assert secret.labels(green) == {"green", "AWSPREVIOUS"}


def test_a_label_is_on_one_version_and_a_new_version_takes_it_over(secret: Secret) -> None:
    again = secret.put("green again", VersionStages=["green"])
    assert secret.labels(again) == {"green"}
    assert secret.labels(secret.versions["green"]) == set()
    read = secret.client.get_secret_value(SecretId=secret.arn, VersionStage="green")
    assert read["SecretString"] == "green again"


def test_a_new_current_version_leaves_the_other_labels_where_they_are(secret: Secret) -> None:
    newest = secret.put("newest")
    assert secret.labels(newest) == {"AWSCURRENT"}
    assert secret.labels(secret.versions["blue"]) == {"blue", "AWSPREVIOUS"}


@pytest.mark.parametrize(
    ("label", "versions"),
    [
        ("AWSCURRENT", {"MoveToVersionId": "green"}),
        ("blue", {"MoveToVersionId": "green"}),
        ("AWSCURRENT", {"MoveToVersionId": "green", "RemoveFromVersionId": "green"}),
        ("AWSCURRENT", {"RemoveFromVersionId": "blue"}),
    ],
)
def test_a_label_is_not_taken_from_a_version_that_is_not_named(
    secret: Secret, label: str, versions: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="InvalidParameterException"):
        secret.move(label, **{name: secret.versions[version] for name, version in versions.items()})
    assert secret.labels(secret.versions["blue"]) == {"blue", "AWSCURRENT"}
    assert secret.labels(secret.versions["green"]) == {"green"}
