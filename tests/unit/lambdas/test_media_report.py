"""The media in the report: what was copied when, what proves it, and what is left to do."""

import gzip
import json
from typing import Any

import boto3
import pytest
from know_me.generations import Generations
from know_me.media_report import NAMED, compose_media
from know_me.reports import Facts, Report, compose, message, render
from know_me.run_folder import RunFolder

from tests.unit.lambdas.conftest import ACCOUNT, BUCKET, NOW, bucket

REQUEST = {"candidate": None, "media_candidate": "green", "source_bucket": bucket("blue")}
COPY = {
    "phase": "ahead",
    "batch_jobs": [
        {
            "name": "standard",
            "job_id": "job-<1>",
            "total": 1200,
            "succeeded": 1199,
            "failed": 0,
            "retried": 2,
            "gone": 1,
        }
    ],
    "large_objects": 1,
    "copied_by_batch": 1199,
    "copied_directly": 4,
    "removed": 0,
}
VERIFICATION = {
    "verdict": "equal",
    "objects": 1203,
    "bytes": 5 * 1024**2,
    "compared_by": {"etag": 1202, "checksum": 1, "content": 0, "size": 0},
    "metadata_sample": {"asked": 1000, "compared": 1000},
    "differences": [],
    "changed": 15,
}


def generations(**media: Any) -> Generations:
    return Generations.model_validate({"database": {"active": "blue", "all": {"blue": {}}}, "media": media})


SWITCHED = generations(active="green", all={"blue": {}, "green": {}})


@pytest.fixture
def full(folder: RunFolder) -> RunFolder:
    """The folder of a run that moved the media."""
    folder.write("request.json", REQUEST)
    folder.write(
        "generations-before.json", generations(active="blue", all={"blue": {}, "green": {"unfinished": True}})
    )
    folder.write("media/ahead/copy.json", COPY)
    final = {**COPY, "batch_jobs": [], "large_objects": 0, "copied_by_batch": 0, "copied_directly": 12}
    folder.write("media/final/copy.json", {**final, "removed": 3})
    folder.write("media/final/verification.json", VERIFICATION)
    folder.write(
        "media/final/cross-check.json",
        {"paths": 900, "present": 898, "missing_before": 2, "newly_missing": []},
    )
    missing(folder, "media/<lost>.jpg", "media/b.jpg")
    folder.write(
        "media/look-back.json",
        {
            "objects": 1203,
            "bytes": 5 * 1024**2,
            "copied_late": ["media/late.jpg"],
            "differences": [],
            "unreferenced": {"objects": 7, "bytes": 70},
            "paths": 900,
        },
    )
    job = {"job": "catch-up", "status": "succeeded", "seconds": 3.0, "figures": {"copied": 12}}
    folder.write("jobs/final-catch-up.json", job)
    return folder


def missing(folder: RunFolder, *keys: str) -> None:
    """Write the list of files that were missing ahead."""
    body = gzip.compress("".join(f"{json.dumps(key)}\n" for key in keys).encode())
    boto3.client("s3").put_object(Bucket=BUCKET, Key=folder.key("media/ahead/missing.jsonl.gz"), Body=body)


def report_of(folder: RunFolder, now: Generations = SWITCHED, **change: Any) -> Report:
    base = {"run_id": "run-1", "environment": "staging", "runbook": "migrate", "outcome": "migrated"}
    return compose(Facts.model_validate({**base, **change}), folder, [], now, ACCOUNT, NOW)


def test_what_was_copied_is_told_by_when_it_was_copied(full: RunFolder) -> None:
    media = compose_media(full, REQUEST, "staging", ACCOUNT)
    assert media is not None
    assert (media.copied_ahead, media.copied_while_stopped, media.removed) == (1204, 12, 3)
    assert (media.objects, media.large_objects) == (1203, 1)
    assert media.batch_jobs[0]["job_id"] == "job-<1>"
    assert (media.old_bucket, media.new_bucket) == (bucket("blue")["bucket"], bucket("green")["bucket"])


