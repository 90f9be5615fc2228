"""Record what runs before it is touched, so that it can be brought back."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.manifest import read_manifest
from know_me.observability import step
from know_me.quiescence import Clients, Quiesced, record
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run that is about to stop things."""

    run_id: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> Quiesced:
    """Write `quiesced.json` and return it; a record that the run has made already stands."""
    folder = RunFolder(client("s3"), settings.artifacts_bucket, event.run_id)
    recorded = folder.read("quiesced.json")
    if recorded is None:
        manifest = read_manifest(client("ssm"), settings.environment)
        now = utc_now().isoformat(timespec="milliseconds")
        recorded = folder.write_once("quiesced.json", record(Clients(client), manifest, now))
    return Quiesced.model_validate(recorded)
