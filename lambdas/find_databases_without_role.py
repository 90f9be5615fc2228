"""Find the active database when its application role was never made."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.manifest import DatabaseGeneration, read_manifest
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run that has just applied Terraform."""

    run_id: str


@step(Event)
def lambda_handler(_event: Event, settings: Settings, _logger: Logger) -> dict[str, list[DatabaseGeneration]]:
    """Return `{"databases": […]}`: the active one when its application secret is empty.

    Terraform makes the secret empty; the `prepare-role` job fills it. A candidate gets its
    role from its migration.
    """
    database = read_manifest(client("ssm"), settings.environment).active_database
    secret = client("secretsmanager").describe_secret(SecretId=database.application_secret_arn)
    stages = secret.get("VersionIdsToStages", {}).values()
    filled = any("AWSCURRENT" in labels for labels in stages)
    return {"databases": [] if filled else [database]}
