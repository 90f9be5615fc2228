"""Say how a task of the API's image ended: exit code, reason, last lines of its log."""

from typing import Any

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.failures import Caught
from know_me.observability import step
from know_me.settings import Settings
from know_me.tasks import Command, TaskOrder, TaskOutcome, outcome
from pydantic import BaseModel


class Event(BaseModel):
    """What was to run, and what Step Functions made of it: `task` when it succeeded, `caught` otherwise."""

    command: Command
    order: TaskOrder
    started_by: str
    time_limit_seconds: int
    task: dict[str, Any] | None = None
    caught: Caught | None = None


@step(Event)
def lambda_handler(event: Event, _settings: Settings, logger: Logger) -> TaskOutcome:
    """Return the outcome; that the task failed is no error of this step."""
    found = outcome(
        client("ecs"),
        client("logs"),
        event.order,
        event.command,
        started_by=event.started_by,
        task=event.task,
        caught=event.caught,
        time_limit_seconds=event.time_limit_seconds,
    )
    if not found.succeeded:
        logger.error(found.cause, extra={"error_name": found.error})
    return found
