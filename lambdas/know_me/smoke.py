"""The smoke test: the app answers, with the database and the media bucket that it should use."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from know_me.application import (
    CURRENT,
    container_of,
    current_bucket,
    current_generation,
    definition_of,
    labels_of,
    leads_to,
    reads_bucket_by_name,
    reads_database_by_name,
)
from know_me.errors import SmokeTestFailed
from know_me.manifest import Manifest, Service
from know_me.names import media_bucket_parameter
from know_me.quiescence import tasks_of
from know_me.wording import listed

TIMES_IN_A_ROW = 3


class SmokeTest(BaseModel):
    """What the smoke test saw."""

    url: str
    passed_at: str
    attempts: int
    last_answer: str


def probe(url: str, timeout_seconds: float = 5) -> tuple[bool, str]:
    """Ask once; return whether the answer is 200, and the answer in words.

    Raises
    ------
    SmokeTestFailed
        The address is not one of the web.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise SmokeTestFailed(
            f"The health check {url!r} is not an http or https address.",
            "Correct the manifest through Terraform.",
        )
    request = urllib.request.Request(url, headers={"User-Agent": "know-me-smoke-test"})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:  # noqa: S310 - checked
            return response.status == 200, f"HTTP {response.status}"
    except urllib.error.HTTPError as error:
        return False, f"HTTP {error.code}"
    except (urllib.error.URLError, OSError) as error:
        return False, str(getattr(error, "reason", error))


def wait_until_healthy(
    url: str,
    *,
    deadline_seconds: float,
    ask: Callable[[str], tuple[bool, str]] = probe,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    pause_seconds: float = 1,
) -> tuple[int, str]:
    """Ask until three answers in a row are good; return how often it was asked, and the last answer.

    Raises
    ------
    SmokeTestFailed
        That did not happen in time.
    """
    started, attempts, good, answer = clock(), 0, 0, "no answer"
    while True:
        healthy, answer = ask(url)
        attempts += 1
        good = good + 1 if healthy else 0
        if good == TIMES_IN_A_ROW:
            return attempts, answer
        if clock() - started >= deadline_seconds:
            raise SmokeTestFailed(
                f"{url} did not answer 200 three times in a row within {deadline_seconds:.0f} s; "
                f"the last of {attempts} answers was: {answer}.",
                "Look at the logs of the service's tasks and at the load balancer's targets.",
            )
        sleep(pause_seconds)


def check_stores(
    client: Callable[[str], Any],
    manifest: Manifest,
    *,
    database: str | None,
    media: str | None,
    started_after: datetime | None = None,
) -> None:
    """Check that the names under which tasks read the stores lead to the wanted generations and are used.

    A store without a wanted generation is not looked at.

    Parameters
    ----------
    client
        Makes a client of a service (ecs, ssm, secretsmanager).
    started_after
        Tasks read the names when they start: one from before that moment may use an old store.

    Raises
    ------
    SmokeTestFailed
        A name leads elsewhere, a service does not use it, or a task is from before.
    """
    if database is not None:
        _check_secret(client("secretsmanager"), manifest, database)
    if media is not None:
        _check_parameter(client("ssm"), manifest, media)
    for service in manifest.services:
        _check_definition(client("ecs"), manifest, service, database=database, media=media)
        if started_after is not None:
            _check_tasks(client("ecs"), service, started_after)


def _check_secret(secretsmanager: Any, manifest: Manifest, wanted: str) -> None:
    secret = manifest.active_database.application_secret_arn
    labels = labels_of(secretsmanager, secret)
    if not leads_to(labels, manifest.database.generations[wanted]):
        used = current_generation(labels, manifest)
        raise SmokeTestFailed(
            f"The secret {secret} leads tasks to {f'the database {used}' if used else 'another database'}, "
            f"not to {wanted}.",
            f"The label {CURRENT} belongs on the version with the label {wanted}.",
        )


def _check_parameter(ssm: Any, manifest: Manifest, wanted: str) -> None:
    found, bucket = current_bucket(ssm, manifest.environment), manifest.media.generations[wanted].bucket
    if found != bucket:
        raise SmokeTestFailed(
            f"The parameter {media_bucket_parameter(manifest.environment)} leads tasks to the bucket "
            f"{found}, not to {bucket} of {wanted}.",
            "Compare it with Terraform's plan.",
        )


def _check_definition(
    ecs: Any, manifest: Manifest, service: Service, *, database: str | None, media: str | None
) -> None:
    found = ecs.describe_services(cluster=service.cluster, services=[service.name])["services"]
    definition = definition_of(found[0])
    container = container_of(ecs, definition, service.container)
    own = [
        what
        for what, wanted, reads in (
            ("the database", database, reads_database_by_name),
            ("the media bucket", media, reads_bucket_by_name),
        )
        if wanted is not None and not reads(container, manifest)
    ]
    if own:
        raise SmokeTestFailed(
            f"The task definition {definition} of {service.name} does not read {listed(own)} under the names "
            "that stay.",
            "Release the app from the task definition that Terraform describes.",
        )


def _check_tasks(ecs: Any, service: Service, started_after: datetime) -> None:
    old = [
        task["taskArn"].rsplit("/", 1)[-1]
        for task in tasks_of(ecs, service.cluster, service.name, "RUNNING")
        if task["createdAt"] < started_after
    ]
    if old:
        raise SmokeTestFailed(
            f"Tasks of {service.name} run since before the stores were changed: {listed(old)}.",
            "Stop them (aws ecs stop-task); the service starts others, which read the names anew.",
        )
