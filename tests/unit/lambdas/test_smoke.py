"""The smoke test: three good answers in a row, from the right stores."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from know_me.errors import SmokeTestFailed
from know_me.manifest import Manifest
from know_me.smoke import check_stores, probe, wait_until_healthy

from tests.unit.lambdas.conftest import (
    APPLICATION_SECRET,
    MEDIA_BUCKET_PARAMETER,
    Stubbed,
    manifest_document,
)

MANIFEST = Manifest.model_validate(manifest_document("blue", "green", media=("blue", "green")))
BLUE, GREEN = MANIFEST.database.generations["blue"], MANIFEST.database.generations["green"]


class Clock:
    """Time that passes only while sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def answers(*statuses: int) -> Any:
    given = iter(statuses)
    return lambda url: ((status := next(given)) == 200, f"HTTP {status}")


def test_one_good_answer_is_luck_three_in_a_row_are_health() -> None:
    clock = Clock()
    asked = answers(200, 503, 200, 200, 502, 200, 200, 200)
    attempts, answer = wait_until_healthy(
        "http://x/", deadline_seconds=60, ask=asked, clock=clock, sleep=clock.sleep
    )
    assert (attempts, answer) == (8, "HTTP 200")


def test_it_gives_up_at_the_deadline_with_the_last_answer() -> None:
    clock = Clock()
    with pytest.raises(SmokeTestFailed, match="within 5 s; the last of 6 answers was: HTTP 503"):
        wait_until_healthy(
            "http://x/",
            deadline_seconds=5,
            ask=lambda url: (False, "HTTP 503"),
            clock=clock,
            sleep=clock.sleep,
        )


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/status/" else 503)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def test_a_probe_tells_answers_apart(server: str) -> None:
    assert probe(f"{server}/status/") == (True, "HTTP 200")
    assert probe(f"{server}/other/") == (False, "HTTP 503")
    assert probe("http://127.0.0.1:9/")[0] is False


def test_only_addresses_of_the_web_are_asked() -> None:
    with pytest.raises(SmokeTestFailed, match="not an http or https address"):
        probe("file:///etc/passwd")


SECRETS = {
    "DATABASE_HOST": f"{APPLICATION_SECRET}:host::",
    "DATABASE_PASSWORD": f"{APPLICATION_SECRET}:password::",
    "MEDIA_BUCKET": f"arn:aws:ssm:us-east-1:123456789012:parameter{MEDIA_BUCKET_PARAMETER}",
}
POINTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def container(environment: dict[str, str] | None = None, **secrets: str) -> dict[str, Any]:
    """Return the definition of a container that reads the stores by name, but for what a test says."""
    return {
        "environment": [{"name": name, "value": value} for name, value in (environment or {}).items()],
        "secrets": [
            {"name": name, "valueFrom": source} for name, source in {**SECRETS, **secrets}.items() if source
        ],
    }


def expect_secret(stubbed: Stubbed, current: str) -> None:
    versions = {name: [name, *(["AWSCURRENT"] if name == current else [])] for name in ("blue", "green")}
    stubbed.expect(
        "secretsmanager",
        "describe_secret",
        {"SecretId": APPLICATION_SECRET},
        {
            "VersionIdsToStages": {
                f"version-of-{name}-{'x' * 32}": labels for name, labels in versions.items()
            }
        },
    )


def expect_parameter(stubbed: Stubbed, generation: str) -> None:
    bucket = MANIFEST.media.generations[generation].bucket
    stubbed.expect("ssm", "get_parameter", {"Name": MEDIA_BUCKET_PARAMETER}, {"Parameter": {"Value": bucket}})


def expect_definition(stubbed: Stubbed, definition: dict[str, Any]) -> None:
    stubbed.expect(
        "ecs",
        "describe_services",
        {"cluster": "know-me-staging", "services": ["know-me-staging-api"]},
        {
            "services": [
                {
                    "taskDefinition": "arn:task:6",
                    "taskSets": [
                        {"status": "ACTIVE", "taskDefinition": "arn:task:8"},
                        {"status": "PRIMARY", "taskDefinition": "arn:task:7"},
                    ],
                }
            ]
        },
    )
    stubbed.expect(
        "ecs",
        "describe_task_definition",
        {"taskDefinition": "arn:task:7"},
        {"taskDefinition": {"containerDefinitions": [{"name": "sidecar"}, {"name": "api", **definition}]}},
    )


