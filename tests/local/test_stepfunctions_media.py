"""Step Functions: what the runbook that moves the media leans on. Every test would pass against AWS."""

import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.local import test_stepfunctions as stepfunctions
from tests.local.conftest import LocalAWS
from tests.local.test_stepfunctions import Run, distributed, passing, task

pytestmark = pytest.mark.local

role = stepfunctions.role
states = stepfunctions.states
create = stepfunctions.create
run = stepfunctions.run

ACCOUNT = "123456789012"
PART = 5 * 1024**2


@pytest.fixture
def bucket(local_aws: LocalAWS) -> str:
    """An empty bucket."""
    name = f"media-{uuid.uuid4().hex[:8]}"
    local_aws.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def fault(local_aws: LocalAWS) -> Any:
    """Make the next calls of an action of S3 fail."""
    yield lambda action, times: local_aws.control(
        "POST",
        "faults",
        {"service": "s3", "action": action, "times": times, "error": "SlowDown", "status": 503},
    )
    local_aws.control("DELETE", "faults")


def sdk(action: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    return task(f"aws-sdk:{action}", arguments, **fields)


# -- S3 Batch Operations -------------------------------------------------------------------------------------


def test_a_machine_creates_looks_at_lists_and_cancels_a_job(
    run: Run, local_aws: LocalAWS, bucket: str
) -> None:
    # Given
    local_aws.client("s3").put_object(Bucket=bucket, Key="a", Body=b"1")
    copier = local_aws.all_powerful_role("batchoperations.s3.amazonaws.com")
    description = f"copy of {bucket}"
    job = {
        "AccountId": ACCOUNT,
        "ConfirmationRequired": True,
        "Operation": {
            "S3PutObjectCopy": {
                "TargetResource": f"arn:aws:s3:::{bucket}",
                "TargetKeyPrefix": "copied",
                "StorageClass": "STANDARD",
            }
        },
        "ManifestGenerator": {
            "S3JobManifestGenerator": {
                "SourceBucket": f"arn:aws:s3:::{bucket}",
                "EnableManifestOutput": False,
                "Filter": {"ObjectSizeLessThanBytes": 10, "MatchAnyStorageClass": ["STANDARD"]},
            }
        },
        "Report": {"Enabled": False},
        "ClientRequestToken": "{% $states.context.Execution.Name %}",
        "Description": description,
        "Priority": 10,
        "RoleArn": copier,
    }
    this = {"AccountId": ACCOUNT, "JobId": "{% $id %}"}

    def look(following: str) -> dict[str, Any]:
        assign = {"job": "{% $states.result.Job %}"}
        return sdk("s3control:describeJob", this, Assign=assign, Next=following)

    # When
    ended = run(
        {
            "Create": sdk(
                "s3control:createJob", job, Assign={"id": "{% $states.result.JobId %}"}, Next="Look"
            ),
            "Look": look("Is it prepared?"),
            "Is it prepared?": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $job.Status = 'Suspended' %}", "Next": "List"}],
                "Default": "Wait",
            },
            "Wait": {"Type": "Wait", "Seconds": 0, "Next": "Look"},
            "List": sdk(
                "s3control:listJobs",
                {"AccountId": ACCOUNT, "JobStatuses": ["Suspended"]},
                Assign={"listed": f"{{% $states.result.Jobs[Description = '{description}'] %}}"},
                Next="Cancel",
            ),
            "Cancel": sdk(
                "s3control:updateJobStatus",
                this | {"RequestedJobStatus": "Cancelled", "StatusUpdateReason": "enough"},
                Next="Look again",
            ),
            "Look again": look("Is it over?"),
            "Is it over?": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $job.Status = 'Cancelled' %}", "Next": "Show"}],
                "Default": "Look again",
            },
            "Show": passing({"listed": "{% $listed.JobId %}", "id": "{% $id %}", "job": "{% $job %}"}),
        }
    )
    # Then
    assert ended["status"] == "SUCCEEDED", ended
    output = ended["output"]
    assert output["listed"] == output["id"]
    assert output["job"]["StatusUpdateReason"] == "enough"
    assert output["job"]["ProgressSummary"]["TotalNumberOfTasks"] == 1
    assert output["job"]["Operation"]["S3PutObjectCopy"]["TargetKeyPrefix"] == "copied"


@pytest.mark.parametrize(
    ("action", "arguments", "error"),
    [
        ("describeJob", {}, "S3Control.NotFoundException"),
        ("updateJobStatus", {"RequestedJobStatus": "Ready"}, "S3Control.NotFoundException"),
    ],
)
def test_errors_of_jobs_have_the_names_of_aws(
    run: Run, action: str, arguments: dict[str, Any], error: str
) -> None:
    this = {"AccountId": ACCOUNT, "JobId": str(uuid.uuid4()), **arguments}
    ended = run({"Look": sdk(f"s3control:{action}", this, End=True)})
    assert ended["error"] == error


