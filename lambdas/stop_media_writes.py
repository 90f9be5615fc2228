"""Let nobody but the migration write to the old media bucket."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.bucket_policies import fence
from know_me.clock import utc_now
from know_me.manifest import read_manifest
from know_me.observability import step
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run and the bucket."""

    run_id: str
    bucket: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, bool]:
    """Record it (`media/fence.json`, by which `return` knows), then do it; return whether it was new."""
    s3 = client("s3")
    principals = read_manifest(client("ssm"), settings.environment).media.migration_principals
    RunFolder(s3, settings.artifacts_bucket, event.run_id).write_once(
        "media/fence.json", {"bucket": event.bucket, "at": utc_now().isoformat(timespec="milliseconds")}
    )
    return {"changed": fence(s3, event.bucket, principals)}
