"""Declare a migration complete: from here on nothing takes it back."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.observability import step
from know_me.reports import Outcome
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run and how it ended."""

    run_id: str
    outcome: Outcome
    passed_at: str | None = None


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Write `outcome.json`, by which `return` knows that there is nothing to return."""
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    folder.write("outcome.json", event)
    return {"outcome": event.outcome}
