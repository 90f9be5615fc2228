"""Put the parts of a large object together and compare the result."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.large_copies import LargeCopy, Pair, complete
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel, Field


class Event(BaseModel):
    """What `begin_large_copy` returned, all of whose parts are copied."""

    run_id: str
    source_bucket: str
    candidate_bucket: str
    large_copy: LargeCopy = Field(alias="copy")


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str | int]:
    """Return the key and how many bytes it has; 0 when the source changed and is left to the next round.

    Raises
    ------
    MediaCopyFailed
        Parts are missing, or the new object is not what it should be.
    """
    s3 = client("s3")
    copied = complete(
        s3,
        RunFolder(s3, settings.artifacts_bucket, event.run_id),
        Pair(source=event.source_bucket, candidate=event.candidate_bucket),
        event.large_copy,
    )
    return {"key": event.large_copy.key, "bytes": copied}
