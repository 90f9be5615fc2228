"""Files that rows refer to: missing before is told, newly missing fails the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from job_support.errors import JobError
from media_jobs import cross_check, key_list
from media_jobs.context import JobContext

from tests.unit.media_jobs.conftest import CANDIDATE, SOURCE

Make = Callable[..., JobContext]


def keep(run: JobContext, name: str, keys: list[str], directory: Path) -> None:
    run.folder.upload(key_list.write(directory / "list.gz", sorted(keys)), name)


def test_paths_since_the_copy_ahead_are_looked_for(buckets: Any, context: Make, tmp_path: Path) -> None:
    # Given a path that the copy ahead saw, one that came since, one that nobody has, and one too long for S3
    run = context(phase="final")
    for bucket in (SOURCE, CANDIDATE):
        buckets.put_object(Bucket=bucket, Key="media/new.jpg", Body=b"x")
    keep(run, "media/ahead/files.jsonl.gz", ["media/early.jpg", "media/lost.jpg"], tmp_path)
    keep(run, "media/ahead/missing.jsonl.gz", ["media/lost.jpg"], tmp_path)
    final = ["media/early.jpg", "media/lost.jpg", "media/new.jpg", "media/nobody.jpg", "media/" + "é" * 600]
    keep(run, "media/final/files.jsonl.gz", final, tmp_path)
    # When
    cross_check.run(run)
    # Then
    assert run.folder.read_json("media/final/cross-check.json") == {
        "paths": 5,
        "present": 2,
        "missing_before": 3,
        "newly_missing": [],
    }


def test_a_file_that_only_the_old_bucket_has_fails_the_run_by_its_name(
    buckets: Any, context: Make, tmp_path: Path
) -> None:
    # Given
    run = context(phase="final")
    buckets.put_object(Bucket=SOURCE, Key="media/forgotten.jpg", Body=b"x")
    keep(run, "media/final/files.jsonl.gz", ["media/forgotten.jpg"], tmp_path)
    # When
    with pytest.raises(JobError) as raised:
        cross_check.run(run)
    # Then
    assert raised.value.name == "CrossCheckFailed"
    assert "media/forgotten.jpg" in raised.value.cause
    assert (run.folder.read_json("media/final/cross-check.json") or {})["newly_missing"] == [
        "media/forgotten.jpg"
    ]


def test_a_database_without_file_columns_has_nothing_to_check(context: Make) -> None:
    run = context(phase="final")
    cross_check.run(run)
    assert (run.folder.read_json("media/final/cross-check.json") or {})["paths"] == 0
