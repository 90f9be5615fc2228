"""Let the names under which tasks read the stores lead to the active generations, while no task runs."""

from typing import TypedDict

from aws_lambda_powertools import Logger
from know_me.application import point_database, prove_bucket
from know_me.aws import client
from know_me.clock import utc_now
from know_me.errors import CutoverFailed
from know_me.manifest import Manifest, read_manifest
from know_me.names import Slug
from know_me.observability import step
from know_me.settings import Settings
from pydantic import BaseModel


class Event(BaseModel):
    """The generation of each store that tasks should use; none of a store that stays."""

    run_id: str
    database: Slug | None = None
    media: Slug | None = None


class Pointed(TypedDict):
    """Whether something changed, and since when tasks that start use the stores."""

    changed: bool
    pointed_at: str


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> Pointed:
    """Move the label of the application secret, and prove that the parameter names the bucket.

    Safe to repeat. No value of the secret is read.

    Raises
    ------
    CutoverFailed
        A generation is not in the manifest, the database has no role, or the parameter names another bucket.
    """
    ssm = client("ssm")
    manifest = read_manifest(ssm, settings.environment)
    _refuse_unknown(manifest, event)
    if event.media is not None:
        prove_bucket(ssm, settings.environment, manifest.media.generations[event.media])
    changed = event.database is not None and point_database(
        client("secretsmanager"), manifest.database.generations[event.database]
    )
    return Pointed(changed=changed, pointed_at=utc_now().isoformat(timespec="milliseconds"))


def _refuse_unknown(manifest: Manifest, event: Event) -> None:
    missing = [
        f"the {store} {name}"
        for store, name, generations in (
            ("database", event.database, manifest.database.generations),
            ("media bucket", event.media, manifest.media.generations),
        )
        if name is not None and name not in generations
    ]
    if missing:
        raise CutoverFailed(
            f"The manifest of {manifest.environment} does not have {' nor '.join(missing)}.",
            "Start provision, which publishes it, then start again.",
        )
