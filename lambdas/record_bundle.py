"""Remember which bundle was applied: the next run works from it unless it is given another."""

from typing import Annotated

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.bundles import BundleLocation
from know_me.errors import InvalidRequest
from know_me.names import bundle_parameter
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel, Field


class Event(BaseModel):
    """The run, and the source that its builds had: `<bucket>/<key>` and the version of the object."""

    run_id: str
    source_location: Annotated[str, Field(min_length=1)]
    source_version: Annotated[str, Field(min_length=1)]


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Write `/know-me/<environment>/bundle` and return what it says."""
    bucket, _, key = event.source_location.partition("/")
    if bucket != settings.artifacts_bucket or not key:
        raise InvalidRequest.listing(
            [f"source_location: {event.source_location} is not in {settings.artifacts_bucket}"],
            f"Put bundles below s3://{settings.artifacts_bucket}/bundles/.",
        )
    location = BundleLocation(key=key, version_id=event.source_version)
    client("ssm").put_parameter(
        Name=bundle_parameter(settings.environment),
        Description="The bundle that was applied last",
        Type="String",
        Value=location.model_dump_json(),
        Overwrite=True,
    )
    return location.model_dump()
