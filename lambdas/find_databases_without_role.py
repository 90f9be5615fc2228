"""Find the active database when its application role was never made, and the services that wait for it."""

from typing import TypedDict

from aws_lambda_powertools import Logger
from know_me.application import labels_of
from know_me.aws import client
from know_me.manifest import DatabaseGeneration, Service, read_manifest
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The run that has just applied Terraform."""

    run_id: str


class Found(TypedDict):
    """Databases without their role, and the services whose tasks could not start for want of it."""

    databases: list[DatabaseGeneration]
    services: list[Service]


@step(Event)
def lambda_handler(_event: Event, settings: Settings, _logger: Logger) -> Found:
    """Return the active database when its application role was never made, with the app's services.

    The `prepare-role` job puts the role's password into a version of the application secret with the
    generation's label. A candidate gets its role from its migration.
    """
    manifest = read_manifest(client("ssm"), settings.environment)
    database = manifest.active_database
    labels = labels_of(client("secretsmanager"), database.application_secret_arn)
    made = database.application_secret_label in labels
    return Found(databases=[] if made else [database], services=[] if made else manifest.services)
