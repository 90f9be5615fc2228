"""Which objects a job is about: a CSV manifest, or a list that the job makes of a bucket.

Exact: the CSV format with the fields `Bucket`, `Key`, `VersionId` and `Ignore`, keys URL-encoded (`+` is a
space), the ETag check, the filters of a generator, the words of "Reading the manifest is forbidden" and
"Manifest generation found no keys", that a generator needs `s3:PutInventoryConfiguration` on the source
bucket (https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-create-job.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshooting-batch-operations.html).
Not documented by AWS, chosen here: failure codes; a generated list names current objects without their
version, so each task copies the object as it is when the task runs; an empty CSV manifest fails the job.
"""

import csv
import datetime
import hashlib
import io
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from localaws.s3.backend import Backend
from localaws.s3.content import Object
from localaws.s3control.acting import ActingRole
from localaws.s3control.jobs import Job, JobFailure

GENERATED_FORMAT = "S3InventoryReport_CSV_20211130"


@dataclass(frozen=True)
class Task:
    """One object to copy; `version` is None for the latest one, and empty when the manifest forgot it."""

    bucket: str
    key: str
    version: str | None = None


def encode(key: str) -> str:
    """Return a key as S3 writes it into CSV files."""
    return quote_plus(key, safe="/")


def bucket_of(arn: str) -> str:
    """Return the bucket that an ARN names, of the bucket itself or of an object in it."""
    return arn.split(":", 5)[5].partition("/")[0]


def tasks_of(job: Job, backend: Backend, role: ActingRole) -> list[Task]:
    """Return the tasks of a job, and write the generated manifest when the job asks for it.

    Raises
    ------
    JobFailure
        The manifest cannot be had.
    """
    if "Manifest" in job.request:
        return _read(job.request["Manifest"], backend, role)
    generator = job.request["ManifestGenerator"]["S3JobManifestGenerator"]
    tasks = list(_generate(generator, backend, role))
    if not tasks:
        raise JobFailure(
            "ManifestGenerationFailed", "Manifest generation found no keys matching the filter criteria."
        )
    if generator["EnableManifestOutput"]:
        _write(job, generator, tasks, backend, role)
    return tasks


# -- given -------------------------------------------------------------------------------------------------


def _read(manifest: Mapping[str, Any], backend: Backend, role: ActingRole) -> list[Task]:
    location = manifest["Location"]
    name, key = bucket_of(location["ObjectArn"]), location["ObjectArn"].split("/", 1)[1]
    version = location.get("ObjectVersionId")
    bucket = backend.buckets.get(name)
    if bucket is None:
        raise JobFailure("ManifestNotFound", f"The bucket {name} of the manifest does not exist.")
    if not role.may("GetObjectVersion" if version else "GetObject", bucket, key):
        raise JobFailure("ManifestForbidden", "Reading the manifest is forbidden: AccessDenied")
    found = backend.get_object(name, key, version_id=version)
    if found is None:
        raise JobFailure("ManifestNotFound", f"The manifest s3://{name}/{key} does not exist.")
    etag = found.etag.strip('"')
    if etag != location["ETag"].strip('"'):
        raise JobFailure(
            "ManifestETagMismatch",
            f"The manifest s3://{name}/{key} has the ETag {etag}; the job was made for {location['ETag']}.",
        )
    try:
        text = found.value.decode()
    except UnicodeDecodeError as error:
        raise JobFailure("InvalidManifestContent", "The manifest is not UTF-8.") from error
    tasks = list(parse(text, manifest["Spec"]["Fields"]))
    if not tasks:
        raise JobFailure("InvalidManifestContent", "The manifest is empty.")
    return tasks


def parse(text: str, fields: list[str]) -> Iterator[Task]:
    """Yield the tasks of a CSV manifest.

    Parameters
    ----------
    text:
        The manifest.
    fields:
        What its columns are.

    Raises
    ------
    JobFailure
        A row has too few columns.
    """
    bucket, key = fields.index("Bucket"), fields.index("Key")
    version = fields.index("VersionId") if "VersionId" in fields else None
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), start=1):
        if not row:
            continue
        if len(row) < len(fields):
            raise JobFailure(
                "InvalidManifestContent",
                f"Row {number} of the manifest has {len(row)} columns instead of {', '.join(fields)}",
            )
        yield Task(row[bucket], unquote_plus(row[key]), None if version is None else row[version])


