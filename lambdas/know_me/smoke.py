"""The smoke test: the app answers, with the database and the media bucket that it should use."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from know_me.errors import SmokeTestFailed
from know_me.manifest import DatabaseGeneration, Manifest, MediaGeneration

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


Container = dict[str, Any]


def uses_database(container: Container, database: DatabaseGeneration) -> bool:
    """Whether a container's definition names the endpoint or the application secret of a database."""
    return _names(container, database.endpoint) or any(
        item.get("valueFrom", "").startswith(database.application_secret_arn)
        for item in container.get("secrets", [])
    )


def uses_bucket(container: Container, media: MediaGeneration) -> bool:
    """Whether a container's definition names a media bucket (`MEDIA_BUCKET`)."""
    return _names(container, media.bucket)


def _names(container: Container, name: str) -> bool:
    whole = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
    return any(whole.search(item.get("value", "")) for item in container.get("environment", []))


def check_stores(ecs: Any, manifest: Manifest, *, database: str | None, media: str | None) -> None:
    """Check that each service's task definition points at the wanted generations and at no other.

    A store without a wanted generation is not looked at.

    Raises
    ------
    SmokeTestFailed
        One does not.
    """
    stores: tuple[tuple[str, dict[str, Any], str | None, Callable[[Container, Any], bool]], ...] = (
        ("database", manifest.database.generations, database, uses_database),
        ("media bucket", manifest.media.generations, media, uses_bucket),
    )
    for service in manifest.services:
        found = ecs.describe_services(cluster=service.cluster, services=[service.name])["services"]
        definition = ecs.describe_task_definition(taskDefinition=found[0]["taskDefinition"])["taskDefinition"]
        container: Container = next(
            (item for item in definition["containerDefinitions"] if item["name"] == service.container), {}
        )
        for what, generations, name, uses in stores:
            if name is None:
                continue
            used = [each for each, generation in generations.items() if uses(container, generation)]
            if used != [name]:
                others = [each for each in used if each != name]
                raise SmokeTestFailed(
                    f"The task definition {found[0]['taskDefinition']} of {service.name} points at "
                    f"{'the ' + what + ' ' + others[0] if others else 'another ' + what}, not at {name}.",
                    "Compare it with Terraform's plan.",
                )
