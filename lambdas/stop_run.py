"""Stop what a run left under way; Terraform is waited for, never killed."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.observability import step
from know_me.returning import stop_what_is_under_way
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run to stop."""

    run_id: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, bool | list[str]]:
    """Return whether all of it has ended, and what has not; meant to be repeated until it has."""
    waiting = stop_what_is_under_way(
        client("stepfunctions"),
        client("codebuild"),
        settings,
        event.run_id,
        "The migration is being taken back.",
    )
    return {"ended": not waiting, "waiting_for": waiting}
