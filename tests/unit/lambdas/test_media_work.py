"""The work of S3 Batch Operations: where it is taken from, and what became of it."""

from datetime import timedelta
from typing import Any

import boto3
import pytest
from know_me.errors import MediaCopyFailed
from know_me.media_work import seconds_since_start, summarise
from know_me.run_folder import RunFolder

from tests.unit.lambdas.conftest import NOW, Stubbed, execution
from tests.unit.lambdas.test_steps import call

CANDIDATE = "new-media"
SURVEY = {
    "objects": 12,
    "bytes": 700,
    "storage_classes": {
        "STANDARD": {"objects": 9, "bytes": 300},
        "STANDARD_IA": {"objects": 2, "bytes": 100},
        "GLACIER_IR": {"objects": 0, "bytes": 0},
    },
    "large_objects": 1,
    "archived": 0,
}
LARGE = [{"key": "film.mp4", "size": 300, "etag": "e", "storage_class": "STANDARD"}]


@pytest.fixture
def surveyed(folder: RunFolder) -> RunFolder:
    """A run that has surveyed the old bucket, and an empty new one."""
    boto3.client("s3").create_bucket(Bucket=CANDIDATE)
    folder.write("media/survey.json", SURVEY)
    folder.write("media/large-objects.json", LARGE)
    return folder


def planned(**change: Any) -> Any:
    base = {"run_id": "run-1", "phase": "ahead", "candidate_bucket": CANDIDATE, "versions": "current"}
    return call("plan_media_copy", **{**base, "compared": False, **change})


@pytest.mark.parametrize("sentinel", [False, True])
def test_an_empty_bucket_needs_what_the_survey_found(surveyed: RunFolder, sentinel: bool) -> None:
    # Given a new bucket with at most what the migration itself put there
    if sentinel:
        boto3.client("s3").put_object(Bucket=CANDIDATE, Key=".know-me/run-1/sentinel", Body=b"")
    # When the copy is planned, then there is a job for each class that has objects, without a list
    assert planned() == {
        "needs_comparison": False,
        "batch_jobs": [
            {"name": "standard", "storage_class": "STANDARD", "objects": 9, "manifest": None},
            {"name": "standard-ia", "storage_class": "STANDARD_IA", "objects": 2, "manifest": None},
        ],
        "large_objects": 1,
    }
    # And the phase has its documents
    assert surveyed.read("media/ahead/large-objects.json") == LARGE
    assert (surveyed.read("media/ahead/work.json") or {})["objects"] == 12


@pytest.mark.parametrize("why", ["something is there", "old versions move along"])
def test_anything_else_is_compared_first(surveyed: RunFolder, why: str) -> None:
    if why == "something is there":
        boto3.client("s3").put_object(Bucket=CANDIDATE, Key="media/a.jpg", Body=b"")
        answer = planned()
    else:
        answer = planned(versions="all")
    assert answer == {"needs_comparison": True, "batch_jobs": [], "large_objects": 0}
    assert surveyed.read("media/ahead/work.json") is None


def test_after_the_comparison_its_work_is_the_plan(surveyed: RunFolder) -> None:
    manifest = {"key": "runs/run-1/media/ahead/manifest-STANDARD.csv", "etag": "e"}
    job = {"name": "standard", "storage_class": "STANDARD", "objects": 1, "manifest": manifest}
    surveyed.write(
        "media/ahead/work.json", {"batch_jobs": [job], "large_objects": 2, "objects": 3, "bytes": 4}
    )
    assert planned(compared=True) == {"needs_comparison": False, "batch_jobs": [job], "large_objects": 2}


@pytest.mark.parametrize(("compared", "missing"), [(False, "survey.json"), (True, "work.json")])
def test_work_that_nobody_found_is_a_failure(folder: RunFolder, compared: bool, missing: str) -> None:
    boto3.client("s3").create_bucket(Bucket=CANDIDATE)
    with pytest.raises(MediaCopyFailed, match=missing):
        planned(compared=compared)


def judged(name: str, attempt: int, **figures: int) -> dict[str, Any]:
    return {"name": name, "attempt": attempt, "job_id": f"{name}-{attempt}", "retry": None, **figures}


def test_a_second_attempt_is_added_to_the_first(folder: RunFolder) -> None:
    # Given a job with three failures, of which a second one copied one and found two gone
    first = judged("standard", 1, total=10, succeeded=7, failed=3, gone=0)
    second = judged("standard", 2, total=3, succeeded=1, failed=0, gone=2)
    folder.write("media/ahead/batch/standard-1.json", first)
    folder.write("media/ahead/batch/standard-2.json", second)
    folder.write("media/ahead/verification.json", {"objects": 8, "bytes": 80, "copied": 2, "removed": 1})
    # When the phase is summed up
    summary = summarise(folder, "ahead", 12.5)
    # Then the job is one, named by its first attempt
    assert [job.model_dump() for job in summary.batch_jobs] == [
        {
            "name": "standard",
            "job_id": "standard-1",
            "total": 10,
            "succeeded": 8,
            "failed": 0,
            "retried": 3,
            "gone": 2,
        }
    ]
    assert (summary.copied_by_batch, summary.copied_directly, summary.removed) == (8, 2, 1)
    assert (summary.objects, summary.bytes, summary.seconds) == (8, 80, 12.5)


def test_large_objects_count_for_the_phase_that_copied_them(folder: RunFolder) -> None:
    # Given two that were copied ahead, and one that changed and was copied again
    for name in ("a", "b"):
        folder.write(f"media/large-copied/{name}.json", {})
    folder.write("media/ahead/copy.json", summarise(folder, "ahead", None))
    folder.write("media/large-copied/a-changed.json", {})
    assert summarise(folder, "final", None).large_objects == 1


def test_a_phase_that_only_caught_up_has_no_batch_jobs(folder: RunFolder) -> None:
    folder.write("media/final/verification.json", {"objects": 8, "bytes": 80, "copied": 3, "removed": 0})
    summary = summarise(folder, "final", None)
    assert (summary.batch_jobs, summary.copied_by_batch, summary.copied_directly) == ([], 0, 3)


def test_a_phase_takes_as_long_as_its_execution_has_run(stubbed: Stubbed) -> None:
    arn = execution("move-media", "run-1-move-media")
    stubbed.expect(
        "stepfunctions",
        "describe_execution",
        {"executionArn": arn},
        {
            "executionArn": arn,
            "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:x",
            "name": "run-1-move-media",
            "status": "RUNNING",
            "startDate": NOW,
        },
    )
    states = stubbed.client("stepfunctions")
    assert seconds_since_start(states, arn, NOW + timedelta(seconds=90)) == 90
    stubbed.refuse("stepfunctions", "describe_execution", "ExecutionDoesNotExist", {"executionArn": arn})
    assert seconds_since_start(states, arn, NOW) is None