def test_files_that_were_missing_before_are_named_as_far_as_anybody_reads(full: RunFolder) -> None:
    missing(full, *(f"k{number}" for number in range(NAMED + 9)))
    media = compose_media(full, REQUEST, "staging", ACCOUNT)
    assert media is not None and media.cross_check is not None
    assert len(media.cross_check.missing_before_names) == NAMED


def test_media_that_stay_are_not_in_the_report(full: RunFolder) -> None:
    request = {"candidate": "green", "media_candidate": None, "source_bucket": None}
    assert compose_media(full, request, "staging", ACCOUNT) is None


def test_a_copy_that_ended_before_it_was_summed_up_has_a_report_too(folder: RunFolder) -> None:
    # Given a run that had no more than its survey
    folder.write("request.json", REQUEST)
    folder.write("media/survey.json", {"objects": 5, "bytes": 50})
    media = compose_media(folder, REQUEST, "staging", ACCOUNT)
    # Then what is known is told, and the page can be rendered
    assert media is not None
    assert (media.objects, media.copied_ahead, media.verification, media.look_back) == (5, 0, None, None)
    assert "Old bucket" in render(report_of(folder))


def test_the_page_shows_the_proof_and_escapes_what_it_shows(full: RunFolder) -> None:
    page = render(report_of(full))
    for expected in (
        "staging runs on the new bucket green; nothing is missing there.",
        "job-&lt;1&gt;",
        "media/&lt;lost&gt;.jpg",
        "etag (1,202)",
        "checksum (1)",
        "15 keys that events named",
        "a sample of 1000 was",
        "900 files; 898 are in the new bucket, 2 were missing before",
        "7 objects (70 bytes) that no row refers to",
        "media/late.jpg",
        "final-catch-up",
    ):
        assert expected in page, expected
    assert "<lost>" not in page


def test_a_full_listing_and_a_whole_sample_are_called_that(full: RunFolder) -> None:
    sample = {"asked": "all", "compared": 1203}
    full.write("media/final/verification.json", {**VERIFICATION, "changed": None, "metadata_sample": sample})
    page = render(report_of(full))
    assert "Both buckets were listed in full." in page
    assert "1,203 objects (all were asked for)" in page


def test_differences_are_listed(full: RunFolder) -> None:
    difference = {"kind": "metadata", "key": "media/x.jpg", "detail": "camera: one, two"}
    full.write(
        "media/final/verification.json",
        {**VERIFICATION, "verdict": "different", "differences": [difference]},
    )
    page = render(report_of(full, outcome="failed"))
    assert "media/x.jpg" in page and "camera: one, two" in page


def test_what_is_left_to_do_names_the_old_bucket_and_what_was_odd(full: RunFolder) -> None:
    to_do = report_of(full).to_do
    assert f"The old bucket {bucket('blue')['bucket']} still exists" in to_do[0]
    assert any("one object reached the old bucket so late" in item for item in to_do)
    assert any("Rows refer to 2 files" in item for item in to_do)
    assert not any("database" in item for item in to_do)


def test_the_notification_says_how_much_there_is(full: RunFolder) -> None:
    _, text = message(report_of(full))
    assert f"The new bucket {bucket('green')['bucket']} has 1,203 objects (5.0 MiB)." in text


@pytest.mark.parametrize(
    ("unfinished", "words"),
    [(True, "keeps what was copied: the next migration goes on with it"), (False, "exists, unused")],
)
def test_a_return_says_what_becomes_of_the_new_bucket(full: RunFolder, unfinished: bool, words: str) -> None:
    now = generations(active="blue", all={"blue": {}, "green": {"unfinished": unfinished}})
    way_back = {"touched": True, "media_candidate": "green", "media_candidate_fate": "kept"}
    report = report_of(full, now, runbook="return", outcome="returned", way_back=way_back)
    assert report.sentence == "The migration failed; staging runs on the old bucket blue again."
    assert report.to_do[0] == f"The bucket green {words}" + (
        "." if unfinished else ": delete it when the reason is found."
    )
    assert ("unfinished</td>" in render(report)) is unfinished
