"""What the pipeline is told about a release of the API."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from job_support.errors import JobError
from release_jobs import descriptions, images

ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/know-me-staging-api:4"
URL = "123456789012.dkr.ecr.us-east-1.amazonaws.com/know-me-staging-api"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CURRENT: dict[str, Any] = {
    "taskDefinitionArn": ARN,
    "family": "know-me-staging-api",
    "revision": 4,
    "status": "ACTIVE",
    "requiresAttributes": [{"name": "ecs.capability.task-eni"}],
    "compatibilities": ["FARGATE"],
    "registeredBy": "somebody",
    "taskRoleArn": "arn:aws:iam::123456789012:role/know-me-staging-api-task",
    "executionRoleArn": "arn:aws:iam::123456789012:role/know-me-staging-api-execution",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [
        {"name": "api", "image": f"{URL}:old", "secrets": [{"name": "DATABASE_HOST", "valueFrom": "arn"}]},
        {"name": "sidecar", "image": "sidecar:1"},
    ],
}


def client(service: str) -> Any:
    return boto3.client(
        service, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )


def test_a_release_changes_the_image_of_its_container_and_nothing_else() -> None:
    # When a task definition is described for a release
    found = descriptions.task_definition(CURRENT, [{"key": "Environment", "value": "staging"}], "api")
    # Then it is what Terraform describes, but for the image
    api, sidecar = found["containerDefinitions"]
    assert api == {**CURRENT["containerDefinitions"][0], "image": "<IMAGE1_NAME>"}
    assert sidecar == CURRENT["containerDefinitions"][1]
    kept = (
        "family",
        "taskRoleArn",
        "executionRoleArn",
        "networkMode",
        "requiresCompatibilities",
        "cpu",
        "memory",
    )
    assert {key: found[key] for key in kept} == {key: CURRENT[key] for key in kept}
    assert found["tags"] == [{"key": "Environment", "value": "staging"}]


def test_ecs_takes_every_field_of_it() -> None:
    # Given RegisterTaskDefinition as botocore knows it
    taken = set(
        client("ecs").meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
    )
    assert set(descriptions.task_definition(CURRENT, [], "api")) <= taken


def test_a_container_that_is_not_there_is_named() -> None:
    with pytest.raises(JobError, match=r"has no container web\. Start provision"):
        descriptions.task_definition(CURRENT, [], "web")


def test_the_task_definition_is_the_one_that_terraform_describes() -> None:
    ssm, ecs = client("ssm"), client("ecs")
    with Stubber(ssm) as parameters, Stubber(ecs) as definitions:
        parameters.add_response(
            "get_parameter",
            {"Parameter": {"Name": "n", "Value": ARN}},
            {"Name": "/know-me/staging/api/task-definition"},
        )
        definitions.add_response(
            "describe_task_definition",
            {"taskDefinition": {"taskDefinitionArn": ARN}, "tags": []},
            {"taskDefinition": ARN, "include": ["TAGS"]},
        )
        found = descriptions.current_definition(ssm, ecs, "/know-me/staging/api/task-definition")
        assert found == ({"taskDefinitionArn": ARN}, [])
        parameters.assert_no_pending_responses()
        definitions.assert_no_pending_responses()


def test_the_files_are_what_the_pipelines_action_reads(tmp_path: Path) -> None:
    specification = descriptions.appspec(
        container="api", port=8000, subnets=["subnet-1"], security_groups=["sg-1"], hook="the-hook"
    )
    files = descriptions.write(tmp_path / "release", f"{URL}:{COMMIT}", {"family": "f"}, specification)
    written = {path.name: json.loads(path.read_text()) for path in files}
    assert written["imageDetail.json"] == {"ImageURI": f"{URL}:{COMMIT}"}
    assert written["taskdef.json"] == {"family": "f"}
    properties = written["appspec.yaml"]["Resources"][0]["TargetService"]["Properties"]
    assert properties["TaskDefinition"] == "<TASK_DEFINITION>"
    assert properties["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    assert written["appspec.yaml"]["Hooks"] == [{"BeforeInstall": "the-hook"}]


@pytest.mark.parametrize("there", [True, False])
def test_an_image_that_is_there_is_not_built_again(there: bool) -> None:
    ecr = client("ecr")
    asked = {
        "registryId": "123456789012",
        "repositoryName": "know-me-staging-api",
        "imageIds": [{"imageTag": COMMIT}],
    }
    with Stubber(ecr) as stub:
        if there:
            stub.add_response("describe_images", {"imageDetails": []}, asked)
        else:
            stub.add_client_error("describe_images", "ImageNotFoundException", expected_params=asked)
        assert images.is_there(ecr, URL, COMMIT) is there


def test_what_is_no_repository_or_no_commit_is_named() -> None:
    with pytest.raises(JobError, match="is not the URL of an ECR repository"):
        images.is_there(None, "docker.io/know-me", COMMIT)
    with pytest.raises(JobError, match="is not the hash of a commit"):
        images.image_of(URL, "latest")
