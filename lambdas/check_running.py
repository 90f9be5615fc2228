"""Look whether every service runs as many tasks as before."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import is_past
from know_me.observability import step
from know_me.quiescence import Clients, not_running_yet, refuse_overdue_start
from know_me.recorded import read_recorded
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run, and until when to wait."""

    run_id: str
    deadline: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, bool | list[str]]:
    """Return whether all runs, and what does not yet.

    Raises
    ------
    ResumeFailed
        The deadline has passed.
    """
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    waiting = not_running_yet(Clients(client), read_recorded(folder))
    refuse_overdue_start(waiting, overdue=is_past(event.deadline))
    return {"running": not waiting, "waiting_for": waiting}
