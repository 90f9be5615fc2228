"""Find the old and the new database, now that Terraform has published both."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import ManifestMissing
from know_me.manifest import DatabaseGeneration, read_manifest
from know_me.observability import step
from know_me.requests import Migration
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The migration under way."""

    run_id: str
    migration: Migration


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, DatabaseGeneration]:
    """Return `{"source": …, "candidate": …}` as the manifest has them."""
    generations = read_manifest(client("ssm"), settings.environment).database.generations
    wanted = {"source": event.migration.source, "candidate": event.migration.candidate}
    missing = [name for name in wanted.values() if name not in generations]
    if missing:
        raise ManifestMissing(
            f"Terraform was applied, but its manifest does not have the generation {missing[0]}.",
            "Compare the generations parameter with Terraform's state.",
        )
    return {role: generations[name] for role, name in wanted.items()}
