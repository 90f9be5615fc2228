"""The smoke test: three good answers in a row, from the right database."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from know_me.errors import SmokeTestFailed
from know_me.manifest import Manifest
from know_me.smoke import check_stores, probe, wait_until_healthy

from tests.unit.lambdas.conftest import Stubbed, manifest_document

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


def expect_definition(stubbed: Stubbed, container: dict[str, Any]) -> None:
    stubbed.expect(
        "ecs",
        "describe_services",
        {"cluster": "know-me-staging", "services": ["know-me-staging-api"]},
        {"services": [{"taskDefinition": "arn:task:7"}]},
    )
    stubbed.expect(
        "ecs",
        "describe_task_definition",
        {"taskDefinition": "arn:task:7"},
        {"taskDefinition": {"containerDefinitions": [{"name": "sidecar"}, {"name": "api", **container}]}},
    )


@pytest.mark.parametrize(
    ("container", "fine"),
    [
        ({"environment": [{"name": "DATABASE_HOST", "value": GREEN.endpoint}]}, True),
        ({"environment": [{"name": "URL", "value": f"postgres://{GREEN.endpoint}:5432/know_me"}]}, True),
        (
            {"secrets": [{"name": "PASSWORD", "valueFrom": f"{GREEN.application_secret_arn}:password::"}]},
            True,
        ),
        ({"environment": [{"name": "DATABASE_HOST", "value": BLUE.endpoint}]}, False),
        ({"environment": [{"name": "DATABASE_HOST", "value": f"{GREEN.endpoint}.other"}]}, False),
        (
            {
                "environment": [{"name": "DATABASE_HOST", "value": GREEN.endpoint}],
                "secrets": [{"name": "PASSWORD", "valueFrom": f"{BLUE.application_secret_arn}:password::"}],
            },
            False,
        ),
        ({}, False),
    ],
)
def test_the_task_definition_must_point_at_the_expected_database_only(
    stubbed: Stubbed, container: dict[str, Any], fine: bool
) -> None:
    expect_definition(stubbed, container)
    if fine:
        check_stores(stubbed.client("ecs"), MANIFEST, database="green", media=None)
    else:
        with pytest.raises(SmokeTestFailed, match=r"not at green"):
            check_stores(stubbed.client("ecs"), MANIFEST, database="green", media=None)


def environment_of(database: str, media: str) -> dict[str, Any]:
    stores = {
        "DATABASE_HOST": MANIFEST.database.generations[database].endpoint,
        "MEDIA_BUCKET": MANIFEST.media.generations[media].bucket,
    }
    return {"environment": [{"name": name, "value": value} for name, value in stores.items()]}


@pytest.mark.parametrize(
    ("used", "wanted", "wrong"),
    [
        (("green", "green"), ("green", "green"), None),
        (("green", "blue"), ("green", "green"), "the media bucket blue, not at green"),
        (("blue", "green"), ("green", "green"), "the database blue, not at green"),
        (("blue", "green"), (None, "green"), None),
        (("green", "blue"), ("green", None), None),
        (("green", "blue"), ("green", "blue"), None),
    ],
)
def test_both_stores_must_be_the_wanted_ones_and_one_that_stays_is_not_looked_at(
    stubbed: Stubbed, used: tuple[str, str], wanted: tuple[str | None, str | None], wrong: str | None
) -> None:
    expect_definition(stubbed, environment_of(*used))
    database, media = wanted
    if wrong is None:
        check_stores(stubbed.client("ecs"), MANIFEST, database=database, media=media)
    else:
        with pytest.raises(SmokeTestFailed, match=wrong):
            check_stores(stubbed.client("ecs"), MANIFEST, database=database, media=media)
