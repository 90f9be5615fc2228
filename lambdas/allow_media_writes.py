"""Let the app write to a media bucket again."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.bucket_policies import lift_fence
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run and the bucket."""

    run_id: str
    bucket: str


@step(Event)
def lambda_handler(event: Event, _settings: Settings, _logger: Logger) -> dict[str, bool]:
    """Take the fence out of the bucket's policy; return whether there was one."""
    return {"changed": lift_fence(client("s3"), event.bucket)}