def expect_tasks(stubbed: Stubbed, *created: datetime) -> None:
    arns = [f"arn:task/know-me-staging/{number}" for number in range(len(created))]
    stubbed.expect(
        "ecs",
        "list_tasks",
        {"cluster": "know-me-staging", "serviceName": "know-me-staging-api", "desiredStatus": "RUNNING"},
        {"taskArns": arns},
    )
    stubbed.expect(
        "ecs",
        "describe_tasks",
        {"cluster": "know-me-staging", "tasks": arns},
        {"tasks": [{"taskArn": arn, "createdAt": moment} for arn, moment in zip(arns, created, strict=True)]},
    )


@pytest.mark.parametrize(
    ("definition", "wrong"),
    [
        (container(), None),
        (container(MEDIA_BUCKET=MEDIA_BUCKET_PARAMETER), None),
        (container(DATABASE_HOST="", DATABASE_PASSWORD=""), "does not read the database under"),
        (container(MEDIA_BUCKET=""), "does not read the media bucket under"),
        (container({"URL": f"postgres://{GREEN.endpoint}:5432/know_me"}), "does not read the database under"),
        (container(DATABASE_HOST=f"{APPLICATION_SECRET}:host:green:"), "does not read the database under"),
        (
            container({"DATABASE_HOST": BLUE.endpoint, "BUCKET": MANIFEST.active_bucket.bucket}),
            "does not read the database and the media bucket under",
        ),
        (container({"DATABASE_HOST": f"{GREEN.endpoint}.other"}), None),
        ({}, "does not read the database and the media bucket under"),
    ],
)
def test_the_task_definition_must_read_the_stores_by_name_and_have_no_value_of_one(
    stubbed: Stubbed, definition: dict[str, Any], wrong: str | None
) -> None:
    expect_secret(stubbed, "green")
    expect_parameter(stubbed, "green")
    expect_definition(stubbed, definition)
    if wrong is None:
        check_stores(stubbed.client, MANIFEST, database="green", media="green")
    else:
        with pytest.raises(SmokeTestFailed, match=wrong):
            check_stores(stubbed.client, MANIFEST, database="green", media="green")


@pytest.mark.parametrize(
    ("used", "wanted", "wrong"),
    [
        (("green", "green"), ("green", "green"), None),
        (("green", "blue"), ("green", "green"), "to the bucket know-me-staging-media-blue-.*, not to "),
        (("blue", "green"), ("green", "green"), "to the database blue, not to green"),
        (("blue", "green"), (None, "green"), None),
        (("green", "blue"), ("green", None), None),
        (("green", "blue"), ("green", "blue"), None),
        (("none", "blue"), ("green", None), "to another database, not to green"),
    ],
)
def test_the_names_must_lead_to_the_wanted_stores_and_one_that_stays_is_not_looked_at(
    stubbed: Stubbed, used: tuple[str, str], wanted: tuple[str | None, str | None], wrong: str | None
) -> None:
    database, media = wanted
    if database is not None:
        expect_secret(stubbed, used[0])
    if media is not None and not (wrong and "database" in wrong):
        expect_parameter(stubbed, used[1])
    if wrong is None:
        expect_definition(stubbed, container())
        check_stores(stubbed.client, MANIFEST, database=database, media=media)
    else:
        with pytest.raises(SmokeTestFailed, match=wrong):
            check_stores(stubbed.client, MANIFEST, database=database, media=media)


@pytest.mark.parametrize(("seconds", "fine"), [(1, True), (-1, False)])
def test_a_task_from_before_the_stores_were_changed_may_use_the_old_ones(
    stubbed: Stubbed, seconds: int, fine: bool
) -> None:
    expect_secret(stubbed, "green")
    expect_definition(stubbed, container())
    expect_tasks(stubbed, POINTED + timedelta(minutes=1), POINTED + timedelta(seconds=seconds))

    def check() -> None:
        check_stores(stubbed.client, MANIFEST, database="green", media=None, started_after=POINTED)

    if fine:
        check()
    else:
        with pytest.raises(SmokeTestFailed, match=r"run since before the stores were changed: 1\."):
            check()
