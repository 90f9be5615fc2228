"""Check what was asked of `provision`, and make sure that Terraform has generations to work from."""

from typing import Any

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.generations import create_generations
from know_me.observability import step
from know_me.requests import ProvisionRequest, parse
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The input of the state machine as it came, and the execution's name."""

    run_id: str
    request: Any


@step(Event)
def lambda_handler(event: Event, settings: Settings, logger: Logger) -> dict[str, str | bool]:
    """Return whose lock the run works under; a new environment gets its first generations."""
    request = parse(ProvisionRequest, event.request, "The only valid input of a person is {}.")
    if create_generations(client("ssm"), settings.environment):
        logger.info("The environment is new: its first generations are written")
    holder = request.acting_for or event.run_id
    return {"holder": holder, "own_lock": holder == event.run_id}
