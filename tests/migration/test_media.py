"""Media buckets that move: in whole migrations, and copy by copy when things go wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.migration.media import LARGE, PHOTOS, STORIES, Copy
from tests.migration.scenarios import Facts

Story = Callable[[str], Any]

INTERRUPTED = ("denied", "cancelled", "failing", "dying")
"""Copies that fail, and are started once more."""


@pytest.fixture
def told(story: Story) -> Callable[[str], Any]:
    """What one story of the media saw."""

    def tell(name: str) -> Any:
        seen = story("media_copies")[name]
        if isinstance(seen, Exception):
            raise seen
        return seen

    return tell


pytestmark = pytest.mark.scenario("media_copies")


def test_every_story_is_told(story: Story) -> None:
    assert set(story("media_copies")) == set(STORIES)


def test_fifty_thousand_objects_and_a_large_one_are_copied(told: Story) -> None:
    seen = told("many")
    ahead: Copy = seen["ahead"]
    assert ahead.execution.status == "SUCCEEDED", ahead.execution
    assert seen["first"] == {"equal": True, "objects": 50_001}
    # The large one travelled in parts, with its headers; its ETag tells of the parts.
    source, candidate = seen["large"]
    assert {**source, "ETag": None} == {**candidate, "ETag": None}
    assert candidate["ContentType"] == "video/mp4" and candidate["Metadata"] == {"camera": "one"}


def test_an_object_is_copied_with_one_request(told: Story) -> None:
    # Given everything that was asked of S3 while 50,001 objects were copied and compared
    seen = told("many")
    requests, buckets = seen["requests"], seen["buckets"]
    both = (buckets.source, buckets.candidate)
    small = f"{buckets.candidate['bucket']}/{PHOTOS}"
    # Then each small object was copied once, and nothing else was asked about it
    copies = requests.count("CopyObject", buckets.candidate)
    assert len([key for key in copies if key.startswith(small)]) == 50_000
    assert max(copies.values()) == 1
    for action in ("HeadObject", "GetObject", "GetObjectTagging", "GetObjectAttributes", "PutObject"):
        asked = {key.partition("/")[2] for key in requests.count(action, *both)}
        assert not {key for key in asked if key.startswith(PHOTOS)}, action
    # And the large one in three parts of at most 8 MiB
    assert requests.count("UploadPartCopy", buckets.candidate) == {
        f"{buckets.candidate['bucket']}/{LARGE}": 3
    }


def test_while_the_app_is_stopped_only_what_changed_is_copied(told: Story) -> None:
    seen = told("many")
    final: Copy = seen["final"]
    assert final.execution.status == "SUCCEEDED", final.execution
    verification = final.documents["verification.json"]
    assert verification["heard"] is True
    # 7 changed, 5 new, 3 deleted
    assert verification["changed"] == 15
    assert (verification["copied"], verification["removed"]) == (12, 3)
    assert seen["equal"]


def test_objects_deleted_and_overwritten_while_they_are_copied_end_as_they_are(told: Story) -> None:
    seen = told("moving")
    assert seen["copy"].execution.status == "SUCCEEDED", seen["copy"].execution
    assert seen["equal"]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("denied", "denied.jpg"),
        ("cancelled", "cancelled"),
        ("failing", "AccessDenied"),
        ("dying", "holiday.mp4"),
    ],
)
def test_a_copy_that_fails_names_what_is_missing(told: Story, name: str, named: str) -> None:
    failed: Copy = told(name)["failed"]
    assert failed.execution.status == "FAILED"
    assert named.lower() in str(failed.execution.cause).lower(), failed.execution


@pytest.mark.parametrize("name", INTERRUPTED)
def test_a_second_copy_succeeds_and_copies_nothing_twice(told: Story, name: str) -> None:
    seen = told(name)
    assert seen["second"].execution.status == "SUCCEEDED", seen["second"].execution
    assert seen["equal"]
    assert seen["copied_again"] == []


@pytest.mark.scenario("media_alone")
def test_the_media_moves_alone(story: Story) -> None:
    facts: Facts = story("media_alone")
    assert facts.execution.status == "SUCCEEDED", facts.execution
    # The database stayed, the bucket is another one, and nothing that was acknowledged is missing.
    assert facts.after == facts.before
    assert facts.extra["media_after"] != facts.extra["media_before"]
    assert facts.extra["refusal"] == "AccessDenied"
    assert facts.reconciliation.agrees, facts.reconciliation
    assert facts.healthy
    assert "Move the database" not in facts.states("migrate")


@pytest.mark.scenario("database_alone")
def test_the_database_moves_alone(story: Story) -> None:
    facts: Facts = story("database_alone")
    assert facts.execution.status == "SUCCEEDED", facts.execution
    assert facts.after != facts.before
    assert facts.extra["media_after"] == facts.extra["media_before"]
    assert facts.reconciliation.agrees, facts.reconciliation
    assert facts.healthy
    assert not [visit for visit in facts.visits if visit.runbook == "move-media"]


@pytest.mark.scenario("media_differs")
def test_a_media_copy_that_fails_while_the_app_is_stopped_returns_both_stores(story: Story) -> None:
    facts: Facts = story("media_differs")
    assert facts.execution.status == "FAILED"
    assert facts.execution.error in ("MediaCopyFailed", "MediaJobFailed", "VerificationFailed"), (
        facts.execution
    )
    assert facts.extra["media_after"] == facts.extra["media_before"]
    assert facts.after == facts.before
    assert facts.extra["refusal"] is None
    assert facts.reconciliation.agrees, facts.reconciliation
    assert facts.healthy
    assert facts.lock is None


@pytest.mark.scenario("media_differs", "media_again")
def test_the_next_run_takes_up_the_unfinished_bucket(story: Story) -> None:
    failed, facts = story("media_differs"), story("media_again")
    assert facts.execution.status == "SUCCEEDED", facts.execution
    assert facts.extra["media_after"] == failed.extra["media_candidate"]
    assert facts.reconciliation.agrees, facts.reconciliation
