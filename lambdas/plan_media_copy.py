"""Find out what S3 Batch Operations has to copy."""

from typing import Literal

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.media_work import Phase, Plan, plan
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The phase, the new bucket, and whether the job `compare` has been at work."""

    run_id: str
    phase: Phase
    candidate_bucket: str
    versions: Literal["current", "all"]
    compared: bool


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> Plan:
    """Return the batch jobs, or that both buckets have to be compared first."""
    s3 = client("s3")
    folder = RunFolder(s3, settings.artifacts_bucket, event.run_id)
    return plan(s3, folder, event.phase, event.candidate_bucket, event.versions, compared=event.compared)
