"""What a bucket tells EventBridge, and that it reaches the queue of a rule."""

import json
import time
import uuid
from typing import Any

import pytest

pytestmark = pytest.mark.local


@pytest.fixture
def bucket(local_aws: Any) -> str:
    """An empty versioned bucket with notifications to EventBridge."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return name


def listen(local_aws: Any, bucket: str, queue: tuple[str, str], state: str = "ENABLED") -> str:
    """Make a rule that takes the events of a bucket to a queue; return its name."""
    events = local_aws.client("events")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    events.put_rule(Name=bucket, EventPattern=json.dumps(pattern), State=state)
    events.put_targets(Rule=bucket, Targets=[{"Id": "queue", "Arn": queue[1]}])
    return bucket


def heard(local_aws: Any, queue: tuple[str, str], count: int, seconds: float = 20) -> list[dict[str, Any]]:
    """Return the events that arrive in the order of their sequencers: `count` unless time is over."""
    found: list[dict[str, Any]] = []
    sqs, until = local_aws.client("sqs"), time.monotonic() + seconds
    while len(found) < count and time.monotonic() < until:
        answer = sqs.receive_message(QueueUrl=queue[0], MaxNumberOfMessages=10, WaitTimeSeconds=1)
        found += [json.loads(message["Body"]) for message in answer.get("Messages", [])]
    return sorted(found, key=lambda event: event["detail"]["object"].get("sequencer", "~"))


def test_every_way_to_make_an_object_is_told_with_its_reason(
    local_aws: Any, bucket: str, queue: tuple[str, str]
) -> None:
    # Given a rule on the events of the bucket
    s3 = local_aws.client("s3")
    listen(local_aws, bucket, queue)
    # When an object is put with tags, copied and uploaded in parts
    key = "a b+ä.txt"
    put = s3.put_object(Bucket=bucket, Key=key, Body=b"12345", Tagging="k=v")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    # Then each is told once, in order
    events = heard(local_aws, queue, 3)
    told = [(event["detail-type"], event["detail"]["reason"]) for event in events]
    reasons = ("PutObject", "CopyObject", "CompleteMultipartUpload")
    assert told == [("Object Created", reason) for reason in reasons]
    # and the detail is that of https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    event = events[0]
    assert (event["source"], event["resources"]) == ("aws.s3", [f"arn:aws:s3:::{bucket}"])
    detail = event["detail"]
    sequencer = detail["object"].pop("sequencer")
    assert int(sequencer, 16) > 0
    assert detail["object"] == {
        "key": key,
        "size": 5,
        "etag": put["ETag"].strip('"'),
        "version-id": put["VersionId"],
    }
    assert detail["bucket"] == {"name": bucket}
    assert detail["requester"] == local_aws.client("sts").get_caller_identity()["Account"]
    assert set(detail) == {
        "version",
        "bucket",
        "object",
        "request-id",
        "requester",
        "source-ip-address",
        "reason",
    }


def test_deletions_and_tags_are_told(local_aws: Any, bucket: str, queue: tuple[str, str]) -> None:
    s3 = local_aws.client("s3")
    version = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["VersionId"]
    listen(local_aws, bucket, queue)
    s3.put_object_tagging(Bucket=bucket, Key="a", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="a")
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="a", VersionId=version)
    events = heard(local_aws, queue, 4)
    deleted = [
        (detail["deletion-type"], detail["reason"], detail["object"]["version-id"])
        for detail in (event["detail"] for event in events if event["detail-type"] == "Object Deleted")
    ]
    assert deleted == [
        ("Delete Marker Created", "DeleteObject", marker),
        ("Permanently Deleted", "DeleteObject", version),
    ]
    tagged = [event for event in events if event["detail-type"] != "Object Deleted"]
    assert {event["detail-type"] for event in tagged} == {"Object Tags Added", "Object Tags Deleted"}
    assert {event["detail"]["object"]["version-id"] for event in tagged} == {version}


def test_disabled_rule_and_bucket_without_configuration_deliver_nothing(
    local_aws: Any, bucket: str, queue: tuple[str, str]
) -> None:
    s3, events = local_aws.client("s3"), local_aws.client("events")
    # Given a rule that is disabled, When objects are made, Then nothing arrives
    rule = listen(local_aws, bucket, queue, state="DISABLED")
    s3.put_object(Bucket=bucket, Key="while disabled", Body=b"1")
    events.enable_rule(Name=rule)
    s3.put_object(Bucket=bucket, Key="while enabled", Body=b"1")
    assert [event["detail"]["object"]["key"] for event in heard(local_aws, queue, 1)] == ["while enabled"]
    # nor when the bucket says nothing
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    s3.put_object(Bucket=bucket, Key="quiet", Body=b"1")
    assert heard(local_aws, queue, 1, seconds=2) == []
