"""Tell Terraform about the candidates: one more generation of each store that moves."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import InvalidRequest
from know_me.generations import Generations, MediaSettings, add, read_generations, write_generations
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
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str | None]:
    """Keep what the generations were (`generations-before.json`), then add the candidates; safe to repeat."""
    ssm, migration = client("ssm"), event.migration
    current = read_generations(ssm, settings.environment)
    if current is None or _moved_on(current, migration):
        raise InvalidRequest(
            f"{settings.environment} has changed since the run was asked for: "
            f"{migration.source} or {migration.media_source} is no longer active.",
            "Start the migration again.",
        )
    RunFolder(client("s3"), settings.artifacts_bucket, event.run_id).write_once(
        "generations-before.json", current
    )
    wanted = current
    if migration.candidate is not None:
        wanted = add(wanted, "database", migration.candidate, migration.candidate_settings)
    if migration.media_candidate is not None:
        wanted = add(wanted, "media", migration.media_candidate, MediaSettings(unfinished=True))
    write_generations(ssm, settings.environment, wanted)
    return {"candidate": migration.candidate, "media_candidate": migration.media_candidate}


def _moved_on(current: Generations, migration: Migration) -> bool:
    media = migration.media_source
    return current.database.active != migration.source or (
        media is not None and current.media.active != media
    )
