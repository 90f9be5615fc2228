"""Single ECS tasks of the API's image: what to run, and how it ended.

A task that runs the image's `migrate` or `background-jobs` is the API's own task with another command: the
same network, roles and secrets as the tasks that serve requests.
"""

from collections.abc import Iterable
from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel

from know_me.failures import CAUSE_LIMIT, Caught, json_of
from know_me.lock import Lock
from know_me.manifest import Service
from know_me.wording import duration

LAST_LINES = 20
"""How many lines of its log a failed task is quoted with."""

Command = Literal["migrate", "background-jobs"]


class TaskOrder(BaseModel):
    """What ECS is to run; `network` is RunTask's NetworkConfiguration."""

    cluster: str
    task_definition: str
    container: str
    launch_type: str
    network: dict[str, Any]


class TaskOutcome(BaseModel):
    """How a task ended; error and cause are null when it succeeded."""

    succeeded: bool
    task_arn: str | None
    exit_code: int | None
    stopped_reason: str | None
    log_lines: list[str]
    error: str | None
    cause: str | None


class Work(BaseModel):
    """What a task does, in words, and the names of the errors with which it ends."""

    called: str
    failed: str
    timed_out: str
    remedy: str


WORK: dict[Command, Work] = {
    "migrate": Work(
        called="The schema migration",
        failed="SchemaMigrationFailed",
        timed_out="SchemaMigrationTimedOut",
        remedy="Nothing was released; correct the migration and release again.",
    ),
    "background-jobs": Work(
        called="The background jobs",
        failed="BackgroundJobsFailed",
        timed_out="BackgroundJobsTimedOut",
        remedy="They start again at the next interval; look at the log of the task until then.",
    ),
}


def describe_service(ecs: Any, service: Service) -> dict[str, Any]:
    """Describe the ECS service.

    Raises
    ------
    LookupError
        There is none, or it is being deleted.
    """
    found = ecs.describe_services(cluster=service.cluster, services=[service.name])["services"]
    if not found or found[0].get("status") != "ACTIVE":
        raise LookupError(f"The ECS service {service.name} in the cluster {service.cluster} does not exist")
    described: dict[str, Any] = found[0]
    return described


def task_order(service: Service, described: dict[str, Any], task_definition: str | None = None) -> TaskOrder:
    """Say how to run a task as the service runs its own.

    Parameters
    ----------
    service : Service
        As in the manifest.
    described : dict
        What ECS says about it. A service whose releases CodeDeploy puts in place keeps network and task
        definition in its primary task set.
    task_definition : str, optional
        ARN of another revision than the one that runs.
    """
    primary: dict[str, Any] = next(
        (each for each in described.get("taskSets", []) if each["status"] == "PRIMARY"), {}
    )
    network = primary.get("networkConfiguration") or described.get("networkConfiguration") or {}
    return TaskOrder(
        cluster=service.cluster,
        task_definition=task_definition or primary.get("taskDefinition") or described["taskDefinition"],
        container=service.container,
        launch_type=primary.get("launchType") or described.get("launchType") or "FARGATE",
        network={
            "AwsvpcConfiguration": {
                "Subnets": network.get("awsvpcConfiguration", {}).get("subnets", []),
                "SecurityGroups": network.get("awsvpcConfiguration", {}).get("securityGroups", []),
                "AssignPublicIp": network.get("awsvpcConfiguration", {}).get("assignPublicIp", "DISABLED"),
            }
        },
    )


def running_tasks(ecs: Any, cluster: str, started_by: str) -> list[str]:
    """Return the ARNs of the tasks that somebody started and that have not been asked to stop."""
    found: list[str] = ecs.list_tasks(cluster=cluster, startedBy=started_by, desiredStatus="RUNNING")[
        "taskArns"
    ]
    return found


def reason_to_skip(running: list[str], desired_count: int, holder: Lock | None) -> str | None:
    """Say why background jobs must not run now; None when they may.

    Parameters
    ----------
    running : list of str
        Tasks of an earlier run.
    desired_count : int
        Of the service.
    holder : Lock, optional
        Who holds the environment's lock.
    """
    if running:
        return f"The background jobs of an earlier run are still at work ({', '.join(running)})."
    if desired_count == 0 and holder is not None:
        return f"The app is stopped while the {holder.purpose} run {holder.run_id} works on the environment."
    return None


