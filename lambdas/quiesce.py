"""Stop everything that can write, as recorded."""

from datetime import timedelta

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.observability import step
from know_me.quiescence import Clients, quiesce
from know_me.recorded import read_recorded
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run, and how long its tasks may take to stop."""

    run_id: str
    allowed_seconds: int = 600


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Note when the downtime began, and stop it all; return until when to wait for the tasks."""
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    now, recorded = utc_now(), read_recorded(folder)
    folder.write_once("stopped.json", {"stopped_at": now.isoformat()})  # whatever is repeated
    quiesce(Clients(client), recorded)
    return {"deadline": (now + timedelta(seconds=event.allowed_seconds)).isoformat()}
