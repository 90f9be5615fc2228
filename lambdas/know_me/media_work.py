"""The work of S3 Batch Operations in one phase of a media copy, and what became of it."""

from typing import Any, Literal

from pydantic import BaseModel

from know_me.errors import MediaCopyFailed
from know_me.executions import describe_execution
from know_me.run_folder import RunFolder

Phase = Literal["ahead", "final"]

OWN_KEYS = ".know-me/"
"""What lies below it is the migration's own (sentinels): never counted, copied or compared."""


class ManifestOfKeys(BaseModel):
    """A CSV of keys in the artifacts bucket."""

    key: str
    etag: str


class BatchJob(BaseModel):
    """What one job of S3 Batch Operations is to copy; without a manifest it makes its own."""

    name: str
    storage_class: str
    objects: int
    manifest: ManifestOfKeys | None = None


class Work(BaseModel):
    """`work.json`."""

    batch_jobs: list[BatchJob] = []
    large_objects: int = 0
    objects: int = 0
    bytes: int = 0


class Plan(BaseModel):
    """What `plan_media_copy` returns."""

    needs_comparison: bool
    batch_jobs: list[BatchJob] = []
    large_objects: int = 0


class JudgedJob(BaseModel):
    """What became of one attempt of a batch job; what failed is repeated once by a second one (`retry`)."""

    retry: dict[str, Any] | None
    total: int
    succeeded: int
    failed: int
    gone: int


def plan(
    s3: Any, folder: RunFolder, phase: Phase, candidate_bucket: str, versions: str, *, compared: bool
) -> Plan:
    """Return the batch jobs and how many large objects there are.

    The survey is enough for a candidate that is empty: everything has to be copied. Otherwise the job
    `compare` has to say what is missing; also when old versions move along, for S3 Batch Operations copies in
    no order.

    Raises
    ------
    MediaCopyFailed
        The job that should have found the work left no document.
    """
    if compared:
        work = Work.model_validate(_found(folder, f"media/{phase}/work.json"))
        return Plan(needs_comparison=False, batch_jobs=work.batch_jobs, large_objects=work.large_objects)
    if versions != "current" or not is_empty(s3, candidate_bucket):
        return Plan(needs_comparison=True)
    survey, large = _found(folder, "media/survey.json"), _found(folder, "media/large-objects.json")
    jobs = [
        BatchJob(
            name=storage_class.lower().replace("_", "-"), storage_class=storage_class, objects=held["objects"]
        )
        for storage_class, held in sorted(survey["storage_classes"].items())
        if held["objects"]
    ]
    work = Work(batch_jobs=jobs, large_objects=len(large), objects=survey["objects"], bytes=survey["bytes"])
    folder.write(f"media/{phase}/work.json", work)
    folder.write(f"media/{phase}/large-objects.json", large)
    return Plan(needs_comparison=False, batch_jobs=jobs, large_objects=len(large))


def is_empty(s3: Any, bucket: str) -> bool:
    """Whether a bucket has no object but the migration's own."""
    return not any(
        not item["Key"].startswith(OWN_KEYS)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for item in page.get("Contents", [])
    )


def _found(folder: RunFolder, name: str) -> Any:
    document = folder.read(name)
    if document is None:
        raise MediaCopyFailed(
            f"{folder.address}/{name} does not exist: what has to be copied is not known.",
            "Start the migration again.",
        )
    return document


def batch_document(phase: Phase, name: str, attempt: int) -> str:
    """Return the name of the document with what became of an attempt of a batch job."""
    return f"media/{phase}/batch/{name}-{attempt}.json"


class BatchFigures(BaseModel):
    """A batch job in `copy.json`."""

    name: str
    job_id: str
    total: int
    succeeded: int
    failed: int
    retried: int
    gone: int


class CopySummary(BaseModel):
    """`copy.json`."""

    phase: Phase
    batch_jobs: list[BatchFigures]
    large_objects: int
    copied_by_batch: int
    copied_directly: int
    removed: int
    objects: int | None
    bytes: int | None
    seconds: float | None


def summarise(folder: RunFolder, phase: Phase, seconds: float | None) -> CopySummary:
    """Put together what the steps and jobs of a phase left in the run folder."""
    jobs = _batch_figures(folder, phase)
    verification = folder.read(f"media/{phase}/verification.json") or {}
    before = (folder.read("media/ahead/copy.json") or {}).get("large_objects", 0) if phase == "final" else 0
    return CopySummary(
        phase=phase,
        batch_jobs=jobs,
        large_objects=sum(1 for _ in folder.names("media/large-copied/")) - before,
        copied_by_batch=sum(job.succeeded for job in jobs),
        copied_directly=verification.get("copied", 0),
        removed=verification.get("removed", 0),
        objects=verification.get("objects"),
        bytes=verification.get("bytes"),
        seconds=seconds,
    )


def _batch_figures(folder: RunFolder, phase: Phase) -> list[BatchFigures]:
    attempts = [folder.read(name) for name in folder.names(f"media/{phase}/batch/")]
    first = {item["name"]: item for item in attempts if item and item["attempt"] == 1}
    second = {item["name"]: item for item in attempts if item and item["attempt"] == 2}
    return [
        BatchFigures(
            name=name,
            job_id=item["job_id"],
            total=item["total"],
            succeeded=item["succeeded"] + second.get(name, {}).get("succeeded", 0),
            failed=second.get(name, item)["failed"],
            retried=second.get(name, {}).get("total", 0),
            gone=second.get(name, item)["gone"],
        )
        for name, item in sorted(first.items())
    ]


def seconds_since_start(states: Any, arn: str, now: Any) -> float | None:
    """Return for how long an execution has run; None when there is none of this name."""
    execution = describe_execution(states, arn)
    return None if execution is None else round((now - execution.started_at).total_seconds(), 3)
