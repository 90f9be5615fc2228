"""The completion report of a job: `<prefix>/job-<id>/manifest.json` and a CSV file each for what succeeded
and failed.

Exact: the manifest with MD5 checksums and schema; the names `job-<id>/results/<40 hexadecimal digits>.csv`;
URL-encoded keys; FailedTasksOnly; "The job report could not be written to your report bucket."; no report
when no task ran (https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-examples-reports.html). The
columns stand as in every example of AWS's documentation: the HTTP status before the error code, although
`ReportSchema` names them the other way round (`…,failed,400,InvalidRequest,Task failed due to missing
VersionId`).
Not exact: AWS splits the results of large jobs into several files; here each kind has one.
"""

import csv
import datetime
import hashlib
import io
import json
from collections.abc import Iterable

from localaws.s3.backend import Backend
from localaws.s3control.acting import ActingRole
from localaws.s3control.copying import Outcome
from localaws.s3control.jobs import Job, JobFailure
from localaws.s3control.manifests import Task, bucket_of, encode

FORMAT = "Report_CSV_20180820"
SCHEMA = "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"

Result = tuple[Task, Outcome]


def rows(results: Iterable[Result]) -> str:
    """Return the CSV file of some results."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for task, outcome in results:
        status = "succeeded" if outcome.succeeded else "failed"
        writer.writerow(
            (
                task.bucket,
                encode(task.key),
                task.version or "",
                status,
                outcome.status,
                outcome.code,
                outcome.message,
            )
        )
    return text.getvalue()


def write(job: Job, results: list[Result], backend: Backend, role: ActingRole) -> None:
    """Write the report that a job asked for.

    Raises
    ------
    JobFailure
        The role may not write it, or the bucket does not exist.
    """
    asked = job.request["Report"]
    if not asked["Enabled"] or not results:
        return
    name = bucket_of(asked["Bucket"])
    folder = "/".join(part for part in (asked.get("Prefix", "").strip("/"), f"job-{job.job_id}") if part)
    kinds = {"failed": [result for result in results if not result[1].succeeded]}
    if asked["ReportScope"] == "AllTasks":
        kinds = {"succeeded": [result for result in results if result[1].succeeded], **kinds}
    files: dict[str, bytes] = {}
    listed = []
    for kind, chosen in kinds.items():
        if not chosen:
            continue
        body = rows(chosen).encode()
        key = f"{folder}/results/{hashlib.sha1(f'{job.job_id} {kind}'.encode()).hexdigest()}.csv"  # noqa: S324
        files[key] = body
        checksum = hashlib.md5(body).hexdigest()  # noqa: S324 - AWS's choice
        listed.append({"TaskExecutionStatus": kind, "Bucket": name, "MD5Checksum": checksum, "Key": key})
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    manifest = {"Format": FORMAT, "ReportCreationDate": now, "Results": listed, "ReportSchema": SCHEMA}
    files[f"{folder}/manifest.json"] = json.dumps(manifest).encode()
    bucket = backend.buckets.get(name)
    if bucket is None or not all(role.may("PutObject", bucket, key) for key in files):
        raise JobFailure(
            "ReportForbidden",
            "The job report could not be written to your report bucket. Please check your permissions.",
        )
    for key, body in files.items():
        backend.put_object(name, key, body)
