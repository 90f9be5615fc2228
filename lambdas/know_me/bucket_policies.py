"""The fence of a media bucket: one statement of its policy by which nobody but the migration writes.

Changes are pure functions from policy to policy; whatever else a policy says is kept as it is.
"""

import json
from typing import Any

from botocore.exceptions import ClientError

from know_me.aws import error_code

FENCE = "OnlyMigrationsWrite"
"""Sid of the statement. Terraform puts the same one on every generation that is not active (section 4a)."""

WRITES = (
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectTagging",
    "s3:RestoreObject",
)

Policy = dict[str, Any]


def fence_statement(bucket_arn: str, principals: list[str]) -> dict[str, Any]:
    """Return the statement that denies everybody but the principals to write."""
    return {
        "Sid": FENCE,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(WRITES),
        "Resource": f"{bucket_arn}/*",
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": principals}},
    }


def with_statement(policy: Policy | None, statement: dict[str, Any]) -> Policy:
    """Return the policy with a statement, in place of one with the same Sid."""
    current = without_statement(policy, statement["Sid"]) or {"Version": "2012-10-17"}
    return {**current, "Statement": [*_statements(current), statement]}


def without_statement(policy: Policy | None, sid: str) -> Policy | None:
    """Return the policy without a statement; None when nothing is left, for S3 has no empty policies."""
    if policy is None or not has_statement(policy, sid):
        return policy
    left = [statement for statement in _statements(policy) if statement.get("Sid") != sid]
    return {**policy, "Statement": left} if left else None


def has_statement(policy: Policy | None, sid: str) -> bool:
    """Whether a policy has a statement of this Sid."""
    return any(statement.get("Sid") == sid for statement in _statements(policy or {}))


def _statements(policy: Policy) -> list[dict[str, Any]]:
    """Return the statements; IAM allows a single one to stand without a list."""
    statements = policy.get("Statement", [])
    return [statements] if isinstance(statements, dict) else statements


def read_policy(s3: Any, bucket: str) -> Policy | None:
    """Read a bucket's policy, None when it has none."""
    try:
        policy: Policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    except ClientError as error:
        if error_code(error) == "NoSuchBucketPolicy":
            return None
        raise
    return policy


def replace_policy(s3: Any, bucket: str, before: Policy | None, after: Policy | None) -> bool:
    """Write a bucket's policy when it differs; return whether it did."""
    if after == before:
        return False
    if after is None:
        s3.delete_bucket_policy(Bucket=bucket)
    else:
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(after))
    return True


def fence(s3: Any, bucket: str, principals: list[str]) -> bool:
    """Let nobody but the principals write to a bucket; return whether that was new."""
    partition = principals[0].split(":")[1] if principals else "aws"
    before = read_policy(s3, bucket)
    statement = fence_statement(f"arn:{partition}:s3:::{bucket}", principals)
    if before is not None and statement in _statements(before):
        return False
    return replace_policy(s3, bucket, before, with_statement(before, statement))


def lift_fence(s3: Any, bucket: str) -> bool:
    """Let everybody write to a bucket whom its policy otherwise lets; return whether that was new."""
    before = read_policy(s3, bucket)
    return replace_policy(s3, bucket, before, without_statement(before, FENCE))
