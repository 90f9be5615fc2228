"""Begin to copy one object in parts, or take up again what was begun."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.large_copies import LargeCopy, LargeObject, Pair, begin
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel, Field


class Event(BaseModel):
    """The object, and what one request may copy."""

    run_id: str
    source_bucket: str
    candidate_bucket: str
    object: LargeObject
    single_copy_limit_bytes: int = Field(gt=0)


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> LargeCopy:
    """Return which parts are missing; nothing is to be done for an equal copy, or when the source is gone."""
    s3 = client("s3")
    return begin(
        s3,
        RunFolder(s3, settings.artifacts_bucket, event.run_id),
        Pair(source=event.source_bucket, candidate=event.candidate_bucket),
        event.object.key,
        event.single_copy_limit_bytes,
    )
