"""Find what a release brings: the task definition whose image migrates the schema."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.lock import LockTable
from know_me.manifest import read_manifest
from know_me.observability import step
from know_me.releases import new_task_definition, refuse_while_migrating, service_of
from know_me.settings import Settings
from know_me.tasks import TaskOrder, describe_service, task_order
from pydantic import BaseModel


class Event(BaseModel):
    """The deployment."""

    deployment_id: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> TaskOrder:
    """Return what ECS is to run.

    Raises
    ------
    LockHeld
        A migration replaces the stores.
    InvalidRelease
        The deployment does not name one task definition of the environment.
    """
    table = LockTable(client("dynamodb"), settings.lock_table, settings.environment)
    refuse_while_migrating(table.read())
    manifest = read_manifest(client("ssm"), settings.environment)
    task_definition = new_task_definition(client("codedeploy"), event.deployment_id)
    service = service_of(manifest, task_definition)
    return task_order(service, describe_service(client("ecs"), service), task_definition)
