"""What the pipeline needs to release an image: task definition, AppSpec, name of the image.

The task definition is the revision that Terraform describes (an SSM parameter has its ARN) with another
image, and nothing else changed: what a release does not bring, it does not decide.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from job_support.errors import JobError

PLACEHOLDER = "<IMAGE1_NAME>"
"""What the pipeline replaces by the image: https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-ECSbluegreen.html"""

GIVEN_BY_ECS = {
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
}
"""What DescribeTaskDefinition says and RegisterTaskDefinition does not take."""


def current_definition(ssm: Any, ecs: Any, parameter: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return the task definition that Terraform describes, and its tags."""
    arn = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
    answer = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    return answer["taskDefinition"], answer.get("tags", [])


def task_definition(
    current: Mapping[str, Any], tags: Sequence[Mapping[str, str]], container: str
) -> dict[str, Any]:
    """Return the input of RegisterTaskDefinition, with a placeholder instead of the container's image.

    Raises
    ------
    JobError
        The task definition has no such container.
    """
    if container not in [each["name"] for each in current["containerDefinitions"]]:
        raise JobError(
            "ReleaseFailed",
            f"The task definition {current['taskDefinitionArn']} has no container {container}.",
            "Start provision, so that Terraform describes both again.",
        )
    described = {key: value for key, value in current.items() if key not in GIVEN_BY_ECS}
    described["containerDefinitions"] = [
        {**each, "image": PLACEHOLDER} if each["name"] == container else each
        for each in current["containerDefinitions"]
    ]
    return {**described, **({"tags": list(tags)} if tags else {})}


def appspec(
    *, container: str, port: int, subnets: Sequence[str], security_groups: Sequence[str], hook: str
) -> dict[str, Any]:
    """Return the AppSpec: where the new tasks run, and the function that is called before they do.

    The pipeline replaces `<TASK_DEFINITION>` by the revision that it registers.
    """
    network = {
        "AwsvpcConfiguration": {
            "Subnets": list(subnets),
            "SecurityGroups": list(security_groups),
            "AssignPublicIp": "DISABLED",
        }
    }
    properties = {
        "TaskDefinition": "<TASK_DEFINITION>",
        "LoadBalancerInfo": {"ContainerName": container, "ContainerPort": port},
        "PlatformVersion": "LATEST",
        "NetworkConfiguration": network,
    }
    return {
        "version": 0.0,
        "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}],
        "Hooks": [{"BeforeInstall": hook}],
    }


def write(directory: Path, image: str, definition: Mapping[str, Any], specification: Any) -> list[Path]:
    """Write what the pipeline's action CodeDeployToECS reads; return the files.

    `appspec.yaml` is JSON, which is YAML too.
    """
    documents = {
        "imageDetail.json": {"ImageURI": image},
        "taskdef.json": definition,
        "appspec.yaml": specification,
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (directory / name).write_text(json.dumps(document, indent=2) + "\n")
    return [directory / name for name in documents]
