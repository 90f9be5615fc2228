"""The fence of a bucket: put up and taken down, and nothing else of the policy touched."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as some
from know_me.bucket_policies import (
    FENCE,
    fence_statement,
    has_statement,
    with_statement,
    without_statement,
)
from know_me.run_folder import RunFolder

from tests.unit.lambdas.conftest import COPY_ROLE, manifest_document, put_parameter
from tests.unit.lambdas.test_steps import call

BUCKET = "know-me-staging-media-blue-123456789012"
STATEMENT = fence_statement(f"arn:aws:s3:::{BUCKET}", [COPY_ROLE])
TLS = {
    "Sid": "OnlyTls",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}

STATEMENTS = some.fixed_dictionaries(
    {"Effect": some.sampled_from(["Allow", "Deny"]), "Action": some.text(min_size=1)},
    optional={"Sid": some.text(max_size=8).filter(lambda sid: sid != FENCE)},
)
POLICIES = some.none() | some.fixed_dictionaries(
    {"Version": some.sampled_from(["2012-10-17", "2008-10-17"])},
    optional={"Id": some.text(max_size=8)},
).flatmap(
    lambda head: some.lists(STATEMENTS, min_size=1, max_size=4).map(
        lambda statements: {**head, "Statement": statements}
    )
)


@given(POLICIES)
def test_putting_the_fence_up_and_taking_it_down_leaves_the_policy_as_it_was(
    policy: dict[str, Any] | None,
) -> None:
    fenced = with_statement(policy, STATEMENT)
    assert has_statement(fenced, FENCE)
    assert without_statement(fenced, FENCE) == policy


@given(POLICIES)
def test_both_are_safe_to_repeat(policy: dict[str, Any] | None) -> None:
    fenced = with_statement(policy, STATEMENT)
    assert with_statement(fenced, STATEMENT) == fenced
    assert without_statement(policy, FENCE) == policy


@given(POLICIES)
def test_a_fence_with_other_principals_is_replaced(policy: dict[str, Any] | None) -> None:
    older = with_statement(policy, fence_statement(f"arn:aws:s3:::{BUCKET}", ["arn:other"]))
    assert with_statement(older, STATEMENT) == with_statement(policy, STATEMENT)


def test_a_single_statement_without_a_list_is_kept() -> None:
    fenced = with_statement({"Version": "2012-10-17", "Statement": TLS}, STATEMENT)
    assert fenced["Statement"] == [TLS, STATEMENT]


def test_the_statement_is_that_of_the_contract() -> None:
    expected = {
        "Sid": "OnlyMigrationsWrite",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
            "s3:PutObject",
            "s3:PutObjectTagging",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:DeleteObjectTagging",
            "s3:RestoreObject",
        ],
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": [COPY_ROLE]}},
    }
    assert fence_statement(f"arn:aws:s3:::{BUCKET}", [COPY_ROLE]) == expected


@pytest.fixture
def bucket(folder: RunFolder) -> Iterator[Any]:
    """The old bucket, in an environment with a manifest."""
    put_parameter("manifest", manifest_document())
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    yield s3


def policy_of(s3: Any) -> dict[str, Any] | None:
    try:
        policy: dict[str, Any] = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    except ClientError:
        return None
    return policy


@pytest.mark.parametrize("policy", [None, {"Version": "2012-10-17", "Statement": [TLS]}])
def test_writes_are_stopped_and_allowed_again(bucket: Any, policy: dict[str, Any] | None) -> None:
    # Given a bucket with or without a policy
    if policy:
        bucket.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    # When writes are stopped, twice, then the policy says so once, with the manifest's principals
    assert call("stop_media_writes", run_id="run-1", bucket=BUCKET) == {"changed": True}
    assert call("stop_media_writes", run_id="run-1", bucket=BUCKET) == {"changed": False}
    found = policy_of(bucket) or {}
    (fence,) = [statement for statement in found["Statement"] if statement["Sid"] == FENCE]
    principals = manifest_document()["media"]["migration_principals"]
    assert fence["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": principals}}
    # When they are allowed, twice, then the policy is what it was
    assert call("allow_media_writes", run_id="run-1", bucket=BUCKET) == {"changed": True}
    assert call("allow_media_writes", run_id="run-1", bucket=BUCKET) == {"changed": False}
    assert policy_of(bucket) == policy


def test_the_fence_is_recorded_before_it_is_put_up(bucket: Any, folder: RunFolder) -> None:
    # Given a bucket whose policy cannot be written
    bucket.delete_bucket(Bucket=BUCKET)
    with pytest.raises(ClientError):
        call("stop_media_writes", run_id="run-1", bucket=BUCKET)
    # Then a return knows all the same that there may be a fence
    assert folder.read("media/fence.json")["bucket"] == BUCKET
