"""Take the environment's lock for a run, or say who holds it."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.lock import LockTable, Purpose, abandoned, take
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """Who wants the lock and what for; `holder` is the run that it acts for, or itself."""

    run_id: str
    execution_arn: str
    purpose: Purpose
    holder: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, bool]:
    """Return whether the run holds the lock itself (`taken`), and so has to release it."""
    taken = take(
        LockTable(client("dynamodb"), settings.lock_table, settings.environment),
        environment=settings.environment,
        run_id=event.run_id,
        execution_arn=event.execution_arn,
        purpose=event.purpose,
        acting_for=None if event.holder == event.run_id else event.holder,
        now=utc_now(),
        is_abandoned=abandoned(client("stepfunctions"), client("codebuild"), settings),
    )
    return {"taken": taken}
