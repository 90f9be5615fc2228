"""How the web app gets into its bucket."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from job_support.errors import JobError
from moto import mock_aws
from release_jobs import web_files
from release_jobs.web_files import ASK_EACH_TIME, FOR_EVER, files_of, has_hash, to_invalidate, to_remove
from release_jobs.web_release import release

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BUCKET = "know-me-staging-web-123456789012"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build as bundlers make it."""
    for name, text in {
        "index.html": "<html>",
        "about/index.html": "<html>",
        "favicon.ico": "icon",
        "manifest.json": "{}",
        "static/js/main.3f9a01bc.js": "code",
        "static/js/main.3f9a01bc.js.map": "{}",
        "static/css/main.0b1c2d3e.css": "style",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        ("static/js/main.3f9a01bc.js", True),
        ("static/js/787.3f9a01bc.chunk.js", True),
        ("static/js/main.3f9a01bc.js.map", True),
        ("static/js/main.3f9a01bc.js.LICENSE.txt", False),  # asked for each time: no harm
        ("assets/index-DiwrgTd1.css", True),
        ("assets/hero-screenshot1.png", False),
        ("images/party-20240101.png", False),
        ("index.html", False),
        ("service-worker.js", False),
        ("manifest.webmanifest", False),
        ("images/background-landscape.png", False),
        ("apple-touch-icon.png", False),
    ],
)
def test_only_a_name_with_a_hash_may_be_kept_for_ever(key: str, hashed: bool) -> None:
    assert has_hash(key) is hashed


def test_pages_come_last_and_the_first_page_last_of_all(build: Path) -> None:
    keys = [file.key for file in files_of(build)]
    assert keys[-2:] == ["about/index.html", "index.html"]
    assert {file.key for file in files_of(build)[:3]} == {key for key in keys if has_hash(key)}


def test_every_file_has_its_type_and_how_long_it_may_be_kept(build: Path) -> None:
    found = {file.key: (file.content_type, file.cache_control) for file in files_of(build)}
    assert found["index.html"] == ("text/html; charset=utf-8", ASK_EACH_TIME)
    assert found["static/js/main.3f9a01bc.js"] == ("text/javascript; charset=utf-8", FOR_EVER)
    assert found["manifest.json"] == ("application/json", ASK_EACH_TIME)


def test_what_is_no_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"has no index\.html"):
        files_of(tmp_path)


def test_files_that_open_pages_name_stay_for_a_while(build: Path) -> None:
    there = {
        "index.html": NOW,
        "gone.html": NOW,
        "static/js/main.aaaa1111.js": NOW - timedelta(days=29),
        "static/js/main.bbbb2222.js": NOW - timedelta(days=31),
        "static/js/main.3f9a01bc.js": NOW - timedelta(days=99),
    }
    assert to_remove(there, files_of(build), NOW) == ["gone.html", "static/js/main.bbbb2222.js"]


def test_only_what_may_change_is_invalidated_and_a_lot_of_it_at_once(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = ["/", "/about/index.html", "/favicon.ico", "/gone.html", "/index.html", "/manifest.json"]
    assert to_invalidate(files_of(build), ["gone.html", "static/js/main.bbbb2222.js"]) == paths
    monkeypatch.setattr(web_files, "MOST_PATHS", 5)
    assert to_invalidate(files_of(build), ["gone.html"]) == ["/*"]


class Distribution:
    """CloudFront as far as a release uses it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.waited: list[str] = []

    def create_invalidation(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"Invalidation": {"Id": "I1"}}

    def get_waiter(self, name: str) -> "Distribution":
        assert name == "invalidation_completed"
        return self

    def wait(self, **asked: Any) -> None:
        self.waited.append(asked["Id"])


def released(s3: Any, build: Path, distribution: Distribution) -> dict[str, int]:
    return release(
        s3, distribution, build, bucket=BUCKET, distribution="E1", reference="commit-1", now=datetime.now(UTC)
    )


def test_a_release_puts_everything_in_place_and_waits_for_the_edge(s3: Any, build: Path) -> None:
    # Given what an earlier release left
    s3.put_object(Bucket=BUCKET, Key="gone.html", Body=b"")
    distribution = Distribution()
    # When a build is released
    assert released(s3, build, distribution) == {"put": 7, "removed": 1, "invalidated": 6}
    # Then the bucket has it, with its headers
    keys = {each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert keys == {file.key for file in files_of(build)}
    head = s3.head_object(Bucket=BUCKET, Key="static/css/main.0b1c2d3e.css")
    assert (head["CacheControl"], head["ContentType"]) == (FOR_EVER, "text/css; charset=utf-8")
    # And CloudFront was asked once, and waited for
    assert distribution.asked[0]["InvalidationBatch"]["CallerReference"] == "commit-1"
    assert distribution.waited == ["I1"]


def test_a_release_that_is_repeated_sends_no_hashed_file_again(s3: Any, build: Path) -> None:
    released(s3, build, Distribution())
    assert released(s3, build, Distribution())["put"] == 4
