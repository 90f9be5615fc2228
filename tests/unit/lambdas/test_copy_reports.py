"""Completion reports of S3 Batch Operations: what is tried again, what is gone, and what is missing."""

import csv
import io
import json
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest
from know_me.copy_reports import NAMED
from know_me.errors import MediaCopyFailed
from know_me.run_folder import RunFolder

from tests.unit.lambdas.conftest import BUCKET
from tests.unit.lambdas.test_steps import call

SOURCE = "old-media"
ODD = "media/a + b, 100% é\n.jpg"
Row = tuple[str, str, str, str]


@pytest.fixture
def s3(folder: RunFolder) -> Any:
    client = boto3.client("s3")
    client.create_bucket(Bucket=SOURCE)
    return client


def report(s3: Any, failed: list[Row], attempt: int = 1, succeeded: int = 0) -> None:
    """Write a report as S3 does; a row is key, the two fields of the answer, message."""
    prefix = f"runs/run-1/media/final/reports/standard{'-retry' if attempt == 2 else ''}/job-job-{attempt}"
    kinds = {
        "succeeded": [(f"ok{number}", "200", "", "") for number in range(succeeded)],
        "failed": failed,
    }
    results = []
    for kind, rows in kinds.items():
        text = io.StringIO()
        writer = csv.writer(text)
        for key, one, other, message in rows:
            writer.writerow([SOURCE, quote_plus(key, safe="/"), "", kind, one, other, message])
        s3.put_object(Bucket=BUCKET, Key=f"{prefix}/results/{kind}.csv", Body=text.getvalue().encode())
        results.append({"TaskExecutionStatus": kind, "Bucket": BUCKET, "Key": f"{prefix}/results/{kind}.csv"})
    s3.put_object(
        Bucket=BUCKET, Key=f"{prefix}/manifest.json", Body=json.dumps({"Results": results}).encode()
    )


def judged(total: int, failed: int, attempt: int = 1, status: str = "Complete", **more: Any) -> Any:
    return call(
        "judge_copy_job",
        run_id="run-1",
        phase="final",
        name="standard",
        attempt=attempt,
        job_id=f"job-{attempt}",
        source_bucket=SOURCE,
        storage_class="STANDARD",
        status=status,
        progress={
            "TotalNumberOfTasks": total,
            "NumberOfTasksSucceeded": total - failed,
            "NumberOfTasksFailed": failed,
        },
        **{"failure_reasons": [], **more},
    )


def denied(*keys: str) -> list[Row]:
    return [(key, "403", "AccessDenied", "Access Denied") for key in keys]


def test_a_job_without_failures_needs_no_second_one(s3: Any, folder: RunFolder) -> None:
    expected = {"retry": None, "total": 3, "succeeded": 3, "failed": 0, "gone": 0}
    assert judged(3, 0) == expected
    assert folder.read("media/final/batch/standard-1.json") == {
        "name": "standard",
        "attempt": 1,
        "job_id": "job-1",
        **expected,
    }


def test_what_failed_goes_into_the_manifest_of_a_second_job(s3: Any) -> None:
    # Given a report with an odd key among what failed
    report(s3, denied(ODD, "media/b.jpg"), succeeded=2)
    # When it is judged
    answer = judged(4, 2)
    # Then both, and only they, are in the manifest, their keys encoded as in the report
    assert answer["retry"]["objects"] == 2
    found = s3.get_object(Bucket=BUCKET, Key=answer["retry"]["key"])
    assert answer["retry"]["key"] == "runs/run-1/media/final/retry-standard.csv"
    assert answer["retry"]["etag"] == found["ETag"].strip('"')
    assert found["Body"].read().decode().splitlines() == [
        f"{SOURCE},{quote_plus(ODD, safe='/')}",
        f"{SOURCE},media/b.jpg",
    ]


def test_what_was_deleted_meanwhile_is_not_missing(s3: Any) -> None:
    report(s3, [("media/gone.jpg", "404", "NoSuchKey", "Not Found")], attempt=2)
    assert judged(2, 1, attempt=2) == {"retry": None, "total": 2, "succeeded": 1, "failed": 0, "gone": 1}


@pytest.mark.parametrize("order", [("403", "AccessDenied"), ("AccessDenied", "403")])
def test_what_failed_twice_and_still_exists_is_named(
    s3: Any, folder: RunFolder, order: tuple[str, str]
) -> None:
    # Given an object that is there and one that is gone, neither copied in two attempts
    s3.put_object(Bucket=SOURCE, Key=ODD, Body=b"")
    report(s3, [(ODD, *order, "No"), ("media/gone.jpg", "404", "NoSuchKey", "")], attempt=2)
    # When it is judged, then only the one that is there is missing
    with pytest.raises(MediaCopyFailed) as refused:
        judged(2, 2, attempt=2)
    assert "one object of old-media could not be copied in two attempts" in str(refused.value)
    assert f"{ODD} (AccessDenied No)" in str(refused.value)
    assert "gone.jpg" not in str(refused.value)
    assert folder.read("media/final/failed-standard.json") == [
        {"key": ODD, "error": "AccessDenied", "status": "403", "message": "No"}
    ]


def test_no_more_are_named_than_anybody_reads_and_all_are_kept(s3: Any, folder: RunFolder) -> None:
    keys = [f"media/{number:03}.jpg" for number in range(NAMED + 5)]
    for key in keys:
        s3.put_object(Bucket=SOURCE, Key=key, Body=b"")
    report(s3, denied(*keys), attempt=2)
    with pytest.raises(MediaCopyFailed, match="and 5 more"):
        judged(len(keys), len(keys), attempt=2)
    assert [item["key"] for item in folder.read("media/final/failed-standard.json") or []] == keys


@pytest.mark.parametrize(("status", "words"), [("Failed", "failed"), ("Cancelled", "was cancelled")])
def test_a_job_that_did_not_end_well_says_why(s3: Any, status: str, words: str) -> None:
    reasons = [{"FailureCode": "Threshold", "FailureReason": "Too many tasks failed"}]
    report(s3, denied("media/a.jpg"))
    with pytest.raises(MediaCopyFailed) as refused:
        judged(9, 1, status=status, failure_reasons=reasons)
    message = str(refused.value)
    assert f"job-1 (STANDARD objects) {words}: Threshold Too many tasks failed." in message
    assert "media/a.jpg (AccessDenied Access Denied)" in message


def test_a_job_that_failed_before_its_first_task_has_no_report(s3: Any) -> None:
    with pytest.raises(MediaCopyFailed, match=r"was cancelled\. When the reason is gone"):
        judged(0, 0, status="Cancelled", failure_reasons=None)


def test_failures_without_a_report_are_not_overlooked(s3: Any) -> None:
    with pytest.raises(MediaCopyFailed, match="left no completion report"):
        judged(3, 1)
