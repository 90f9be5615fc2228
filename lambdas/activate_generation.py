"""Make the candidates the active generations; Terraform points the app at them with its next apply."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import CutoverFailed
from know_me.generations import STORES, activate, read_generations, write_generations
from know_me.names import Slug
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The generation of each store to make active; none of a store that stays."""

    run_id: str
    database: Slug | None = None
    media: Slug | None = None


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str | None]:
    """Write the generations of both stores at once; safe to repeat."""
    ssm = client("ssm")
    document = read_generations(ssm, settings.environment)
    wanted = [(store, name) for store in STORES if (name := getattr(event, store)) is not None]
    for store, name in wanted:
        if document is None or name not in document.of(store).all:
            raise CutoverFailed(
                f"The generation {name} is no longer a generation of the {store} of {settings.environment}.",
                "Somebody changed the parameter during the run; start again.",
            )
        document = activate(document, store, name)
    if document is not None and wanted:
        write_generations(ssm, settings.environment, document)
    return {"database": event.database, "media": event.media}
