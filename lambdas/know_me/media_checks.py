"""What S3 knows about the media before a migration starts; the job `survey` looks into the bucket."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from know_me.aws import error_code
from know_me.checks import Check, Surroundings, either, finding, project_exists
from know_me.findings import Finding
from know_me.manifest import MediaGeneration
from know_me.names import media_bucket

ABSENT = ("404", "NoSuchBucket")
REFUSED = ("403", "AccessDenied")


def _source(around: Surroundings) -> MediaGeneration:
    """Return the bucket that the app uses now."""
    if around.migration.source_bucket is None:
        raise ValueError("these checks are for migrations that move the media")
    return around.migration.source_bucket


def bucket_exists(around: Surroundings) -> Iterator[Finding]:
    """The old bucket must be there, and ours."""
    bucket = _source(around).bucket
    answer = _answer(around, bucket)
    yield either(
        bucket,
        answer != "ours",
        "The bucket exists",
        "The bucket does not exist" if answer == "absent" else "The bucket may not be looked at",
        "Start provision, which brings the environment to what Terraform describes",
    )


def versioning_is_on(around: Surroundings) -> Iterator[Finding]:
    """Versions are the way back from whatever deletes or overwrites."""
    bucket = _source(around).bucket
    status = around.client("s3").get_bucket_versioning(Bucket=bucket).get("Status", "off")
    yield either(
        bucket,
        status != "Enabled",
        "Versioning is on",
        f"Versioning is {status.lower()}",
        "Start provision, which turns it on",
    )


def changes_are_heard(around: Surroundings) -> Iterator[Finding]:
    """While the app runs, what changes during the copy is known by events alone."""
    bucket = _source(around).bucket
    if not around.migration.copy_ahead:
        yield finding(bucket, "skipped", "Nothing is copied while the app runs")
        return
    configured = around.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    yield either(
        bucket,
        "EventBridgeConfiguration" not in configured,
        "The bucket tells EventBridge what changes",
        "The bucket does not tell EventBridge what changes",
        "Start provision, which turns it on, or migrate with copy_ahead: false",
    )


def candidate_name_is_free(around: Surroundings) -> Iterator[Finding]:
    """Names of buckets are shared by everybody: Terraform could not make one that somebody else has."""
    migration = around.migration
    bucket = media_bucket(migration.environment, str(migration.media_candidate), around.manifest.account_id)
    published = migration.media_candidate in around.manifest.media.generations
    answer = _answer(around, bucket)
    if answer == "refused":
        yield finding(bucket, "failed", "Somebody else has a bucket of this name", "Name another `candidate`")
    elif answer == "ours" and not published:
        yield finding(
            bucket,
            "warning",
            "A bucket of this name exists, but Terraform has not published it",
            "Should Terraform refuse to make it: delete it if nobody needs it, or name another `candidate`",
        )
    else:
        yield finding(
            bucket,
            "passed",
            "An earlier run began to fill it; this one goes on with it" if published else "The name is free",
        )


def _answer(around: Surroundings, bucket: str) -> str:
    """Return whether a bucket is `absent`, `refused` (somebody else's) or `ours`."""
    try:
        around.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=around.manifest.account_id)
    except ClientError as error:
        if error_code(error) in ABSENT:
            return "absent"
        if error_code(error) in REFUSED:
            return "refused"
        raise
    return "ours"


def media_jobs_exist(around: Surroundings) -> Iterator[Finding]:
    """The build that compares and copies what changed."""
    yield project_exists(around, around.manifest.builds.media_jobs, "media jobs")


MEDIA_CHECKS: dict[str, Check] = {
    "media bucket": bucket_exists,
    "media versions": versioning_is_on,
    "media changes": changes_are_heard,
    "new media bucket": candidate_name_is_free,
    "media jobs": media_jobs_exist,
}
"""When the media moves."""
