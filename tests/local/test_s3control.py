"""S3 Batch Operations: what the media migration leans on."""

import csv
import hashlib
import io
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from localaws.runtime import keep_host
from localaws.s3control.copying import Outcome
from localaws.s3control.manifests import Task, parse
from localaws.s3control.reports import rows
from tests.local.conftest import LocalAWS

pytestmark = pytest.mark.local

ACCOUNT = "123456789012"
KEYS = ["plain", "a b", "a+b", "a%20b", "unicode/ключ-ü", "folder/", 'quote",comma', "empty"]


def s3control_client(local_aws: LocalAWS, **credentials: str) -> Any:
    """A client that reaches the server by its plain name: `123456789012.localhost` resolves nowhere."""
    client = local_aws.client("s3control", **credentials)
    client.meta.events.register("before-sign.s3-control", keep_host)
    return client


@pytest.fixture(scope="module")
def batch(local_aws: LocalAWS) -> Any:
    """A client of S3 Control."""
    return s3control_client(local_aws)


@dataclass(frozen=True)
class Place:
    """Two buckets, a third for manifests and reports, and a role that may copy."""

    source: str
    target: str
    desk: str
    role: str
    role_name: str


ALLOWED = [
    ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
    ("s3:PutObject", "s3:PutObjectTagging"),
]


