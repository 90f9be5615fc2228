"""Find out whether there is something to return, and that nobody else does it."""

from typing import Any

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.lock import LockTable
from know_me.observability import step
from know_me.requests import ReturnRequest, parse
from know_me.returning import claim
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The input of the state machine as it came, and the execution itself."""

    request: Any
    execution_arn: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, logger: Logger) -> dict[str, Any]:
    """Return whether the run is claimed, in words, and what the names of child executions end with."""
    request = parse(
        ReturnRequest, event.request, 'A valid input is {"run_id": "<name of the migrate execution>"}.'
    )
    logger.append_keys(run_id=request.run_id)
    claimed = claim(
        LockTable(client("dynamodb"), settings.lock_table, settings.environment),
        RunFolder(client("s3"), settings.artifacts_bucket, request.run_id),
        client("stepfunctions"),
        settings,
        run_id=request.run_id,
        execution_arn=event.execution_arn,
    )
    return {**claimed.model_dump(), "suffix": claimed.suffix}
