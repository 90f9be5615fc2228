"""Check what was asked of `migrate` and complete it to what the run will do."""

from typing import Any

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import ManifestMissing
from know_me.generations import read_generations
from know_me.manifest import read_manifest
from know_me.observability import step
from know_me.requests import Migration, plan_migration
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The input of the state machine as it came, and the execution's name."""

    run_id: str
    request: Any


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> Migration:
    """Return the completed request and keep it in the run folder."""
    ssm = client("ssm")
    manifest = read_manifest(ssm, settings.environment)
    generations = read_generations(ssm, settings.environment)
    if generations is None:
        raise ManifestMissing(
            f"The environment {settings.environment} has a manifest but no generations.",
            f"Start know-me-{settings.environment}-provision with {{}}.",
        )
    migration = plan_migration(
        event.request,
        run_id=event.run_id,
        environment=settings.environment,
        manifest=manifest,
        generations=generations,
        bucket=settings.artifacts_bucket,
        single_copy_limit_bytes=settings.single_copy_limit_bytes,
    )
    RunFolder(client("s3"), settings.artifacts_bucket, event.run_id).write("request.json", migration)
    return migration
