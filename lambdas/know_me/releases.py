"""Releases of the API: what CodeDeploy puts in place, and the hook that migrates the schema before it.

CodeDeploy waits an hour for what a hook reports. Whatever happens to the schema migration must therefore be
reported, once: by the state machine, by the function that could not start it, or by the one that hears that
the state machine was ended from outside.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel

from know_me.aws import error_code
from know_me.errors import InvalidRelease
from know_me.executions import running_executions
from know_me.lock import Lock, held_by
from know_me.manifest import Deployment, Manifest, Service
from know_me.quiescence import Quiesced
from know_me.settings import Settings

UNDER_WAY = ["Created", "Queued", "InProgress", "Baking", "Ready"]
"""Statuses of a deployment that CodeDeploy has not ended yet."""

TASK_DEFINITION = re.compile(r"arn:[\w-]+:ecs:[\w-]+:\d{12}:task-definition/(?P<family>[\w-]+):\d+")

REPORTED_BEFORE = {
    "LifecycleEventAlreadyCompletedException",
    "InvalidLifecycleEventHookExecutionIdException",
    "DeploymentDoesNotExistException",
}
"""CodeDeploy no longer waits for the hook."""


class Hook(BaseModel):
    """What CodeDeploy tells a hook's function, and waits for."""

    deployment_id: str
    lifecycle_event_hook_execution_id: str


# ---------------------------------------------------------------- the hook


def start_migration(states: Any, state_machine_arn: str, hook: Hook) -> bool:
    """Start the state machine for a deployment; return whether it was this call that did.

    The execution is named after the deployment: a hook that is called twice migrates once.
    """
    try:
        states.start_execution(
            stateMachineArn=state_machine_arn, name=hook.deployment_id, input=hook.model_dump_json()
        )
    except ClientError as error:
        if error_code(error) == "ExecutionAlreadyExists":
            return False
        raise
    return True


def report_failed(codedeploy: Any, hook: Hook) -> bool:
    """Tell CodeDeploy that the hook failed; return whether it still wanted to know."""
    try:
        codedeploy.put_lifecycle_event_hook_execution_status(
            deploymentId=hook.deployment_id,
            lifecycleEventHookExecutionId=hook.lifecycle_event_hook_execution_id,
            status="Failed",
        )
    except ClientError as error:
        if error_code(error) in REPORTED_BEFORE:
            return False
        raise
    return True


def refuse_while_migrating(holder: Lock | None) -> None:
    """Refuse a release while a migration replaces the stores.

    Raises
    ------
    LockHeld
        A migration holds the environment's lock.
    """
    if holder is not None and holder.purpose == "migrate":
        raise held_by(holder)


def new_task_definition(codedeploy: Any, deployment_id: str) -> str:
    """Return the ARN of the task definition that a deployment brings, from its AppSpec.

    Raises
    ------
    InvalidRelease
        The AppSpec cannot be read, or names none or several.
    """
    found = codedeploy.get_deployment(deploymentId=deployment_id)["deploymentInfo"]
    content = _content(found["revision"])
    if content is None and "appSpecContent" in found["revision"]:
        # GetDeployment gives the hash alone: https://docs.aws.amazon.com/cli/latest/reference/deploy/get-deployment.html
        answer = codedeploy.get_application_revision(
            applicationName=found["applicationName"],
            revision={
                "revisionType": "AppSpecContent",
                "appSpecContent": {"sha256": found["revision"]["appSpecContent"]["sha256"]},
            },
        )
        content = _content(answer["revision"])
    remedy = "Deploy with an AppSpec that names one revision of the task definition by its ARN."
    if content is None:
        kind = found["revision"].get("revisionType", "unknown")
        raise InvalidRelease(
            f"The AppSpec of the deployment {deployment_id} cannot be read: its revision is of the type "
            f"{kind}.",
            remedy,
        )
    arns = sorted({match.group() for match in TASK_DEFINITION.finditer(content)})
    if len(arns) != 1:
        raise InvalidRelease(
            f"The AppSpec of the deployment {deployment_id} names {len(arns)} task definitions.", remedy
        )
    return arns[0]


def _content(revision: dict[str, Any]) -> str | None:
    """Return the text of an AppSpec (YAML or JSON) when a revision has it."""
    for kind in ("appSpecContent", "string"):
        if revision.get(kind, {}).get("content"):
            return str(revision[kind]["content"])
    return None


def service_of(manifest: Manifest, task_definition: str) -> Service:
    """Return the service to which a task definition belongs.

    Raises
    ------
    InvalidRelease
        None of the environment's.
    """
    match = TASK_DEFINITION.fullmatch(task_definition)
    for service in manifest.services:
        if match and service.task_definition_family == match["family"]:
            return service
    families = ", ".join(service.task_definition_family for service in manifest.services)
    raise InvalidRelease(
        f"The task definition {task_definition} is of no service of {manifest.environment}, which has "
        f"{families}.",
        "Deploy a revision of the service's own family.",
    )


def hook_of(execution_input: str) -> Hook:
    """Return the hook for which an execution of the state machine was started."""
    return Hook.model_validate(json.loads(execution_input))


def lost(environment: str, hook: Hook, execution_arn: str, status: str) -> tuple[str, str]:
    """Say that a schema migration was ended from outside: subject and text for the topic."""
    ended = {"ABORTED": "was stopped by hand", "TIMED_OUT": "took longer than it may"}.get(status, "failed")
    return (
        f"Know Me {environment}: the schema migration of {hook.deployment_id} failed"[:100],
        f"The execution {execution_arn} {ended}, so the deployment {hook.deployment_id} was told that it "
        "failed. Look at the schema of the database, then release again.",
    )


# ---------------------------------------------------------------- what is under way


def deployments_under_way(codedeploy: Any, deployments: Iterable[Deployment]) -> list[str]:
    """Return the deployments that CodeDeploy has not ended, in words."""
    found = []
    for each in deployments:
        token: dict[str, str] = {}
        while True:
            page = codedeploy.list_deployments(
                applicationName=each.application,
                deploymentGroupName=each.deployment_group,
                includeOnlyStatuses=UNDER_WAY,
                **token,
            )
            found += [f"the deployment {name} of {each.application}" for name in page.get("deployments", [])]
            if not page.get("nextToken"):
                break
            token = {"nextToken": page["nextToken"]}
    return found


def busy_stages(codepipeline: Any, pipeline: str) -> list[str]:
    """Return the stages of a pipeline that execute."""
    return [
        stage["stageName"]
        for stage in codepipeline.get_pipeline_state(name=pipeline)["stageStates"]
        if stage.get("latestExecution", {}).get("status") in ("InProgress", "Stopping")
    ]


def work_under_way(client: Callable[[str], Any], settings: Settings, recorded: Quiesced) -> list[str]:
    """Return what writes besides the services, in words: releases, schema migrations, background jobs."""
    codepipeline, states = client("codepipeline"), client("stepfunctions")
    return [
        *deployments_under_way(client("codedeploy"), recorded.deployments),
        *(
            f"the stage {stage} of the pipeline {pipeline.name}"
            for pipeline in recorded.pipelines
            for stage in busy_stages(codepipeline, pipeline.name)
        ),
        *(
            f"the {machine} run {execution['name']}"
            for machine in ("schema-migration", "background-jobs")
            for execution in running_executions(states, settings.state_machine_arn(machine))
        ),
    ]
