"""Completion reports of S3 Batch Operations, and what follows from them.

A report is `job-<id>/manifest.json` below the prefix that the job was given; it names CSV files without
headers: bucket, key (URL-encoded), version, task status, error code, HTTP status, message (Amazon S3 User
Guide, "Examples: S3 Batch Operations completion reports"). They are read line by line: a job may have
millions of tasks.
"""

import csv
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Literal
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError
from pydantic import BaseModel, Field

from know_me.aws import error_code
from know_me.errors import MediaCopyFailed
from know_me.media_work import JudgedJob, Phase, batch_document
from know_me.run_folder import RunFolder
from know_me.wording import counted

NAMED = 20
"""How many objects a cause names; all of them are in the run folder."""

AT_ONCE = 16
"""How many objects are looked at in the old bucket at the same time."""

IN_MEMORY = 16 * 1024**2


class Progress(BaseModel):
    """How many tasks a job had, as DescribeJob counts them."""

    total: int = Field(default=0, alias="TotalNumberOfTasks")
    succeeded: int = Field(default=0, alias="NumberOfTasksSucceeded")
    failed: int = Field(default=0, alias="NumberOfTasksFailed")


class CopyJob(BaseModel):
    """A job of S3 Batch Operations that has ended."""

    phase: Phase
    name: str
    attempt: Literal[1, 2]
    job_id: str
    source_bucket: str
    storage_class: str
    status: str
    failure_reasons: list[dict[str, Any]] | None = None
    progress: Progress = Progress()

    @property
    def report(self) -> str:
        """Where its completion report is, in the run folder."""
        retry = "-retry" if self.attempt == 2 else ""
        return f"media/{self.phase}/reports/{self.name}{retry}/job-{self.job_id}/manifest.json"


class FailedTask(BaseModel):
    """An object that was not copied; `encoded` is its key as the report has it."""

    bucket: str
    encoded: str
    error: str
    status: str
    message: str

    @property
    def key(self) -> str:
        """The object's key."""
        return unquote_plus(self.encoded)


def judge(s3: Any, folder: RunFolder, job: CopyJob) -> JudgedJob:
    """Return what became of a job and keep it in the run folder; what failed goes into a second manifest.

    Raises
    ------
    MediaCopyFailed
        The job did not end well, or objects that the old bucket still has could not be copied twice.
    """
    if job.status != "Complete":
        raise _unsuccessful(s3, folder, job)
    total, failed = job.progress.total, job.progress.failed
    tasks = failed_tasks(s3, folder, job) if failed else iter(())
    retry, gone = None, 0
    if failed and job.attempt == 1:
        retry = {**_write_retry(s3, folder, job, tasks), "objects": failed}
    elif failed:
        twice = list(tasks)
        missing = _still_missing(s3, job.source_bucket, twice)
        if missing:
            raise _refuse(folder, job, missing)
        gone, failed = len(twice), 0
    judged = JudgedJob(retry=retry, total=total, succeeded=job.progress.succeeded, failed=failed, gone=gone)
    folder.write(
        batch_document(job.phase, job.name, job.attempt),
        {"name": job.name, "attempt": job.attempt, "job_id": job.job_id, **judged.model_dump()},
    )
    return judged


def failed_tasks(s3: Any, folder: RunFolder, job: CopyJob) -> Iterator[FailedTask]:
    """Yield what a job's completion report names as failed.

    Raises
    ------
    MediaCopyFailed
        There is no report.
    """
    report = folder.read(job.report)
    if report is None:
        raise MediaCopyFailed(
            f"The batch job {job.job_id} left no completion report ({folder.address}/{job.report}).",
            "Look at the job in the S3 console, then start the migration again.",
        )
    for result in report["Results"]:
        if str(result["TaskExecutionStatus"]).lower() == "succeeded":
            continue
        body = s3.get_object(Bucket=result["Bucket"], Key=result["Key"])["Body"]
        lines = (line.decode() for line in body.iter_lines(keepends=True))
        for bucket, key, _version, status, *answer, message in csv.reader(lines):
            if status.lower() == "failed":
                # The schema names the error code before the HTTP status, the examples after it.
                answer.sort(key=str.isdigit)
                error, http_status = answer
                yield FailedTask(bucket=bucket, encoded=key, error=error, status=http_status, message=message)


def _write_retry(s3: Any, folder: RunFolder, job: CopyJob, tasks: Iterator[FailedTask]) -> dict[str, str]:
    """Write the manifest of the second job; return its key and ETag."""
    key = folder.key(f"media/{job.phase}/retry-{job.name}.csv")
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as manifest:
        for task in tasks:
            manifest.write(f"{task.bucket},{task.encoded}\n".encode())
        manifest.seek(0)
        answer = s3.put_object(Bucket=folder.bucket, Key=key, Body=manifest, ContentType="text/csv")
    return {"key": key, "etag": answer["ETag"].strip('"')}


def _still_missing(s3: Any, bucket: str, failed: list[FailedTask]) -> list[FailedTask]:
    """Return what the old bucket still has; what was deleted meanwhile is not missing."""

    def exists(task: FailedTask) -> bool:
        try:
            s3.head_object(Bucket=bucket, Key=task.key)
        except ClientError as error:
            return error_code(error) not in ("404", "NoSuchKey", "NotFound")  # refused is not gone
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [task for task, there in zip(failed, pool.map(exists, failed), strict=True) if there]


def _refuse(folder: RunFolder, job: CopyJob, missing: list[FailedTask]) -> MediaCopyFailed:
    name = f"media/{job.phase}/failed-{job.name}.json"
    folder.write(
        name, [{"key": task.key, **task.model_dump(exclude={"bucket", "encoded"})} for task in missing]
    )
    named = _named(missing[:NAMED])
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return MediaCopyFailed(
        f"{counted(len(missing), 'object')} of {job.source_bucket} could not be copied in two attempts: "
        f"{named}{more}. All of them are in {folder.address}/{name}.",
        "Solve what is named (the role of S3 Batch Operations must be allowed to read each object), then "
        "start the migration again: what is copied is not copied twice.",
    )


def _named(tasks: list[FailedTask]) -> str:
    return ", ".join(f"{task.key} ({task.error} {task.message})" for task in tasks)


def _unsuccessful(s3: Any, folder: RunFolder, job: CopyJob) -> MediaCopyFailed:
    reasons = "; ".join(
        f"{reason.get('FailureCode', '')} {reason.get('FailureReason', '')}".strip()
        for reason in job.failure_reasons or []
    )
    how = {"Cancelled": "was cancelled", "Failed": "failed"}.get(job.status, f"ended as {job.status}")
    reported = folder.read(job.report) is not None  # a job that failed before its first task has no report
    named = _named(list(islice(failed_tasks(s3, folder, job), NAMED))) if reported else ""
    return MediaCopyFailed(
        f"The batch job {job.job_id} ({job.storage_class} objects) {how}{': ' + reasons if reasons else ''}."
        f"{' Not copied, among others: ' + named + '.' if named else ''}",
        "When the reason is gone, start the migration again: what is copied is not copied twice.",
    )
