"""Access lists of the old bucket: the new one has none, so what they allow has to be in its bucket policy."""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError
from job_support.findings import Finding, passed, warning

from media_jobs.context import JobContext
from media_jobs.errors import named
from media_jobs.listing import GONE, listing
from media_jobs.objects import current
from media_jobs.workers import workers

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
PUBLIC = "static/"
"""What everybody may read by the new bucket's policy."""

CHECK = "media access lists"


def examine_access_lists(context: JobContext) -> list[Finding]:
    """Return the findings about access lists; each object is asked only where lists have an effect."""
    s3, bucket = context.s3, context.source
    if not lists_count(s3, bucket):
        return [passed(CHECK, bucket, "Access lists have no effect in this bucket.")]
    context.progress.start("read the access lists", context.expected_objects(), "objects")
    mapped, outside = public_objects(context)
    findings = [
        passed(
            CHECK,
            bucket,
            f"{mapped:,} public objects below {PUBLIC}: the new bucket's policy opens them all.",
        )
    ]
    if outside:
        findings.append(
            warning(
                CHECK,
                bucket,
                f"{len(outside):,} objects outside {PUBLIC} are public by their access lists and will not be "
                f"in the new bucket: {named(outside)}.",
                f"Move what has to stay public below {PUBLIC}, or serve it through the app.",
            )
        )
    if opens_to_everybody(s3.get_bucket_acl(Bucket=bucket)["Grants"]):
        findings.append(
            warning(
                CHECK,
                bucket,
                "The bucket's own access list lets everybody list or write it; the new bucket does not.",
                "See that nobody relies on it.",
            )
        )
    return findings


def lists_count(s3: Any, bucket: str) -> bool:
    """Whether access lists of objects say who may read them.

    Not when the owner enforces ownership, nor when public lists are ignored
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html).
    """
    rules = _or_none(
        lambda: s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"],
        "OwnershipControlsNotFoundError",
    )
    if any(rule["ObjectOwnership"] == "BucketOwnerEnforced" for rule in rules or ()):
        return False
    block = _or_none(
        lambda: s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
        "NoSuchPublicAccessBlockConfiguration",
    )
    return not (block or {}).get("IgnorePublicAcls", False)


def public_objects(context: JobContext) -> tuple[int, list[str]]:
    """Return how many objects are public below `static/`, and the keys of those that are outside."""
    lock = threading.Lock()
    inside, outside = 0, list[str]()

    def look(key: str) -> None:
        nonlocal inside
        try:
            grants = context.s3.get_object_acl(Bucket=context.source, Key=key)["Grants"]
        except ClientError as error:
            if error.response["Error"]["Code"] in GONE:
                return
            raise
        context.progress.add(1)
        if opens_to_everybody(grants):
            with lock:
                if key.startswith(PUBLIC):
                    inside += 1
                else:
                    outside.append(key)

    with workers() as pool:
        for key, history in listing(context.s3, context.source, "current"):
            if current(history):
                pool.submit(look, key)
    return inside, sorted(outside)


def opens_to_everybody(grants: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an access list grants anything to everybody."""
    return any(grant["Grantee"].get("URI") == ALL_USERS for grant in grants)


def _or_none(call: Any, code: str) -> Any:
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] == code:
            return None
        raise
