"""Give up the copy of a large object; say why, unless the source changed meanwhile."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.failures import Caught, words_of
from know_me.large_copies import LargeCopy, Pair, abort, failure_document, has_changed
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel, Field


class Event(BaseModel):
    """What `begin_large_copy` returned, and what went wrong since."""

    run_id: str
    source_bucket: str
    candidate_bucket: str
    large_copy: LargeCopy = Field(alias="copy")
    caught: Caught | None = None


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, bool]:
    """Abort the upload; return whether the source changed, so that the object is left to the next round."""
    s3, copy = client("s3"), event.large_copy
    buckets = Pair(source=event.source_bucket, candidate=event.candidate_bucket)
    abort(s3, buckets, copy)
    if has_changed(s3, buckets.source, copy):
        return {"changed": True}
    why = words_of(event.caught) if event.caught else "Its parts could not be copied."
    RunFolder(s3, settings.artifacts_bucket, event.run_id).write(
        failure_document(copy.key), {"key": copy.key, "bytes": copy.size, "error": why}
    )
    return {"changed": False}
