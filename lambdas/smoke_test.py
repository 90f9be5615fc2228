"""See for ourselves that the app answers, from the database that it should use."""

from aws_lambda_powertools import Logger
from know_me.aws import client
from know_me.clock import utc_now
from know_me.manifest import read_manifest
from know_me.names import Slug
from know_me.observability import step
from know_me.settings import Settings
from know_me.smoke import SmokeTest, check_database, wait_until_healthy
from pydantic import BaseModel


class Event(BaseModel):
    """The generation that the app should use, and how long it may take to answer."""

    run_id: str
    generation: Slug
    deadline_seconds: int = 300


@step(Event)
def lambda_handler(event: Event, settings: Settings, _logger: Logger) -> SmokeTest:
    """Return what was seen.

    Raises
    ------
    SmokeTestFailed
        The app does not answer in time, or uses another database.
    """
    manifest = read_manifest(client("ssm"), settings.environment)
    generations = manifest.database.generations
    others = [database for name, database in generations.items() if name != event.generation]
    check_database(client("ecs"), manifest.services, generations[event.generation], others)
    attempts, answer = wait_until_healthy(manifest.health_check_url, deadline_seconds=event.deadline_seconds)
    return SmokeTest(
        url=manifest.health_check_url,
        passed_at=utc_now().isoformat(timespec="milliseconds"),
        attempts=attempts,
        last_answer=answer,
    )
