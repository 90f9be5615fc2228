"""The job `survey`: list the old bucket once before anything is copied; say what a copy would meet."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from job_support.findings import Finding, failed, passed, skipped, warning
from job_support.performance import Figures
from job_support.progress import now

from media_jobs.access_lists import examine_access_lists
from media_jobs.context import JobContext
from media_jobs.errors import NAMED, named
from media_jobs.listing import listing
from media_jobs.objects import History, current, large_object

RESTORED_DAYS = 14
"""How long the restore command of a finding keeps the copy that can be read."""


@dataclass
class Survey:
    """What a bucket holds, counted in constant memory but for the large objects."""

    limit: int
    objects: int = 0
    bytes: int = 0
    class_objects: Counter[str] = field(default_factory=Counter)
    class_bytes: Counter[str] = field(default_factory=Counter)
    large: list[dict[str, Any]] = field(default_factory=list)
    archived: int = 0
    archived_keys: list[tuple[str, str | None]] = field(default_factory=list)

    def add(self, key: str, history: History) -> None:
        """Count a key."""
        # With all versions, an old archived one cannot be copied either.
        for version in history:
            if not version.readable:
                self.archived += 1
                if len(self.archived_keys) < NAMED:
                    self.archived_keys.append((key, version.version_id))
        version_now = current(history)
        if version_now is None:
            return
        self.objects += 1
        self.bytes += version_now.size
        if version_now.size > self.limit:
            self.large.append(large_object(key, version_now))
        else:
            self.class_objects[version_now.storage_class] += 1
            self.class_bytes[version_now.storage_class] += version_now.size

    def document(self) -> dict[str, Any]:
        """Return `survey.json`."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "storage_classes": {
                name: {"objects": count, "bytes": self.class_bytes[name]}
                for name, count in sorted(self.class_objects.items())
            },
            "large_objects": len(self.large),
            "archived": self.archived,
            "at": now(),
        }


def run(context: JobContext) -> Figures:
    """Write `media/survey.json`, `media/large-objects.json` and `findings/media.json`."""
    survey = Survey(context.inputs.single_copy_limit_bytes)
    context.progress.start("list the old bucket", 0, "objects")
    for key, history in listing(context.s3, context.source, context.inputs.versions):
        survey.add(key, history)
        context.progress.add(1)
    context.progress.start("list the old bucket", survey.objects, "objects")
    context.progress.finish()
    context.folder.write_json("media/survey.json", survey.document())
    context.write_large_objects(survey.large)
    findings = [
        passed("media objects", context.source, f"{survey.objects:,} objects, {survey.bytes:,} bytes."),
        archived(context.source, survey),
        *bucket_settings(context.s3, context.source),
        *examine_access_lists(context),
    ]
    context.folder.write_json("findings/media.json", [finding.model_dump() for finding in findings])
    return {
        "objects": survey.objects,
        "bytes": survey.bytes,
        "large_objects": len(survey.large),
        "archived": survey.archived,
        "failed": sum(finding.result == "failed" for finding in findings),
    }


def archived(bucket: str, survey: Survey) -> Finding:
    """Return the finding about objects that cannot be read before they are restored."""
    check = "archived media"
    if not survey.archived:
        return passed(check, bucket, "No object is archived.")
    commands = [restore_command(bucket, key, version) for key, version in survey.archived_keys]
    return failed(
        check,
        bucket,
        f"{survey.archived:,} objects are archived and cannot be copied before they are restored: "
        f"{named([key for key, _ in survey.archived_keys], survey.archived)}.",
        "Restore them, wait until S3 has done it (hours), and start again: " + "; ".join(commands),
    )


def restore_command(bucket: str, key: str, version_id: str | None) -> str:
    """Return the command that makes an archived object readable, quoted for a shell."""
    quoted = "'" + key.replace("'", "'\\''") + "'"
    version = f" --version-id {version_id}" if version_id and version_id != "null" else ""
    return (
        f"aws s3api restore-object --bucket {bucket} --key {quoted}{version} "
        f"--restore-request Days={RESTORED_DAYS}"
    )


def bucket_settings(s3: Any, bucket: str) -> list[Finding]:
    """Return the findings about the bucket's own settings."""
    return [versioning(s3, bucket), object_lock(s3, bucket), requester_pays(s3, bucket)]


def versioning(s3: Any, bucket: str) -> Finding:
    """Return the finding about versioning, without which a deletion by mistake is final."""
    status = s3.get_bucket_versioning(Bucket=bucket).get("Status", "never enabled")
    if status == "Enabled":
        return passed("media versioning", bucket, "Versioning is enabled.")
    command = f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
    return failed(
        "media versioning", bucket, f"Versioning of the bucket is {status.lower()}.", f"Enable it: {command}"
    )


def object_lock(s3: Any, bucket: str) -> Finding:
    """Return the finding about Object Lock, whose retention a copy does not take along."""
    check = "object lock"
    try:
        found = s3.get_object_lock_configuration(Bucket=bucket).get("ObjectLockConfiguration", {})
    except ClientError as error:
        if error.response["Error"]["Code"] != "ObjectLockConfigurationNotFoundError":
            raise
        found = {}
    if found.get("ObjectLockEnabled") != "Enabled":
        return passed(check, bucket, "Object Lock is off.")
    return warning(
        check,
        bucket,
        "Object Lock is on: retention and legal holds of objects do not move along.",
        "Set them on the new bucket after the migration, and keep the old bucket until then.",
    )


def requester_pays(s3: Any, bucket: str) -> Finding:
    """Return the finding about Requester Pays, which refuses requests that do not offer to pay."""
    check = "requester pays"
    try:
        payer = s3.get_bucket_request_payment(Bucket=bucket)["Payer"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "NotImplemented"):
            raise
        return skipped(check, bucket, f"Who pays could not be read: {error.response['Error']['Code']}.")
    if payer == "BucketOwner":
        return passed(check, bucket, "The owner of the bucket pays for requests.")
    command = (
        f"aws s3api put-bucket-request-payment --bucket {bucket} "
        "--request-payment-configuration Payer=BucketOwner"
    )
    return failed(
        check,
        bucket,
        "The requester pays, and the app and the copy do not offer to.",
        f"Change it: {command}",
    )
