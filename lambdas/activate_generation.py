"""Make the candidate the active generation; Terraform points the app at it with its next apply."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import CutoverFailed
from know_me.generations import activate, read_generations, write_generations
from know_me.names import Slug
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The generation to make active."""

    run_id: str
    generation: Slug


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Write the generations; safe to repeat."""
    ssm = client("ssm")
    current = read_generations(ssm, settings.environment)
    if current is None or event.generation not in current.database.all:
        raise CutoverFailed(
            f"The generation {event.generation} is no longer a generation of {settings.environment}.",
            "Somebody changed the parameter during the run; start again.",
        )
    write_generations(ssm, settings.environment, activate(current, event.generation))
    return {"active": event.generation}
