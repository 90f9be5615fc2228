"""The survey names what a copy would meet before anything is copied."""

import shlex
from collections.abc import Callable
from typing import Any

from media_jobs import survey
from media_jobs.context import JobContext

from tests.unit.media_jobs.conftest import CANDIDATE, SOURCE

Make = Callable[..., JobContext]


def surveyed(context: JobContext) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Run the job; return `survey.json` and the findings by check, the worst of each."""
    survey.run(context)
    worst: dict[str, dict[str, Any]] = {}
    order = ("passed", "skipped", "warning", "failed")
    for finding in sorted(
        context.folder.read_json("findings/media.json") or [], key=lambda item: order.index(item["result"])
    ):
        worst[finding["check"]] = finding
    return context.folder.read_json("media/survey.json") or {}, worst


def test_objects_are_counted_by_storage_class_and_own_keys_are_not(buckets: Any, context: Make) -> None:
    # Given
    buckets.put_object(Bucket=SOURCE, Key="media/a", Body=b"12345")
    buckets.put_object(Bucket=SOURCE, Key="media/b", Body=b"123", StorageClass="STANDARD_IA")
    buckets.put_object(Bucket=SOURCE, Key=".know-me/sentinel", Body=b"x")
    # When
    document, findings = surveyed(context())
    # Then
    assert (document["objects"], document["bytes"], document["archived"]) == (2, 8, 0)
    assert document["storage_classes"] == {
        "STANDARD": {"objects": 1, "bytes": 5},
        "STANDARD_IA": {"objects": 1, "bytes": 3},
    }
    assert {finding["result"] for finding in findings.values()} == {"passed"}


def test_archived_objects_fail_with_the_command_that_restores_them(buckets: Any, context: Make) -> None:
    # Given keys that a shell would take apart
    for key, storage_class in (("media/old $HOME.jpg", "GLACIER"), ("media/it's.jpg", "DEEP_ARCHIVE")):
        buckets.put_object(Bucket=SOURCE, Key=key, Body=b"ice", StorageClass=storage_class)
    buckets.put_object(Bucket=SOURCE, Key="media/instant", Body=b"cool", StorageClass="GLACIER_IR")
    # When
    document, findings = surveyed(context())
    # Then
    assert document["archived"] == 2
    assert findings["archived media"]["result"] == "failed"
    commands = findings["archived media"]["remedy"].partition("again: ")[2].split("; ")
    keys = [shlex.split(command)[shlex.split(command).index("--key") + 1] for command in commands]
    assert sorted(keys) == ["media/it's.jpg", "media/old $HOME.jpg"]


def test_an_archived_old_version_fails_when_all_versions_move(buckets: Any, context: Make) -> None:
    # Given an object whose older version is archived
    version = buckets.put_object(Bucket=SOURCE, Key="media/a", Body=b"ice", StorageClass="GLACIER")
    buckets.put_object(Bucket=SOURCE, Key="media/a", Body=b"water")
    # When, Then
    assert surveyed(context())[1]["archived media"]["result"] == "passed"
    finding = surveyed(context(versions="all"))[1]["archived media"]
    assert finding["result"] == "failed"
    assert f"--version-id {version['VersionId']}" in finding["remedy"]


def test_objects_above_the_limit_are_listed_for_the_copy_in_parts(buckets: Any, context: Make) -> None:
    # Given
    buckets.put_object(Bucket=SOURCE, Key="media/film", Body=b"x" * 11)
    buckets.put_object(Bucket=SOURCE, Key="media/photo", Body=b"x" * 10)
    # When
    run = context(single_copy_limit_bytes=10)
    document, _ = surveyed(run)
    # Then
    assert document["large_objects"] == 1
    assert [item["key"] for item in run.folder.read_json("media/large-objects.json") or []] == ["media/film"]


def test_a_bucket_without_versions_fails_with_the_command_that_enables_them(
    buckets: Any, context: Make
) -> None:
    # Given
    buckets.put_bucket_versioning(Bucket=SOURCE, VersioningConfiguration={"Status": "Suspended"})
    # When
    finding = surveyed(context())[1]["media versioning"]
    # Then
    assert finding["result"] == "failed"
    assert f"put-bucket-versioning --bucket {SOURCE}" in finding["remedy"]


def test_public_objects_outside_static_are_named(buckets: Any, context: Make) -> None:
    # Given a bucket whose access lists count
    buckets.put_bucket_ownership_controls(
        Bucket=SOURCE, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    buckets.put_object(Bucket=SOURCE, Key="static/logo.svg", Body=b"x", ACL="public-read")
    buckets.put_object(Bucket=SOURCE, Key="media/open.jpg", Body=b"x", ACL="public-read")
    buckets.put_object(Bucket=SOURCE, Key="media/own.jpg", Body=b"x")
    # When
    finding = surveyed(context())[1]["media access lists"]
    # Then
    assert finding["result"] == "warning"
    assert "media/open.jpg" in finding["message"] and "own.jpg" not in finding["message"]


def test_access_lists_without_effect_are_not_read(buckets: Any, context: Make) -> None:
    # Given a bucket whose owner enforces ownership
    buckets.put_object(Bucket=SOURCE, Key="media/open.jpg", Body=b"x", ACL="public-read")
    # When, Then
    assert surveyed(context())[1]["media access lists"]["result"] == "passed"


def test_the_candidate_is_not_touched(buckets: Any, context: Make) -> None:
    buckets.put_object(Bucket=SOURCE, Key="media/a", Body=b"1")
    surveyed(context())
    assert "Contents" not in buckets.list_objects_v2(Bucket=CANDIDATE)