# -- EventBridge, S3 -----------------------------------------------------------------------------------------


def test_a_machine_enables_and_disables_a_rule(run: Run, local_aws: LocalAWS) -> None:
    events, name = local_aws.client("events"), f"rule-{uuid.uuid4().hex[:8]}"
    events.put_rule(Name=name, EventPattern='{"source": ["aws.s3"]}', State="DISABLED")
    for action, state in (("enableRule", "ENABLED"), ("disableRule", "DISABLED")):
        ended = run({"Do": sdk(f"eventbridge:{action}", {"Name": name}, End=True)})
        assert ended["status"] == "SUCCEEDED", ended
        assert events.describe_rule(Name=name)["State"] == state
    ended = run({"Do": sdk("eventbridge:enableRule", {"Name": f"{name}-not"}, End=True)})
    assert ended["error"] == "EventBridge.ResourceNotFoundException"


def test_a_machine_lists_a_bucket(run: Run, local_aws: LocalAWS, bucket: str) -> None:
    for key in ("a", "b/1", "b/2"):
        local_aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"1")
    ended = run({"List": sdk("s3:listObjectsV2", {"Bucket": bucket, "Prefix": "b/", "MaxKeys": 1}, End=True)})
    output = ended["output"]
    assert [item["Key"] for item in output["Contents"]] == ["b/1"]
    assert (output["IsTruncated"], output["KeyCount"]) == (True, 1)
    assert output["NextContinuationToken"]


KEYS = ["plain", "a b+c%20d", "ünïcode/ключ", "q?versionId=1"]


@pytest.mark.parametrize("key", KEYS)
def test_parts_are_copied_from_an_encoded_source(
    run: Run, local_aws: LocalAWS, bucket: str, key: str
) -> None:
    s3 = local_aws.client("s3")
    put = s3.put_object(Bucket=bucket, Key=key, Body=b"0123456789")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    part = {
        "Bucket": bucket,
        "Key": "copy",
        "UploadId": upload,
        "PartNumber": 1,
        "CopySource": f"{bucket}/{quote(key, safe='/')}",
        "CopySourceRange": "bytes=2-4",
        "CopySourceIfMatch": put["ETag"],
    }
    ended = run({"Copy": sdk("s3:uploadPartCopy", part, End=True)})
    assert ended["status"] == "SUCCEEDED", ended
    etag = ended["output"]["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="copy",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
    )
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"234"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"CopySource": "{bucket}/gone"}, "S3.NoSuchKeyException"),
        ({"CopySourceIfMatch": '"0"'}, "S3.S3Exception"),
        ({"UploadId": "x"}, "S3.NoSuchUploadException"),
        ({"CopySourceRange": "bytes=0-99"}, "S3.S3Exception"),
    ],
)
def test_errors_of_a_part_have_the_names_of_aws(
    run: Run, local_aws: LocalAWS, bucket: str, change: dict[str, str], error: str
) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    part = {"Bucket": bucket, "Key": "copy", "UploadId": upload, "PartNumber": 1, "CopySource": f"{bucket}/a"}
    changed = {name: value.replace("{bucket}", bucket) for name, value in change.items()}
    ended = run({"Copy": sdk("s3:uploadPartCopy", part | changed, End=True)})
    assert ended["error"] == error, ended


def test_a_part_is_copied_as_the_role_of_the_machine(
    run: Run, local_aws: LocalAWS, bucket: str, role: str
) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"ArnLike": {"aws:PrincipalArn": role}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    part = {"Bucket": bucket, "Key": "copy", "UploadId": upload, "PartNumber": 1, "CopySource": f"{bucket}/a"}
    ended = run({"Copy": sdk("s3:uploadPartCopy", part, End=True)})
    assert ended["error"] in (
        "S3.S3Exception",
        "S3.AccessDeniedException",
    )  # by the age of the service's model
    assert "Access Denied" in ended["cause"]


# -- maps ----------------------------------------------------------------------------------------------------


def reading(bucket: str, key: str) -> dict[str, Any]:
    """The reader of a JSON object."""
    return {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Arguments": {"Bucket": bucket, "Key": f"{{% '{key}' %}}"},
    }


def nested(bucket: str, part: dict[str, Any]) -> dict[str, Any]:
    """A distributed map over the objects of a list, and below it one over the parts of an object."""
    parts = distributed(
        {"Copy": part},
        Items="{% [1..$item.parts] %}",
        ItemSelector={
            "Key": "{% $item.key %}",
            "PartNumber": "{% $states.context.Map.Item.Value %}",
            "more": "{% $item.more %}",
        },
        ToleratedFailurePercentage=0,
        MaxConcurrency=4,
        Next="Show",
    )
    del parts["End"]
    return distributed(
        {
            "Note": {"Type": "Pass", "Assign": {"item": "{% $states.input.object %}"}, "Next": "Parts"},
            "Parts": parts | {"Assign": {"parts": "{% $states.result %}"}},
            "Show": passing({"key": "{% $item.key %}", "parts": "{% $parts %}"}),
        },
        ItemReader=reading(bucket, "list.json"),
        ItemSelector={
            "object": "{% $states.context.Map.Item.Value %}",
            "index": "{% $states.context.Map.Item.Index %}",
        },
        ToleratedFailurePercentage=0,
        MaxConcurrency=2,
    )


