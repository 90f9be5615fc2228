"""Let nothing new begin that writes: releases, rules and schedules; the app goes on."""

from datetime import timedelta

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.observability import step
from know_me.quiescence import Clients, hold
from know_me.recorded import read_recorded
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run, and how long what is under way may take."""

    run_id: str
    allowed_seconds: int = 3600


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Close every way in; return until when to wait for what is under way."""
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    hold(Clients(client), read_recorded(folder))
    return {"deadline": (utc_now() + timedelta(seconds=event.allowed_seconds)).isoformat()}