def statement(actions: Any, *resources: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": list(actions), "Resource": list(resources)}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str = "batchoperations.s3.amazonaws.com") -> str:
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


@pytest.fixture
def place(local_aws: LocalAWS) -> Place:
    """Buckets of this test's own."""
    s3, iam, name = local_aws.client("s3"), local_aws.client("iam"), uuid.uuid4().hex[:8]
    source, target, desk = (f"{kind}-{name}" for kind in ("source", "target", "desk"))
    for bucket in (source, target, desk):
        s3.create_bucket(Bucket=bucket)
    role = iam.create_role(RoleName=f"copy-{name}", AssumeRolePolicyDocument=trust())["Role"]["Arn"]
    document = policy(
        statement(ALLOWED[0], f"arn:aws:s3:::{source}/*"),
        statement(["s3:ListBucket", "s3:PutInventoryConfiguration"], f"arn:aws:s3:::{source}"),
        statement(ALLOWED[1], f"arn:aws:s3:::{target}/*"),
        statement(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{desk}/*"),
    )
    iam.put_role_policy(RoleName=f"copy-{name}", PolicyName="copy", PolicyDocument=document)
    return Place(source, target, desk, role, f"copy-{name}")


def request(place: Place, **changes: Any) -> dict[str, Any]:
    """The parameters of a job over the whole source."""
    generator = {"SourceBucket": f"arn:aws:s3:::{place.source}", "EnableManifestOutput": False}
    return {
        "AccountId": ACCOUNT,
        "ConfirmationRequired": False,
        "Operation": {"S3PutObjectCopy": {"TargetResource": f"arn:aws:s3:::{place.target}"}},
        "Report": {
            "Bucket": f"arn:aws:s3:::{place.desk}",
            "Format": "Report_CSV_20180820",
            "Enabled": True,
            "Prefix": "reports",
            "ReportScope": "AllTasks",
        },
        "ClientRequestToken": uuid.uuid4().hex,
        "Priority": 10,
        "RoleArn": place.role,
        "ManifestGenerator": {"S3JobManifestGenerator": generator},
        **changes,
    }


def manifest(
    local_aws: LocalAWS, place: Place, text: str, *fields: str, etag: str | None = None
) -> dict[str, Any]:
    """Write a CSV manifest and return what CreateJob takes instead of a generator."""
    put = local_aws.client("s3").put_object(Bucket=place.desk, Key="manifest.csv", Body=text.encode())
    return {
        "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": list(fields or ("Bucket", "Key"))},
        "Location": {
            "ObjectArn": f"arn:aws:s3:::{place.desk}/manifest.csv",
            "ETag": etag or put["ETag"],
        },
    }


def with_manifest(place: Place, given_manifest: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in request(place, Manifest=given_manifest, **changes).items()
        if name != "ManifestGenerator"
    }


def wait(batch: Any, job_id: str, *statuses: str, seconds: float = 60) -> dict[str, Any]:
    """Return the job when it has one of the statuses, or has ended when none is named."""
    deadline = time.monotonic() + seconds
    wanted = statuses or ("Complete", "Failed", "Cancelled")
    while time.monotonic() < deadline:
        job: dict[str, Any] = batch.describe_job(AccountId=ACCOUNT, JobId=job_id)["Job"]
        if job["Status"] in wanted:
            return job
        time.sleep(0.02)
    raise AssertionError(f"{job_id} is {job['Status']} after {seconds} s, not {wanted}: {job}")


def run(batch: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Create a job and return it when it has ended."""
    return wait(batch, batch.create_job(**parameters)["JobId"])


def report(
    local_aws: LocalAWS, place: Place, job: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, list[list[str]]]]:
    """Return the manifest of a job's report, and its rows by task status."""
    s3, found = local_aws.client("s3"), {}
    key = f"reports/job-{job['JobId']}/manifest.json"
    document = json.load(s3.get_object(Bucket=place.desk, Key=key)["Body"])
    for entry in document["Results"]:
        body = s3.get_object(Bucket=entry["Bucket"], Key=entry["Key"])["Body"].read()
        assert entry["MD5Checksum"] == hashlib.md5(body, usedforsecurity=False).hexdigest()
        found[entry["TaskExecutionStatus"]] = list(csv.reader(io.StringIO(body.decode())))
    return document, found


def names(local_aws: LocalAWS, bucket: str) -> set[str]:
    return {item["Key"] for item in local_aws.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])}


@pytest.fixture
def pause(local_aws: LocalAWS) -> Iterator[Callable[[int], None]]:
    """Make the next job wait after so many tasks; let it go at the end."""
    yield lambda after: local_aws.control("POST", "s3control", {"pause_after": after})
    local_aws.control("DELETE", "s3control")


def wait_for_pause(local_aws: LocalAWS, job_id: str) -> None:
    deadline = time.monotonic() + 30
    while job_id not in local_aws.control("GET", "s3control")["waiting"]:
        assert time.monotonic() < deadline, "the job does not wait"
        time.sleep(0.02)


# -- copying -------------------------------------------------------------------------------------------------


def test_a_generated_list_is_copied_with_headers_metadata_tags_and_checksum(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    # Given objects with everything an object can carry
    s3 = local_aws.client("s3")
    for key in KEYS:
        s3.put_object(
            Bucket=place.source,
            Key=key,
            Body=b"" if key == "empty" else key.encode(),
            ContentType="text/x-test",
            CacheControl="max-age=60",
            ContentDisposition="attachment",
            ContentLanguage="de",
            Metadata={"owner": "ada"},
            Tagging="kind=test",
            ChecksumAlgorithm="SHA256",
        )
    # When a job copies the bucket
    job = run(batch, request(place))
    # Then the candidate has the same objects
    assert job["Status"] == "Complete", job["FailureReasons"]
    assert job["ProgressSummary"]["TotalNumberOfTasks"] == len(KEYS)
    assert job["ProgressSummary"]["NumberOfTasksSucceeded"] == len(KEYS)
    assert job["ProgressSummary"]["NumberOfTasksFailed"] == 0
    assert names(local_aws, place.target) == set(KEYS)
    volatile = {"ResponseMetadata", "LastModified", "VersionId"}
    for key in KEYS:
        old, new = (
            s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            for bucket in (place.source, place.target)
        )
        assert {k: v for k, v in old.items() if k not in volatile} == {
            k: v for k, v in new.items() if k not in volatile
        }
        assert s3.get_object(Bucket=place.target, Key=key)["Body"].read() == (
            b"" if key == "empty" else key.encode()
        )
        tags = s3.get_object_tagging(Bucket=place.target, Key=key)["TagSet"]
        assert tags == [{"Key": "kind", "Value": "test"}]


def test_the_report_has_a_row_for_each_task_with_encoded_keys(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    s3 = local_aws.client("s3")
    for key in KEYS:
        s3.put_object(Bucket=place.source, Key=key, Body=b"1")
    job = run(batch, request(place))
    document, found = report(local_aws, place, job)
    assert document["Format"] == "Report_CSV_20180820"
    assert document["ReportSchema"] == (
        "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"
    )
    assert set(found) == {"succeeded"}
    assert {unquote_plus(row[1]) for row in found["succeeded"]} == set(KEYS)
    assert {(row[0], *row[2:]) for row in found["succeeded"]} == {
        (place.source, "", "succeeded", "200", "", "Successful")
    }


def test_storage_class_prefix_and_encryption_are_those_of_operation_and_target(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    s3 = local_aws.client("s3")
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/of-target"}
    }
    s3.put_bucket_encryption(Bucket=place.target, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_versioning(Bucket=place.target, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=place.source, Key="a", Body=b"1", StorageClass="STANDARD_IA")
    copy = {
        "TargetResource": f"arn:aws:s3:::{place.target}",
        "StorageClass": "STANDARD_IA",
        "TargetKeyPrefix": "folder",
    }
    # When one job keeps the class and one does not name it
    assert run(batch, request(place, Operation={"S3PutObjectCopy": copy}))["Status"] == "Complete"
    assert run(batch, request(place))["Status"] == "Complete"
    # Then
    kept = s3.head_object(Bucket=place.target, Key="folder/a")
    assert (kept["StorageClass"], kept["ServerSideEncryption"]) == ("STANDARD_IA", "aws:kms")
    assert kept["VersionId"] != "null"
    assert "StorageClass" not in s3.head_object(Bucket=place.target, Key="a")


def test_each_copy_is_one_request_of_the_role_in_the_record(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    s3 = local_aws.client("s3")
    for key in ("a", "ключ"):
        s3.put_object(Bucket=place.source, Key=key, Body=b"1")
    job = run(batch, request(place))
    lines = [json.loads(line) for line in (local_aws.directory / "requests.jsonl").read_text().splitlines()]
    copies = [
        line
        for line in lines
        if line["action"] == "CopyObject" and (line["resource"] or "").startswith(place.target)
    ]
    assert sorted(line["resource"] for line in copies) == [f"{place.target}/a", f"{place.target}/ключ"]
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{place.role_name}/s3-batch-operations-{job['JobId']}"
    assert {line["principal"] for line in copies} == {session}
    touched = [line["action"] for line in lines if (line["resource"] or "").startswith(f"{place.source}/")]
    assert set(touched) == {"PutObject"}


def test_a_copy_is_told_to_the_default_bus_like_a_request(
    local_aws: LocalAWS, batch: Any, place: Place, queue: tuple[str, str]
) -> None:
    s3, events, url = local_aws.client("s3"), local_aws.client("events"), queue[0]
    s3.put_bucket_notification_configuration(
        Bucket=place.target, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    rule = f"copies-{uuid.uuid4().hex[:8]}"
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [place.target]}}}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue[1]}])
    s3.put_object(Bucket=place.source, Key="a", Body=b"1")
    run(batch, request(place))
    received = local_aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=10)
    event = json.loads(received["Messages"][0]["Body"])
    assert (event["detail-type"], event["detail"]["object"]["key"]) == ("Object Created", "a")


# -- manifests -----------------------------------------------------------------------------------------------


def test_a_csv_manifest_with_versions_copies_those_versions(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    s3 = local_aws.client("s3")
    s3.put_bucket_versioning(Bucket=place.source, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=place.source, Key="a b", Body=b"1")["VersionId"]
    s3.put_object(Bucket=place.source, Key="a b", Body=b"2")
    text = f"{place.source},a%20b,{first}\n{place.source},a%20b,\n{place.source},a%20b,no-such-version\n"
    given_manifest = manifest(local_aws, place, text, "Bucket", "Key", "VersionId")
    job = run(batch, with_manifest(place, given_manifest))
    assert s3.get_object(Bucket=place.target, Key="a b")["Body"].read() == b"1"
    _, found = report(local_aws, place, job)
    assert found["succeeded"][0][2] == first
    assert [row[2:] for row in found["failed"]] == [
        ["", "failed", "400", "InvalidRequest", "Task failed due to missing VersionId"],
        ["no-such-version", "failed", "404", "NoSuchVersion", "The specified version does not exist."],
    ]


@given(st.lists(st.tuples(st.text(min_size=1), st.sampled_from(["", "null", "abc"]))))
def test_every_key_comes_back_from_a_manifest(entries: list[tuple[str, str]]) -> None:
    text = "".join(f"bucket,{quote(key, safe='')},{version}\n" for key, version in entries)
    assert list(parse(text, ["Bucket", "Key", "VersionId"])) == [
        Task("bucket", key, version) for key, version in entries
    ]


@given(st.text(min_size=1), st.text())
def test_every_key_and_message_comes_back_from_a_report(key: str, message: str) -> None:
    text = rows([(Task("bucket", key), Outcome(403, "AccessDenied", message.replace("\r", "")))])
    (row,) = csv.reader(io.StringIO(text, newline=""))
    assert unquote_plus(row[1]) == key
    assert row[3:] == ["failed", "403", "AccessDenied", message.replace("\r", "")]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"ObjectSizeGreaterThanBytes": 1}, {"b/2.txt", "b/3.jpg"}),
        ({"ObjectSizeLessThanBytes": 3}, {"a/1.txt", "b/2.txt"}),
        ({"MatchAnyStorageClass": ["STANDARD_IA", "GLACIER"]}, {"b/3.jpg"}),
        ({"KeyNameConstraint": {"MatchAnyPrefix": ["a/", "c/"]}}, {"a/1.txt"}),
        (
            {"KeyNameConstraint": {"MatchAnyPrefix": ["b/"], "MatchAnySuffix": [".jpg"]}},
            {"b/3.jpg"},
        ),
        ({"KeyNameConstraint": {"MatchAnySubstring": ["2"]}}, {"b/2.txt"}),
        ({"CreatedAfter": "2020-01-01", "CreatedBefore": "2999-01-01"}, {"a/1.txt", "b/2.txt", "b/3.jpg"}),
    ],
)
def test_a_generator_filters(
    local_aws: LocalAWS, batch: Any, place: Place, chosen: dict[str, Any], expected: set[str]
) -> None:
    s3 = local_aws.client("s3")
    s3.put_bucket_versioning(Bucket=place.source, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=place.source, Key="a/1.txt", Body=b"1")
    s3.put_object(Bucket=place.source, Key="b/2.txt", Body=b"22")
    s3.put_object(Bucket=place.source, Key="b/3.jpg", Body=b"333", StorageClass="STANDARD_IA")
    s3.put_object(Bucket=place.source, Key="gone", Body=b"22")
    s3.delete_object(Bucket=place.source, Key="gone")
    parameters = request(place)
    parameters["ManifestGenerator"]["S3JobManifestGenerator"]["Filter"] = chosen
    assert run(batch, parameters)["Status"] == "Complete"
    assert names(local_aws, place.target) == expected


def test_a_generated_list_is_written_when_it_is_asked_for(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket=place.source, Key="a b", Body=b"1")
    parameters = request(place)
    parameters["ManifestGenerator"]["S3JobManifestGenerator"] |= {
        "EnableManifestOutput": True,
        "ManifestOutputLocation": {
            "Bucket": f"arn:aws:s3:::{place.desk}",
            "ManifestPrefix": "manifests",
            "ManifestFormat": "S3InventoryReport_CSV_20211130",
        },
    }
    job = run(batch, parameters)
    location = job["GeneratedManifestDescriptor"]["Location"]
    key = location["ObjectArn"].removeprefix(f"arn:aws:s3:::{place.desk}/")
    written = s3.get_object(Bucket=place.desk, Key=key)
    assert written["ETag"].strip('"') == location["ETag"]
    listed = json.load(written["Body"])["files"][0]
    body = s3.get_object(Bucket=place.desk, Key=listed["key"])["Body"].read()
    assert body == f'"{place.source}","a+b"\n'.encode()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda aws, place: manifest(aws, place, f"{place.source},a\n", etag="0" * 32), "ETag"),
        (lambda aws, place: manifest(aws, place, f"{place.source}\n"), "columns"),
        (lambda aws, place: manifest(aws, place, ""), "empty"),
        (
            lambda aws, place: {
                **manifest(aws, place, f"{place.source},a\n"),
                "Location": {"ObjectArn": f"arn:aws:s3:::{place.source}/nothing", "ETag": "0" * 32},
            },
            "does not exist",
        ),
        (
            lambda aws, place: {
                **manifest(aws, place, f"{place.source},a\n"),
                "Location": {"ObjectArn": f"arn:aws:s3:::{place.target}/unreadable", "ETag": "0" * 32},
            },
            "Reading the manifest is forbidden: AccessDenied",
        ),
    ],
)
def test_a_manifest_that_cannot_be_used_fails_the_job(
    local_aws: LocalAWS, batch: Any, place: Place, make: Callable[..., dict[str, Any]], words: str
) -> None:
    job = run(batch, with_manifest(place, make(local_aws, place)))
    assert job["Status"] == "Failed"
    assert words in job["FailureReasons"][0]["FailureReason"]


def test_a_generator_that_finds_nothing_fails_the_job(batch: Any, place: Place) -> None:
    job = run(batch, request(place))
    assert job["Status"] == "Failed"
    assert job["FailureReasons"][0]["FailureReason"] == (
        "Manifest generation found no keys matching the filter criteria."
    )


# -- failing objects -----------------------------------------------------------------------------------------


def test_objects_fail_one_by_one_and_the_job_is_complete(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    # Given one object that is fine, one that a policy denies, one that is too large, and one that is gone
    s3 = local_aws.client("s3")
    for key, size in {"fine": 10, "denied": 10, "large": 11}.items():
        s3.put_object(Bucket=place.source, Key=key, Body=b"x" * size)
    document = policy(
        {
            **statement(["s3:PutObject"], f"arn:aws:s3:::{place.target}/denied", effect="Deny"),
            "Principal": "*",
            "Condition": {"ArnLike": {"aws:PrincipalArn": place.role}},
        }
    )
    s3.put_bucket_policy(Bucket=place.target, Policy=document)
    text = "".join(f"{place.source},{key}\n" for key in ("fine", "denied", "large", "gone"))
    # When
    local_aws.control("POST", "s3/single-copy-limit", {"bytes": 10})
    try:
        job = run(batch, with_manifest(place, manifest(local_aws, place, text)))
    finally:
        local_aws.control("DELETE", "s3/single-copy-limit")
    # Then
    assert job["Status"] == "Complete"
    assert job["ProgressSummary"]["NumberOfTasksFailed"] == 3
    _, found = report(local_aws, place, job)
    assert [row[1] for row in found["succeeded"]] == ["fine"]
    assert {row[1]: (row[4], row[5]) for row in found["failed"]} == {
        "denied": ("403", "AccessDenied"),
        "large": ("400", "InvalidRequest"),
        "gone": ("404", "NoSuchKey"),
    }
    assert names(local_aws, place.target) == {"fine"}


@pytest.mark.parametrize(
    ("missing", "tagged", "denied"),
    [
        ("s3:GetObject", False, True),
        ("s3:PutObject", False, True),
        ("s3:GetObjectTagging", True, True),
        ("s3:PutObjectTagging", True, True),
        ("s3:GetObjectTagging", False, False),
    ],
)
def test_the_role_needs_its_own_permission(
    local_aws: LocalAWS, batch: Any, place: Place, missing: str, tagged: bool, denied: bool
) -> None:
    local_aws.client("s3").put_object(
        Bucket=place.source, Key="a", Body=b"1", **({"Tagging": "kind=test"} if tagged else {})
    )
    local_aws.client("iam").put_role_policy(
        RoleName=place.role_name,
        PolicyName="but",
        PolicyDocument=policy(
            statement(
                [missing],
                f"arn:aws:s3:::{place.source}/*",
                f"arn:aws:s3:::{place.target}/*",
                effect="Deny",
            )
        ),
    )
    job = run(batch, request(place))
    assert job["ProgressSummary"]["NumberOfTasksFailed"] == int(denied)
    if denied:
        _, found = report(local_aws, place, job)
        assert found["failed"][0][4:] == ["403", "AccessDenied", "Access Denied"]


def test_a_missing_object_is_access_denied_without_permission_to_list(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    local_aws.client("iam").put_role_policy(
        RoleName=place.role_name,
        PolicyName="but",
        PolicyDocument=policy(statement(["s3:ListBucket"], f"arn:aws:s3:::{place.source}", effect="Deny")),
    )
    job = run(batch, with_manifest(place, manifest(local_aws, place, f"{place.source},gone\n")))
    _, found = report(local_aws, place, job)
    assert found["failed"][0][4:6] == ["403", "AccessDenied"]


def test_failed_tasks_only_are_reported_when_asked(local_aws: LocalAWS, batch: Any, place: Place) -> None:
    local_aws.client("s3").put_object(Bucket=place.source, Key="a", Body=b"1")
    parameters = with_manifest(place, manifest(local_aws, place, f"{place.source},a\n{place.source},gone\n"))
    parameters["Report"] |= {"ReportScope": "FailedTasksOnly"}
    _, found = report(local_aws, place, run(batch, parameters))
    assert set(found) == {"failed"}


def test_a_report_that_cannot_be_written_fails_the_job(local_aws: LocalAWS, batch: Any, place: Place) -> None:
    local_aws.client("s3").put_object(Bucket=place.source, Key="a", Body=b"1")
    parameters = request(place)
    parameters["Report"] |= {"Bucket": f"arn:aws:s3:::{place.source}"}
    job = run(batch, parameters)
    assert job["Status"] == "Failed"
    assert job["FailureReasons"][0]["FailureReason"] == (
        "The job report could not be written to your report bucket. Please check your permissions."
    )
    assert job["ProgressSummary"]["NumberOfTasksSucceeded"] == 1


def test_a_job_fails_when_most_of_a_thousand_tasks_fail(
    local_aws: LocalAWS, batch: Any, place: Place
) -> None:
    text = "".join(f"{place.source},gone-{number}\n" for number in range(1500))
    job = run(batch, with_manifest(place, manifest(local_aws, place, text)))
    assert job["Status"] == "Failed"
    assert job["ProgressSummary"]["NumberOfTasksFailed"] == 1000
    assert len(report(local_aws, place, job)[1]["failed"]) == 1000


@pytest.mark.parametrize("fault", ["missing", "untrusting"])
def test_a_role_that_cannot_be_assumed_fails_the_job(
    local_aws: LocalAWS, batch: Any, place: Place, fault: str
) -> None:
    iam = local_aws.client("iam")
    if fault == "untrusting":
        iam.update_assume_role_policy(RoleName=place.role_name, PolicyDocument=trust("ec2.amazonaws.com"))
    role = place.role if fault == "untrusting" else f"{place.role}-not"
    job = run(batch, request(place, RoleArn=role))
    assert job["Status"] == "Failed"
    assert role in job["FailureReasons"][0]["FailureReason"]


# -- a job's life --------------------------------------------------------------------------------------------


def test_a_job_that_needs_confirmation_waits_for_it(local_aws: LocalAWS, batch: Any, place: Place) -> None:
    local_aws.client("s3").put_object(Bucket=place.source, Key="a", Body=b"1")
    job_id = batch.create_job(**request(place, ConfirmationRequired=True))["JobId"]
    suspended = wait(batch, job_id, "Suspended")
    assert suspended["ProgressSummary"]["TotalNumberOfTasks"] == 1
    assert names(local_aws, place.target) == set()
    updated = batch.update_job_status(
        AccountId=ACCOUNT, JobId=job_id, RequestedJobStatus="Ready", StatusUpdateReason="looks right"
    )
    assert (updated["Status"], updated["StatusUpdateReason"]) == ("Ready", "looks right")
    assert wait(batch, job_id)["Status"] == "Complete"


def test_a_suspended_job_is_cancelled(batch: Any, local_aws: LocalAWS, place: Place) -> None:
    local_aws.client("s3").put_object(Bucket=place.source, Key="a", Body=b"1")
    job_id = batch.create_job(**request(place, ConfirmationRequired=True))["JobId"]
    wait(batch, job_id, "Suspended")
    batch.update_job_status(AccountId=ACCOUNT, JobId=job_id, RequestedJobStatus="Cancelled")
    assert wait(batch, job_id)["Status"] == "Cancelled"
    assert names(local_aws, place.target) == set()


def test_a_running_job_is_cancelled_and_reports_what_ran(
    local_aws: LocalAWS, batch: Any, place: Place, pause: Callable[[int], None]
) -> None:
    for number in range(5):
        local_aws.client("s3").put_object(Bucket=place.source, Key=str(number), Body=b"1")
    pause(2)
    job_id = batch.create_job(**request(place))["JobId"]
    wait_for_pause(local_aws, job_id)
    running = wait(batch, job_id, "Active")
    assert running["ProgressSummary"]["NumberOfTasksSucceeded"] == 2
    batch.update_job_status(AccountId=ACCOUNT, JobId=job_id, RequestedJobStatus="Cancelled")
    job = wait(batch, job_id)
    assert job["Status"] == "Cancelled" and "TerminationDate" in job
    assert len(report(local_aws, place, job)[1]["succeeded"]) == 2
    assert names(local_aws, place.target) == {"0", "1"}


def test_an_object_is_copied_as_it_is_when_its_task_runs(
    local_aws: LocalAWS, batch: Any, place: Place, pause: Callable[[int], None]
) -> None:
    s3 = local_aws.client("s3")
    for key in ("a", "deleted", "overwritten"):
        s3.put_object(Bucket=place.source, Key=key, Body=b"old")
    pause(1)
    job_id = batch.create_job(**request(place))["JobId"]
    wait_for_pause(local_aws, job_id)
    s3.delete_object(Bucket=place.source, Key="deleted")
    s3.put_object(Bucket=place.source, Key="overwritten", Body=b"new")
    local_aws.control("DELETE", "s3control")
    job = wait(batch, job_id)
    assert s3.get_object(Bucket=place.target, Key="overwritten")["Body"].read() == b"new"
    assert [row[1:6] for row in report(local_aws, place, job)[1]["failed"]] == [
        ["deleted", "", "failed", "404", "NoSuchKey"]
    ]


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def test_what_has_ended_cannot_be_changed(local_aws: LocalAWS, batch: Any, place: Place) -> None:
    local_aws.client("s3").put_object(Bucket=place.source, Key="a", Body=b"1")
    job_id = run(batch, request(place))["JobId"]
    for wanted in ("Ready", "Cancelled"):
        code = refusal(batch.update_job_status, AccountId=ACCOUNT, JobId=job_id, RequestedJobStatus=wanted)
        assert code == "JobStatusException"


def test_a_token_makes_one_job(batch: Any, place: Place) -> None:
    parameters = request(place)
    first = batch.create_job(**parameters)["JobId"]
    assert batch.create_job(**parameters)["JobId"] == first
    assert refusal(batch.create_job, **(parameters | {"Priority": 11})) == "IdempotencyException"


def test_jobs_are_listed_by_status_in_pages_latest_first(batch: Any, place: Place) -> None:
    mark = uuid.uuid4().hex
    made = [run(batch, request(place, Description=f"{mark} {number}"))["JobId"] for number in range(3)]
    first = batch.list_jobs(AccountId=ACCOUNT, JobStatuses=["Failed"], MaxResults=2)
    second = batch.list_jobs(
        AccountId=ACCOUNT, JobStatuses=["Failed"], MaxResults=2, NextToken=first["NextToken"]
    )
    listed = [job for job in (*first["Jobs"], *second["Jobs"]) if job.get("Description", "").startswith(mark)]
    assert [job["JobId"] for job in listed] == made[::-1]
    assert listed[0]["Operation"] == "S3PutObjectCopy"
    shown = batch.list_jobs(AccountId=ACCOUNT, JobStatuses=["Complete"])["Jobs"]
    assert not {job["JobId"] for job in shown} & set(made)
    assert refusal(batch.list_jobs, AccountId=ACCOUNT, NextToken="what") == "InvalidNextTokenException"


def test_description_priority_and_tags_are_kept(batch: Any, place: Place) -> None:
    tags = [{"Key": "run", "Value": "one"}]
    job_id = batch.create_job(**request(place, Description="Copy", Tags=tags))["JobId"]
    batch.update_job_priority(AccountId=ACCOUNT, JobId=job_id, Priority=99)
    job = wait(batch, job_id)
    assert (job["Description"], job["Priority"], job["RoleArn"]) == ("Copy", 99, place.role)
    assert job["JobArn"] == f"arn:aws:s3:us-east-1:{ACCOUNT}:job/{job_id}"
    assert batch.get_job_tagging(AccountId=ACCOUNT, JobId=job_id)["Tags"] == tags
    batch.put_job_tagging(AccountId=ACCOUNT, JobId=job_id, Tags=[])
    assert batch.get_job_tagging(AccountId=ACCOUNT, JobId=job_id).get("Tags", []) == []


def test_an_unknown_job_is_not_found(batch: Any) -> None:
    assert refusal(batch.describe_job, AccountId=ACCOUNT, JobId=str(uuid.uuid4())) == "NotFoundException"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Operation": {"LambdaInvoke": {"FunctionArn": "arn:aws:lambda:x"}}}, "NotImplemented"),
        (
            {"Operation": {"S3PutObjectCopy": {"TargetResource": "arn:aws:s3:::a", "RequesterPays": True}}},
            "NotImplemented",
        ),
        ({"Operation": {"S3PutObjectCopy": {"TargetResource": "a"}}}, "BadRequestException"),
        ({"Report": {"Enabled": True}}, "BadRequestException"),
    ],
)
def test_what_cannot_be_done_is_refused(batch: Any, place: Place, changes: dict[str, Any], code: str) -> None:
    assert refusal(batch.create_job, **request(place, **changes)) == code


# -- one request ---------------------------------------------------------------------------------------------


@pytest.fixture
def low_limit(local_aws: LocalAWS) -> Iterator[int]:
    """At most ten bytes are copied at once."""
    local_aws.control("POST", "s3/single-copy-limit", {"bytes": 10})
    yield 10
    local_aws.control("DELETE", "s3/single-copy-limit")


def test_a_copy_request_above_the_limit_is_refused(local_aws: LocalAWS, place: Place, low_limit: int) -> None:
    s3 = local_aws.client("s3")
    source = {"Bucket": place.source, "Key": "a"}
    s3.put_object(**source, Body=b"x" * (low_limit + 1))
    with pytest.raises(ClientError) as refused:
        s3.copy_object(Bucket=place.target, Key="a", CopySource=source)
    assert refused.value.response["Error"] == {
        "Code": "InvalidRequest",
        "Message": "The specified copy source is larger than the maximum allowable size for a copy source: "
        f"{low_limit}",
    }
    s3.put_object(**source, Body=b"x" * low_limit)
    s3.copy_object(Bucket=place.target, Key="a", CopySource=source)


def test_parts_of_a_large_object_are_copied_within_the_limit(
    local_aws: LocalAWS, place: Place, low_limit: int
) -> None:
    s3 = local_aws.client("s3")
    source = {"Bucket": place.source, "Key": "a"}
    etag = s3.put_object(**source, Body=b"x" * 15)["ETag"]
    upload = s3.create_multipart_upload(Bucket=place.target, Key="a")["UploadId"]
    part = {"Bucket": place.target, "Key": "a", "UploadId": upload, "CopySource": source, "PartNumber": 1}
    copied = s3.upload_part_copy(**part, CopySourceRange="bytes=0-9", CopySourceIfMatch=etag)
    assert copied["CopyPartResult"]["ETag"]
    assert refusal(s3.upload_part_copy, **part) == "InvalidRequest"
    assert refusal(s3.upload_part_copy, **part, CopySourceRange="bytes=0-10") == "InvalidRequest"
    assert refusal(s3.upload_part_copy, **part, CopySourceRange="bytes=9-15") == "InvalidArgument"
    part |= {"CopySourceRange": "bytes=0-9"}
    assert refusal(s3.upload_part_copy, **part, CopySourceIfMatch='"0"') == "PreconditionFailed"
    assert refusal(s3.upload_part_copy, **(part | {"UploadId": "x"})) == "NoSuchUpload"
    gone = part | {"CopySource": {**source, "Key": "gone"}}
    assert refusal(s3.upload_part_copy, **gone) == "NoSuchKey"


def test_the_limit_is_told_and_checked(local_aws: LocalAWS) -> None:
    assert local_aws.control("GET", "s3/single-copy-limit") == {"bytes": 5_368_709_120}
    with pytest.raises(Exception, match="400"):
        local_aws.control("POST", "s3/single-copy-limit", {"bytes": 0})
