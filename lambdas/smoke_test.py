"""See for ourselves that the app answers, with the stores that it should use."""

from datetime import datetime

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.manifest import read_manifest
from know_me.names import Slug
from know_me.observability import step
from know_me.settings import Settings
from know_me.smoke import SmokeTest, check_stores, wait_until_healthy
from pydantic import BaseModel


class Event(BaseModel):
    """The generation of each store that the app should use, and how long it may take to answer.

    `started_after` is when the stores were changed: tasks from before would use the old ones.
    """

    run_id: str
    database: Slug | None = None
    media: Slug | None = None
    started_after: datetime | None = None
    deadline_seconds: int = 300


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> SmokeTest:
    """Return what was seen.

    Raises
    ------
    SmokeTestFailed
        The app does not answer in time, or uses another database or bucket.
    """
    manifest = read_manifest(client("ssm"), settings.environment)
    check_stores(
        client, manifest, database=event.database, media=event.media, started_after=event.started_after
    )
    attempts, answer = wait_until_healthy(manifest.health_check_url, deadline_seconds=event.deadline_seconds)
    return SmokeTest(
        url=manifest.health_check_url,
        passed_at=utc_now().isoformat(timespec="milliseconds"),
        attempts=attempts,
        last_answer=answer,
    )