def test_a_map_of_parts_runs_inside_of_a_map_of_objects(run: Run, local_aws: LocalAWS, bucket: str) -> None:
    listed = [{"key": "a", "parts": 3, "more": {}}, {"key": "b", "parts": 1, "more": {}}]
    local_aws.client("s3").put_object(Bucket=bucket, Key="list.json", Body=json.dumps(listed).encode())
    ended = run(
        {"Objects": nested(bucket, passing("{% $states.input.Key & $string($states.input.PartNumber) %}"))}
    )
    assert ended["status"] == "SUCCEEDED", ended["cause"]
    assert ended["output"] == [{"key": "a", "parts": ["a1", "a2", "a3"]}, {"key": "b", "parts": ["b1"]}]


def test_each_part_is_retried_alone(
    run: Run, local_aws: LocalAWS, bucket: str, fault: Callable[[str, int], None]
) -> None:
    # Given two parts, and S3 that refuses twice
    s3 = local_aws.client("s3")
    s3.put_object(Bucket=bucket, Key="source", Body=b"x" * PART + b"y")
    ranges = [f"bytes=0-{PART - 1}", f"bytes={PART}-{PART}"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    listed = [{"key": "copy", "parts": 2, "more": {"upload": upload, "ranges": ranges}}]
    s3.put_object(Bucket=bucket, Key="list.json", Body=json.dumps(listed).encode())
    copy = sdk(
        "s3:uploadPartCopy",
        {
            "Bucket": bucket,
            "Key": "{% $states.input.Key %}",
            "UploadId": "{% $states.input.more.upload %}",
            "PartNumber": "{% $states.input.PartNumber %}",
            "CopySource": f"{bucket}/source",
            "CopySourceRange": "{% $states.input.more.ranges[$states.input.PartNumber - 1] %}",
        },
        Retry=[{"ErrorEquals": ["S3.S3Exception"], "IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 1}],
        Output={
            "PartNumber": "{% $states.input.PartNumber %}",
            "ETag": "{% $states.result.CopyPartResult.ETag %}",
        },
        End=True,
    )
    fault("UploadPartCopy", 2)
    # When
    ended = run({"Objects": nested(bucket, copy)})
    # Then every part is there, and no more was asked than those and the two refused
    assert ended["status"] == "SUCCEEDED", ended
    (made,) = ended["output"]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="copy", UploadId=upload, MultipartUpload={"Parts": made["parts"]}
    )
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"x" * PART + b"y"
    lines = [json.loads(line) for line in (local_aws.directory / "requests.jsonl").read_text().splitlines()]
    asked = [
        line["status"]
        for line in lines
        if line["action"] == "UploadPartCopy" and line["resource"] == f"{bucket}/copy"
    ]
    assert sorted(asked) == [200, 200, 503, 503]


def test_no_failure_is_tolerated_and_the_outer_map_fails(run: Run, local_aws: LocalAWS, bucket: str) -> None:
    listed = [{"key": "a", "parts": 1, "more": {}}, {"key": "b", "parts": 2, "more": {}}]
    local_aws.client("s3").put_object(Bucket=bucket, Key="list.json", Body=json.dumps(listed).encode())
    failing = {"Type": "Fail", "Error": "PartLost", "Cause": "{% $states.input.Key %}"}
    ended = run({"Objects": nested(bucket, failing)})
    assert ended["error"] == "States.ExceedToleratedFailureThreshold"


@pytest.mark.parametrize(
    "fields",
    [
        {"Items": []},
        {"Items": "{% $filter([1, 2], function($n) { $n > 2 }) ? [1] : [] %}"},
        {"ItemReader": None},
    ],
)
def test_a_distributed_map_over_nothing_gives_nothing(
    run: Run, local_aws: LocalAWS, bucket: str, fields: dict[str, Any]
) -> None:
    local_aws.client("s3").put_object(Bucket=bucket, Key="list.json", Body=b"[]")
    if "ItemReader" in fields:
        fields = {"ItemReader": reading(bucket, "list.json")}
    ended = run({"Each": distributed({"Show": passing(1)}, ToleratedFailurePercentage=0, **fields)})
    assert ended["status"] == "SUCCEEDED", ended
    assert ended["output"] == []


def test_a_missing_list_is_an_item_reader_failure(run: Run, bucket: str) -> None:
    each = distributed({"Show": passing(1)}, ItemReader=reading(bucket, "gone.json"))
    assert run({"Each": each})["error"] == "States.ItemReaderFailed"
