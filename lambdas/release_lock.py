"""Give the environment's lock back, when the run holds it."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.lock import LockTable
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run that holds the lock."""

    run_id: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, bool]:
    """Return whether there was a lock of this run to release."""
    table = LockTable(client("dynamodb"), settings.lock_table, settings.environment)
    return {"released": table.release(event.run_id)}
