"""Point the generations of both stores back to what they were, and say what else has to be put back."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import ReturnFailed
from know_me.generations import Generations, read_generations, write_generations
from know_me.manifest import read_manifest
from know_me.observability import step
from know_me.returning import WayBack, point_back
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run to return."""

    run_id: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> WayBack:
    """Write the generations where they differ; return what else has to be done. Safe to repeat."""
    ssm = client("ssm")
    current = read_generations(ssm, settings.environment)
    if current is None:
        raise ReturnFailed(
            f"The generations of {settings.environment} are gone.",
            "Put the parameter back (generations-before.json in the run folder), then start return again.",
        )

    def write(document: Generations) -> None:
        write_generations(ssm, settings.environment, document)

    return point_back(
        RunFolder(client("s3"), settings.artifacts_bucket, event.run_id),
        client("stepfunctions"),
        settings,
        event.run_id,
        read_manifest(ssm, settings.environment),
        current,
        write,
    )
