"""What head-object and tags tell about two buckets."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from examples.compare_objects import MIGRATION_PREFIX, compare_objects
from examples.reconcile_photos import Expectation

OBJECT = {
    "Key": "media/a b+c%é.txt",
    "Body": b"content",
    "ContentType": "text/plain; charset=utf-8",
    "CacheControl": "max-age=60",
    "Metadata": {"owner": "Zo%C3%AB", "sha256": "1"},
    "Tagging": "kind=photo",
}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in ("old", "new"):
            client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, **OBJECT)
        yield client


def test_objects_that_are_the_same_agree(s3: Any) -> None:
    s3.put_object(Bucket="old", Key=f"{MIGRATION_PREFIX}sentinel", Body=b"")
    result = compare_objects(s3, "old", "new", {})
    assert (result.agrees, result.objects, result.compared) == (True, 1, 1)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "missing": lambda s3: s3.delete_object(Bucket="new", Key=OBJECT["Key"]),
    "ContentLength": lambda s3: s3.put_object(Bucket="new", **OBJECT | {"Body": b"content and more"}),
    "ContentType": lambda s3: s3.put_object(Bucket="new", **OBJECT | {"ContentType": "text/plain"}),
    "CacheControl": lambda s3: s3.put_object(Bucket="new", **OBJECT | {"CacheControl": "no-store"}),
    "Metadata": lambda s3: s3.put_object(Bucket="new", **OBJECT | {"Metadata": {"sha256": "1"}}),
    "Tags": lambda s3: s3.put_object(Bucket="new", **OBJECT | {"Tagging": "kind=video"}),
    "StorageClass": lambda s3: s3.put_object(Bucket="new", **OBJECT, StorageClass="STANDARD_IA"),
    "ETag": lambda s3: s3.put_object(Bucket="new", **OBJECT | {"Body": b"Content"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_difference_is_named(s3: Any, name: str) -> None:
    CHANGES[name](s3)
    result = compare_objects(s3, "old", "new", {})
    assert not result.agrees
    assert result.differences == [f"{OBJECT['Key']}: {name}"]


def test_what_was_copied_in_parts_is_compared_by_content(s3: Any) -> None:
    # Given an object that has the same bytes and, because of its parts, another ETag
    key = {"Bucket": "new", "Key": OBJECT["Key"]}
    options = {name: OBJECT[name] for name in ("ContentType", "CacheControl", "Metadata", "Tagging")}
    for body, agrees in ((b"content", True), (b"Content", False)):
        upload = s3.create_multipart_upload(**key, **options)["UploadId"]
        part = s3.upload_part(**key, UploadId=upload, PartNumber=1, Body=body)["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
        s3.complete_multipart_upload(**key, UploadId=upload, MultipartUpload=parts)
        # Then its content tells
        result = compare_objects(s3, "old", "new", {})
        assert (result.agrees, result.by_content) == (agrees, 1)


@pytest.mark.parametrize(("digest", "explained"), [("2", True), ("3", False)])
def test_only_what_the_client_says_it_replaced_may_differ(s3: Any, digest: str, explained: bool) -> None:
    # Given a photo that was replaced after the cutover
    s3.put_object(Bucket="new", **OBJECT | {"Body": b"newer", "Metadata": {"sha256": digest}})
    # When the log knows of the replacement with hash 2
    result = compare_objects(s3, "old", "new", {7: Expectation("a b+c%é.txt", {"2"})})
    # Then only that one is explained
    assert (result.changed_since, bool(result.differences)) == (int(explained), not explained)


def test_a_deletion_is_explained_by_the_log_alone(s3: Any) -> None:
    s3.delete_object(Bucket="new", Key=OBJECT["Key"])
    logged = {7: Expectation("a b+c%é.txt", {None})}
    assert compare_objects(s3, "old", "new", logged).changed_since == 1
    logged = {7: Expectation("a b+c%é.txt", {"1"})}
    assert compare_objects(s3, "old", "new", logged).differences == [f"{OBJECT['Key']}: missing"]


def test_a_sample_is_spread_over_the_keys_and_has_the_largest_object(s3: Any) -> None:
    # Given ten objects, of which the largest is not among every fourth
    for bucket in ("old", "new"):
        for number in range(9):
            s3.put_object(Bucket=bucket, Key=f"media/{number}", Body=b"")
        s3.put_object(Bucket=bucket, Key="media/5", Body=b"a large film", ContentType=f"of/{bucket}")
    # When three are asked for
    result = compare_objects(s3, "old", "new", {}, sample=3)
    # Then the largest is compared too
    assert (result.objects, result.compared) == (10, 4)
    assert result.differences == ["media/5: ContentType"]
