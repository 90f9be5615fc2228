"""Put a build of the web app into its bucket, and make CloudFront ask for it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from release_jobs.web_files import FOR_EVER, WebFile, files_of, to_invalidate, to_remove

WORKERS = 16
MOST_KEYS = 1000
"""Of one DeleteObjects."""


def release(
    s3: Any,
    cloudfront: Any,
    directory: Path,
    *,
    bucket: str,
    distribution: str | None,
    reference: str,
    now: datetime,
) -> dict[str, int]:
    """Release a build; safe to repeat.

    Parameters
    ----------
    distribution : str, optional
        Id of the CloudFront distribution in front of the bucket.
    reference : str
        By which CloudFront knows a repeated request.

    Returns
    -------
    dict
        How many files were put, removed and invalidated.
    """
    files = files_of(directory)
    there = _listed(s3, bucket)

    def put(file: WebFile) -> None:
        with file.path.open("rb") as body:
            s3.put_object(
                Bucket=bucket,
                Key=file.key,
                Body=body,
                ContentType=file.content_type,
                CacheControl=file.cache_control,
            )

    # A name with a hash that is there has the same content: only what is new is sent, before any page.
    hashed = [file for file in files if file.cache_control == FOR_EVER and file.key not in there]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(put, hashed))
    others = [file for file in files if file.cache_control != FOR_EVER]
    for file in others:
        put(file)
    removed = to_remove(there, files, now)
    for start in range(0, len(removed), MOST_KEYS):
        keys = [{"Key": key} for key in removed[start : start + MOST_KEYS]]
        _check(s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True}))
    paths = to_invalidate(files, removed)
    if distribution:
        _invalidate(cloudfront, distribution, paths, reference)
    return {"put": len(hashed) + len(others), "removed": len(removed), "invalidated": len(paths)}


def _listed(s3: Any, bucket: str) -> dict[str, datetime]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {found["Key"]: found["LastModified"] for page in pages for found in page.get("Contents", [])}


def _check(answer: dict[str, Any]) -> None:
    for error in answer.get("Errors", []):
        raise PermissionError(
            f"S3 did not delete {error['Key']}: {error['Code']}, {error.get('Message', '')}"
        )


def _invalidate(cloudfront: Any, distribution: str, paths: list[str], reference: str) -> None:
    made = cloudfront.create_invalidation(
        DistributionId=distribution,
        InvalidationBatch={
            "Paths": {"Quantity": len(paths), "Items": paths},
            "CallerReference": reference,
        },
    )
    # The release is over when every edge location has the new pages.
    cloudfront.get_waiter("invalidation_completed").wait(
        DistributionId=distribution,
        Id=made["Invalidation"]["Id"],
        WaiterConfig={"Delay": 5, "MaxAttempts": 240},
    )
