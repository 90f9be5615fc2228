"""Check what was asked of `provision`, and make sure that Terraform has generations to work from."""

from typing import Any

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.generations import create_generations
from know_me.observability import step
from know_me.provisioning import Provision, plan_provision, read_bundle
from know_me.run_folder import RunFolder
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The input of the state machine as it came, and the execution's name."""

    run_id: str
    request: Any


@step(Event)
def lambda_handler(event: Event, settings: Settings, logger: Logger) -> Provision:
    """Return what the run will do, also as `request.json`; a new environment gets its first generations."""
    ssm = client("ssm")
    provision = plan_provision(
        event.request,
        run_id=event.run_id,
        environment=settings.environment,
        artifacts_bucket=settings.artifacts_bucket,
        approval_mode=settings.approval_mode,
        approval_timeout_seconds=settings.approval_timeout_seconds,
        remembered=read_bundle(ssm, settings.environment),
    )
    if create_generations(ssm, settings.environment):
        logger.info("The environment is new: its first generations are written")
    RunFolder(client("s3"), settings.artifacts_bucket, event.run_id).write("request.json", provision)
    return provision
