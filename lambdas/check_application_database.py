"""After Terraform failed on the way back: whether the app is defined with the old database all the same."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import ReturnFailed, SmokeTestFailed
from know_me.failures import Failure
from know_me.manifest import read_manifest
from know_me.names import Slug
from know_me.observability import step
from know_me.settings import Settings
from know_me.smoke import check_database
from pydantic import BaseModel


class Event(BaseModel):
    """The generation that the app must use, and how Terraform failed."""

    run_id: str
    generation: Slug
    failure: Failure


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Return a warning to go on with.

    Raises
    ------
    ReturnFailed
        The app would start on another database.
    """
    manifest = read_manifest(client("ssm"), settings.environment)
    generations = manifest.database.generations
    others = [database for name, database in generations.items() if name != event.generation]
    try:
        check_database(client("ecs"), manifest.services, generations[event.generation], others)
    except SmokeTestFailed as error:
        raise ReturnFailed(
            f"Terraform could not point the app back at {event.generation}: "
            f"{event.failure.cause} {error.cause}",
            "Solve what stopped Terraform, then start return again.",
        ) from error
    return {
        "warning": f"Terraform failed on the way back ({event.failure.cause}) The app is defined with "
        f"{event.generation} all the same and was started; start provision when the reason is gone."
    }
