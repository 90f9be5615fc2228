"""Sum up one phase of the media copy."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.media_work import CopySummary, Phase, seconds_since_start, summarise
from know_me.names import move_media_execution
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run and the phase; the results of its steps are in the run folder."""

    run_id: str
    phase: Phase


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> CopySummary:
    """Write `media/<phase>/copy.json` and return it."""
    arn = settings.execution_arn("move-media", move_media_execution(event.run_id, event.phase))
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    summary = summarise(folder, event.phase, seconds_since_start(client("stepfunctions"), arn, utc_now()))
    folder.write(f"media/{event.phase}/copy.json", summary)
    return summary