# -- generated ---------------------------------------------------------------------------------------------

Constraint = Callable[[str, Collection[str]], bool]

KEY_NAMES: dict[str, Constraint] = {
    "MatchAnyPrefix": lambda key, texts: key.startswith(tuple(texts)),
    "MatchAnySuffix": lambda key, texts: key.endswith(tuple(texts)),
    "MatchAnySubstring": lambda key, texts: any(text in key for text in texts),
}

FILTERS: dict[str, Callable[[Object, Any], bool]] = {
    "CreatedAfter": lambda found, time: _utc(found.last_modified) > _utc(time),
    "CreatedBefore": lambda found, time: _utc(found.last_modified) < _utc(time),
    "KeyNameConstraint": lambda found, wanted: all(
        KEY_NAMES[name](found.name, texts) for name, texts in wanted.items()
    ),
    "MatchAnyStorageClass": lambda found, classes: found.storage_class in classes,
    "ObjectSizeGreaterThanBytes": lambda found, size: found.size > size,
    "ObjectSizeLessThanBytes": lambda found, size: found.size < size,
}
"""Filter of a generator → does the object pass; all that are given must."""


def _utc(moment: datetime.datetime) -> datetime.datetime:
    """Return a time with its zone; moto's are UTC without saying so."""
    return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment


def _generate(generator: Mapping[str, Any], backend: Backend, role: ActingRole) -> Iterator[Task]:
    name = bucket_of(generator["SourceBucket"])
    bucket = backend.buckets.get(name)
    if bucket is None:
        raise JobFailure("ManifestGenerationFailed", f"The source bucket {name} does not exist.")
    if not role.may("PutInventoryConfiguration", bucket):
        raise JobFailure(
            "ManifestGenerationForbidden",
            f"{role.arn} may not call s3:PutInventoryConfiguration on {bucket.arn}, which listing it takes.",
        )
    wanted = generator.get("Filter") or {}
    for key in sorted(bucket.keys):
        found = backend.get_object(name, key)  # None: the latest version is a delete marker
        if found is not None and all(FILTERS[kind](found, value) for kind, value in wanted.items()):
            yield Task(name, key)


def _write(
    job: Job, generator: Mapping[str, Any], tasks: list[Task], backend: Backend, role: ActingRole
) -> None:
    """Write the list as an inventory report: a CSV file and the `manifest.json` that names it."""
    location = generator["ManifestOutputLocation"]
    name = bucket_of(location["Bucket"])
    folder = "/".join(
        part for part in (location.get("ManifestPrefix", "").strip("/"), f"job-{job.job_id}") if part
    )
    body = "".join(f'"{task.bucket}","{encode(task.key)}"\n' for task in tasks).encode()
    data, manifest = f"{folder}/data/{uuid.uuid4()}.csv", f"{folder}/manifest.json"
    document = {
        "sourceBucket": bucket_of(generator["SourceBucket"]),
        "destinationBucket": location["Bucket"],
        "version": "2021-11-30",
        "creationTimestamp": str(int(job.created_at.timestamp() * 1000)),
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key",
        "files": [{"key": data, "size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()}],  # noqa: S324
    }
    bucket = backend.buckets.get(name)
    if bucket is None or not all(role.may("PutObject", bucket, key) for key in (data, manifest)):
        raise JobFailure(
            "ManifestOutputForbidden", f"{role.arn} may not write the manifest to s3://{name}/{folder}."
        )
    backend.put_object(name, data, body)
    written = backend.put_object(name, manifest, json.dumps(document).encode())
    job.generated_manifest = {
        "Format": GENERATED_FORMAT,
        "Location": {"ObjectArn": f"{bucket.arn}/{manifest}", "ETag": written.etag.strip('"')},
    }
