"""Tell Terraform about the candidate: one more generation of the database."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import InvalidRequest
from know_me.generations import add, read_generations, write_generations
from know_me.observability import step
from know_me.requests import Migration
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The migration under way."""

    run_id: str
    migration: Migration


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Keep what the generations were (`generations-before.json`), then add the candidate; safe to repeat."""
    ssm, migration = client("ssm"), event.migration
    current = read_generations(ssm, settings.environment)
    if current is None or current.database.active != migration.source:
        raise InvalidRequest(
            f"{settings.environment} has changed since the run was asked for: "
            f"{migration.source} is no longer active.",
            "Start the migration again.",
        )
    RunFolder(client("s3"), settings.artifacts_bucket, event.run_id).write_once(
        "generations-before.json", current
    )
    write_generations(
        ssm, settings.environment, add(current, migration.candidate, migration.candidate_settings)
    )
    return {"candidate": migration.candidate}