def outcome(
    ecs: Any,
    logs: Any,
    order: TaskOrder,
    command: Command,
    *,
    started_by: str,
    task: dict[str, Any] | None,
    caught: Caught | None,
    time_limit_seconds: int,
) -> TaskOutcome:
    """Say how a task ended: the exit code decides, whatever Step Functions made of it.

    Parameters
    ----------
    started_by : str
        By which the task is found when Step Functions does not name it: after its time limit.
    task : dict, optional
        The task as `ecs:runTask.sync` returned it.
    caught : Caught, optional
        What the state caught instead; its cause is the JSON of the task when the task ran.
    """
    work = WORK[command]
    if task is None and caught is not None:
        task = _task_of(caught)
    timed_out = caught is not None and caught.Error in ("States.Timeout", "States.HeartbeatTimeout")
    if task is None and timed_out:
        task = _newest(ecs, order.cluster, started_by)
    if task is None:
        why = caught.Cause or caught.Error if caught else "Step Functions names no task"
        return TaskOutcome(
            succeeded=False,
            task_arn=None,
            exit_code=None,
            stopped_reason=None,
            log_lines=[],
            error=work.failed,
            cause=f"{work.called} did not start with {order.task_definition}: "
            f"{why[:CAUSE_LIMIT].rstrip('.')}. {work.remedy}",
        )
    container: dict[str, Any] = next(
        (each for each in task.get("Containers", []) if each["Name"] == order.container), {}
    )
    code, stopped = container.get("ExitCode"), task.get("StoppedReason")
    succeeded = code == 0 and not timed_out
    lines = [] if succeeded else last_lines(ecs, logs, order, str(task["TaskArn"]))
    return TaskOutcome(
        succeeded=succeeded,
        task_arn=task["TaskArn"],
        exit_code=code,
        stopped_reason=stopped,
        log_lines=lines,
        error=None if succeeded else work.timed_out if timed_out else work.failed,
        cause=None
        if succeeded
        else " ".join(
            (
                _ending(work, task, container, time_limit_seconds if timed_out else None),
                _last_words(lines),
                work.remedy,
            )
        ),
    )


def _task_of(caught: Caught) -> dict[str, Any] | None:
    """Return the task in a cause: the failure of `.sync` is the JSON of the task."""
    document = json_of(caught.Cause)
    return document if "TaskArn" in document else None


def _newest(ecs: Any, cluster: str, started_by: str) -> dict[str, Any] | None:
    """Return the newest task that somebody started, spelt as Step Functions spells it."""
    arns = [
        arn
        for status in ("RUNNING", "STOPPED")
        for arn in ecs.list_tasks(cluster=cluster, startedBy=started_by, desiredStatus=status)["taskArns"]
    ]
    if not arns:
        return None
    found = ecs.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"]
    task = max(found, key=lambda each: each["createdAt"])
    return {
        "TaskArn": task["taskArn"],
        "StoppedReason": task.get("stoppedReason"),
        "Containers": [
            {"Name": each["name"], "ExitCode": each.get("exitCode"), "Reason": each.get("reason")}
            for each in task["containers"]
        ],
    }


def _ending(work: Work, task: dict[str, Any], container: dict[str, Any], limit: int | None) -> str:
    name = f"{work.called} (task {str(task['TaskArn']).rpartition('/')[2]})"
    if limit is not None:
        return f"{name} took longer than the {duration(limit)} it may and was stopped."
    if container.get("ExitCode") is not None:
        return f"{name} ended with exit code {container['ExitCode']}."
    reasons = [each.rstrip(".") for each in (task.get("StoppedReason"), container.get("Reason")) if each]
    return f"{name} never ran: {'; '.join(reasons) or 'ECS gives no reason'}."


def _last_words(lines: Iterable[str]) -> str:
    text = "\n".join(lines)[-CAUSE_LIMIT // 2 :]
    return f"The last lines of its log:\n{text}\n" if text else "It wrote nothing into its log."


def last_lines(ecs: Any, logs: Any, order: TaskOrder, task_arn: str) -> list[str]:
    """Return the last lines that a task's container logged (awslogs); none when there is no such log."""
    definition = ecs.describe_task_definition(taskDefinition=order.task_definition)["taskDefinition"]
    container: dict[str, Any] = next(
        (each for each in definition["containerDefinitions"] if each["name"] == order.container), {}
    )
    options = container.get("logConfiguration", {}).get("options", {})
    if "awslogs-group" not in options or "awslogs-stream-prefix" not in options:
        return []
    stream = f"{options['awslogs-stream-prefix']}/{order.container}/{task_arn.rpartition('/')[2]}"
    try:
        events = logs.get_log_events(
            logGroupName=options["awslogs-group"],
            logStreamName=stream,
            limit=LAST_LINES,
            startFromHead=False,
        )["events"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return []  # it never ran
    return [str(event["message"]).rstrip("\n") for event in events]
