"""Find the old and the new stores, now that Terraform has published them."""

from typing import Any

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import ManifestMissing
from know_me.manifest import DatabaseGeneration, MediaGeneration, read_manifest
from know_me.observability import step
from know_me.requests import Migration
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The migration under way."""

    run_id: str
    migration: Migration


class Found(BaseModel):
    """The stores as the manifest has them; null what does not move, except the database that the app uses."""

    source: DatabaseGeneration
    candidate: DatabaseGeneration | None
    source_bucket: MediaGeneration | None
    candidate_bucket: MediaGeneration | None
    copy_role_arn: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> Found:
    """Return both databases, both buckets and the role that copies.

    Raises
    ------
    ManifestMissing
        Terraform did not publish one of them.
    """
    manifest, migration = read_manifest(client("ssm"), settings.environment), event.migration
    wanted: dict[str, tuple[Any, str | None]] = {
        "source": (manifest.database.generations, migration.source),
        "candidate": (manifest.database.generations, migration.candidate),
        "source_bucket": (manifest.media.generations, migration.media_source),
        "candidate_bucket": (manifest.media.generations, migration.media_candidate),
    }
    found: dict[str, Any] = {
        role: None if name is None else generations.get(name) for role, (generations, name) in wanted.items()
    }
    missing = [name for role, (_, name) in wanted.items() if name is not None and found[role] is None]
    if missing:
        raise ManifestMissing(
            f"Terraform was applied, but its manifest does not have the generation {missing[0]}.",
            "Compare the generations parameter with Terraform's state.",
        )
    return Found(**found, copy_role_arn=manifest.media.copy_role_arn)
