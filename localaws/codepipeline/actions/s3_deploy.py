"""Deployment of an artifact to a bucket: https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-S3Deploy.html."""

import mimetypes
from collections.abc import Mapping
from typing import Any

from localaws.codepipeline.actions.work import ActionType, Result, Work


def _check(configuration: Mapping[str, str]) -> list[str]:
    if configuration["Extract"] not in ("true", "false"):
        return ["Extract is neither true nor false"]
    if configuration["Extract"] == "false" and not configuration.get("ObjectKey"):
        return ["ObjectKey is required when Extract is false"]
    return []


def run(work: Work) -> Result:
    """Copy the archive, or each of its files, into the bucket. Nothing is deleted there, as on AWS."""
    wanted, s3 = work.configuration, work.client("s3")
    settings: dict[str, Any] = {
        parameter: wanted[key]
        for key, parameter in (("CannedACL", "ACL"), ("CacheControl", "CacheControl"))
        if key in wanted
    }
    artifact = work.inputs[0]
    bucket, key = wanted["BucketName"], wanted.get("ObjectKey", "").strip("/")
    if wanted["Extract"] == "false":
        body = s3.get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].read()
        s3.put_object(Bucket=bucket, Key=key, Body=body, **settings)
        return Result()
    with work.store.archive(artifact) as archive:
        for name in archive.namelist():
            if name.endswith("/"):
                continue
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            full = f"{key}/{name}" if key else name
            s3.put_object(Bucket=bucket, Key=full, Body=archive.read(name), ContentType=kind, **settings)
    return Result()


TYPE = ActionType(
    "Deploy",
    "S3",
    run,
    frozenset({"BucketName", "Extract"}),
    ("ObjectKey", "CannedACL", "CacheControl"),
    range(1, 2),
    range(1),
    _check,
)
