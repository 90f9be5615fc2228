"""Blue/green deployment of an ECS service through CodeDeploy (`CodeDeployToECS`).

https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-ECSbluegreen.html: registers the
task definition of the pipeline's artifact with the image that was built, writes its ARN into the AppSpec,
creates the deployment and waits for its end. It speaks to ECS and CodeDeploy by their API.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ParamValidationError

from localaws.codepipeline.actions.work import ActionType, Result, Work
from localaws.codepipeline.errors import ActionFailed
from localaws.codepipeline.store import Artifact

INTERVAL_SECONDS = 0.5
IMAGES = range(1, 5)
OVER = ("Succeeded", "Failed", "Stopped")


def _check(configuration: Mapping[str, str]) -> list[str]:
    return [
        f"Image{number}ArtifactName and Image{number}ContainerName belong together: one of them is missing"
        for number in IMAGES
        if (f"Image{number}ArtifactName" in configuration) != (f"Image{number}ContainerName" in configuration)
    ]


def run(work: Work) -> Result:
    """Register the task definition, deploy it, and wait for the end of the deployment."""
    wanted = work.configuration
    definition = _task_definition(work)
    try:
        registered = work.client("ecs").register_task_definition(**definition)["taskDefinition"]
    except ParamValidationError as error:
        raise ActionFailed(
            "ConfigurationError",
            "Exception while trying to read the task definition artifact file from: "
            f"{wanted['TaskDefinitionTemplateArtifact']}. {error}",
        ) from error
    arn = registered["taskDefinitionArn"]
    appspec = _text(work, "AppSpecTemplateArtifact", "AppSpecTemplatePath", "appspec.yaml")
    if "<TASK_DEFINITION>" not in appspec:
        raise ActionFailed(
            "ConfigurationError",
            "The AppSpec does not contain the placeholder <TASK_DEFINITION>: write it where the ARN of the "
            "task definition belongs.",
        )
    content = appspec.replace("<TASK_DEFINITION>", arn)
    codedeploy = work.client("codedeploy")
    deployment = codedeploy.create_deployment(
        applicationName=wanted["ApplicationName"],
        deploymentGroupName=wanted["DeploymentGroupName"],
        revision={
            "revisionType": "AppSpecContent",
            "appSpecContent": {
                "content": content,
                "sha256": hashlib.sha256(content.encode()).hexdigest(),
            },
        },
    )["deploymentId"]
    work.run.external_id = deployment
    work.run.external_url = (
        "https://console.aws.amazon.com/codesuite/codedeploy/deployments/"
        f"{deployment}?region={work.run.region}"
    )
    info = codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
    while info["status"] not in OVER:
        work.pause(INTERVAL_SECONDS)
        info = codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
    work.run.summary = f"Deployment {deployment} {str(info['status']).lower()}"
    if info["status"] != "Succeeded":
        said = info.get("errorInformation") or {}
        raise ActionFailed(
            "JobFailed",
            f"Deployment {deployment} {str(info['status']).lower()}: {said.get('code', '')} "
            f"{said.get('message', '')}".strip(),
        )
    return Result(variables={"DeploymentId": deployment})


def _text(work: Work, artifact: str, path: str, default: str) -> str:
    """Return a template from the artifact and the path that two keys of the configuration name."""
    found = _artifact(work, work.configuration[artifact])
    return work.store.file(found, work.configuration.get(path, default)).decode()


def _artifact(work: Work, name: str) -> Artifact:
    found = work.input(name)
    if found is None:
        raise ActionFailed(
            "ConfigurationError", f"The artifact {name} is none of the action's input artifacts."
        )
    return found


def _task_definition(work: Work) -> dict[str, Any]:
    wanted = work.configuration
    text = _text(work, "TaskDefinitionTemplateArtifact", "TaskDefinitionTemplatePath", "taskdef.json")
    for number in IMAGES:
        if f"Image{number}ArtifactName" in wanted:
            placeholder = f"<{wanted[f'Image{number}ContainerName']}>"
            image = _image(work, wanted[f"Image{number}ArtifactName"])
            if placeholder not in text:
                raise ActionFailed(
                    "ConfigurationError",
                    f"The task definition does not contain the placeholder {placeholder}: write it as the "
                    "image.",
                )
            text = text.replace(placeholder, image)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ActionFailed(
            "ConfigurationError",
            "Exception while trying to read the task definition artifact file from: "
            f"{wanted['TaskDefinitionTemplateArtifact']}. It is not JSON: {error}",
        ) from error
    if not isinstance(found, dict):
        raise ActionFailed("ConfigurationError", "The task definition is not a JSON object.")
    return found


def _image(work: Work, artifact: str) -> str:
    """Return the address of the image that was built, from `imageDetail.json`."""
    try:
        detail = json.loads(work.store.file(_artifact(work, artifact), "imageDetail.json"))
        return str(detail["ImageURI"])
    except (ValueError, KeyError, TypeError) as error:
        raise ActionFailed(
            "ConfigurationError",
            f'imageDetail.json of the artifact {artifact} is not {{"ImageURI": "…"}}.',
        ) from error


TYPE = ActionType(
    "Deploy",
    "CodeDeployToECS",
    run,
    frozenset(
        {
            "ApplicationName",
            "DeploymentGroupName",
            "TaskDefinitionTemplateArtifact",
            "AppSpecTemplateArtifact",
        }
    ),
    (
        "TaskDefinitionTemplatePath",
        "AppSpecTemplatePath",
        "Image[1-4]ArtifactName",
        "Image[1-4]ContainerName",
    ),
    range(1, 6),
    range(1),
    _check,
)
