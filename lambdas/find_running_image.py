"""Find the image that the API runs now, and whether its background jobs may run."""

from typing import Any

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.lock import LockTable
from know_me.manifest import find_manifest
from know_me.observability import step
from know_me.settings import Settings
from know_me.tasks import TaskOrder, describe_service, reason_to_skip, running_tasks, task_order
from pydantic import BaseModel


class Event(BaseModel):
    """By what name the tasks are started."""

    started_by: str


class Found(BaseModel):
    """What ECS is to run, null where there is no app yet, and why it is not to run now: null when it is."""

    order: TaskOrder | None
    skip: str | None


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> Found:
    """Return the task definition of the service's primary task set, or the reason to skip."""
    manifest = find_manifest(client("ssm"), settings.environment)
    if manifest is None:
        # Terraform makes the rule long before the rest of a new environment.
        return Found(order=None, skip="The environment is being made: it has no manifest yet.")
    service, ecs = manifest.api, client("ecs")
    described: dict[str, Any] = describe_service(ecs, service)
    order = task_order(service, described)
    table = LockTable(client("dynamodb"), settings.lock_table, settings.environment)
    return Found(
        order=order,
        skip=reason_to_skip(
            running_tasks(ecs, service.cluster, event.started_by), described["desiredCount"], table.read()
        ),
    )
