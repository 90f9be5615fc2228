"""Whatever an object is, its copy is found equal; whatever is changed in the copy is found and put right."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from media_jobs.objects import OWN_KEYS, Buckets
from media_jobs.properties import default_encryption
from media_jobs.putting_right import PuttingRight
from moto import mock_aws

SOURCE, CANDIDATE = "old-bucket", "new-bucket"
LIMIT = 5 * 1024**3

KEYS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60),
    st.sampled_from(
        ["media/", "a//b", "50% off + more", "snow ☃.jpg", "e\u0301.txt", "\u00e9.txt", "x" * 1024, "a=b&c"]
    ),
)
HEADER_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20).map(lambda name: f"k{name}")
TAG_TEXT = st.text("abcXYZ 019+-=._:/@é", min_size=1, max_size=30).map(str.strip).filter(bool)
OBJECTS = st.fixed_dictionaries(
    {
        "Body": st.binary(max_size=64),
        "Metadata": st.dictionaries(NAMES, HEADER_TEXT, max_size=4),
        "Tags": st.dictionaries(TAG_TEXT, TAG_TEXT, max_size=4),
        "StorageClass": st.sampled_from(["STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING"]),
    },
    optional={
        "ContentType": st.sampled_from(["image/jpeg", "text/html; charset=utf-8", "application/x-own"]),
        "ContentEncoding": st.sampled_from(["gzip", "br"]),
        "ContentLanguage": st.sampled_from(["de", "en-GB"]),
        "ContentDisposition": st.just('attachment; filename="a b.txt"'),
        "CacheControl": st.sampled_from(["no-cache", "max-age=60"]),
    },
)
CHANGES: dict[str, dict[str, Any]] = {
    "body": {"Body": b"something else"},
    "metadata": {"Metadata": {"changed": "yes"}},
    "tags": {"Tagging": "changed=yes"},
    "header": {"ContentType": "changed/type"},
    "storage class": {"StorageClass": "ONEZONE_IA"},
}


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        for bucket in (SOURCE, CANDIDATE):
            client.create_bucket(Bucket=bucket)
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield client


def putting_right(s3: Any) -> PuttingRight:
    return PuttingRight(Buckets(s3, SOURCE, CANDIDATE), "current", LIMIT, default_encryption(s3, CANDIDATE))


def put(s3: Any, bucket: str, key: str, fields: dict[str, Any]) -> None:
    """Put an object; tags are given as a dictionary."""
    s3.put_object(Bucket=bucket, Key=key, **{name: value for name, value in fields.items() if name != "Tags"})
    if fields.get("Tags"):
        tags = [{"Key": name, "Value": value} for name, value in fields["Tags"].items()]
        s3.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": tags})


def everything(s3: Any, bucket: str, key: str) -> dict[str, Any]:
    """Return all that a reader of an object can see, and its tags."""
    answer = s3.get_object(Bucket=bucket, Key=key)
    kept = ("ContentType", "ContentEncoding", "ContentLanguage", "ContentDisposition", "CacheControl")
    tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {
        "body": answer["Body"].read(),
        "headers": {name: answer.get(name) for name in kept},
        "metadata": answer["Metadata"],
        "class": answer.get("StorageClass", "STANDARD"),
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
    }


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, fields=OBJECTS)
def test_a_copy_is_found_equal_to_what_it_is_a_copy_of(s3: Any, key: str, fields: dict[str, Any]) -> None:
    # Given any object
    assume(len(key.encode()) <= 1024 and not key.startswith(OWN_KEYS))
    put(s3, SOURCE, key, fields)
    # When it is put right, then the candidate has all of it
    first = putting_right(s3).look_and_settle(key)
    assert (first.failure, first.differences) == (None, [])
    assert everything(s3, CANDIDATE, key) == everything(s3, SOURCE, key)
    # And a second look copies nothing
    second = putting_right(s3).look_and_settle(key)
    assert second.present is not None
    assert (second.copied, second.removed, second.differences) == (0, 0, [])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, fields=OBJECTS, change=st.sampled_from(sorted(CHANGES)))
def test_any_change_of_the_copy_is_found_and_put_right(
    s3: Any, key: str, fields: dict[str, Any], change: str
) -> None:
    # Given a copy in which one thing was changed
    assume(len(key.encode()) <= 1024 and not key.startswith(OWN_KEYS))
    put(s3, SOURCE, key, fields)
    putting_right(s3).look_and_settle(key)
    changed = {name: value for name, value in fields.items() if name != "Tags"} | CHANGES[change]
    s3.put_object(Bucket=CANDIDATE, Key=key, **changed)
    assert everything(s3, CANDIDATE, key) != everything(s3, SOURCE, key)
    # When the key is looked at, then it is copied again
    assert putting_right(s3).look_and_settle(key).copied == 1
    assert everything(s3, CANDIDATE, key) == everything(s3, SOURCE, key)


def test_what_the_source_has_no_more_is_removed(s3: Any) -> None:
    put(s3, CANDIDATE, "gone", {"Body": b"left over"})
    outcome = putting_right(s3).look_and_settle("gone")
    assert (outcome.gone, outcome.removed) == (True, 1)
