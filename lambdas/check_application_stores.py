"""After Terraform failed on the way back: whether the app would use the old stores all the same."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.errors import ReturnFailed, SmokeTestFailed
from know_me.failures import Failure
from know_me.manifest import read_manifest
from know_me.names import Slug
from know_me.observability import step
from know_me.settings import Settings
from know_me.smoke import check_stores
from know_me.wording import listed, stores_in_words
from pydantic import BaseModel


class Event(BaseModel):
    """The generation of each store that the app must use, and how Terraform failed."""

    run_id: str
    database: Slug | None = None
    media: Slug | None = None
    failure: Failure


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> dict[str, str]:
    """Return a warning to go on with.

    Raises
    ------
    ReturnFailed
        The app would start with another database or bucket.
    """
    manifest = read_manifest(client("ssm"), settings.environment)
    old = listed(stores_in_words(database=event.database, media=event.media, adjective="old "))
    try:
        check_stores(client, manifest, database=event.database, media=event.media)
    except SmokeTestFailed as error:
        raise ReturnFailed(
            f"Terraform could not point the app back at {old}: {event.failure.cause} {error.cause}",
            "Solve what stopped Terraform, then start return again.",
        ) from error
    return {
        "warning": f"Terraform failed on the way back ({event.failure.cause}) The app uses "
        f"{old} all the same and was started; start provision when the reason is gone."
    }
