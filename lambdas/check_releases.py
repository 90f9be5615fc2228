"""Look whether a release or background jobs are under way, before the app is stopped."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import is_past
from know_me.observability import step
from know_me.quiescence import refuse_late
from know_me.recorded import read_recorded
from know_me.releases import work_under_way
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run, and until when to wait."""

    run_id: str
    deadline: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, bool | list[str]]:
    """Return whether nothing is under way, and what is.

    Raises
    ------
    QuiesceTimedOut
        The deadline has passed.
    """
    recorded = read_recorded(RunFolder(client("s3"), settings.artifacts_bucket, event.run_id))
    running = work_under_way(client, settings, recorded)
    refuse_late(running, overdue=is_past(event.deadline))
    return {"quiet": not running, "still_running": running}
