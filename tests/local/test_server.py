"""The local AWS itself: who calls, what is not implemented, faults, certificates."""

# ruff: noqa: S310 - addresses of our own server

import json
import ssl
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.local

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
)


def error(caught: Any) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_administrator_knows_who_he_is(local_aws: Any) -> None:
    assert local_aws.client("sts").get_caller_identity()["Arn"].endswith(":user/administrator")


@pytest.mark.parametrize(
    ("service", "action", "code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("ec2", "describe_vpcs", "AuthFailure"),
        ("dynamodb", "list_tables", "UnrecognizedClientException"),
        ("lambda", "list_functions", "UnrecognizedClientException"),
        ("stepfunctions", "list_state_machines", "UnrecognizedClientException"),
    ],
)
def test_unknown_key_is_refused_in_the_words_of_the_service(
    local_aws: Any, service: str, action: str, code: str
) -> None:
    client = local_aws.client(service, aws_access_key_id="AKIAQQQQQQQQQQQQQQQQ", aws_secret_access_key="x")
    with pytest.raises(ClientError) as refused:
        getattr(client, action)()
    assert error(refused) == (code, 403)


def test_session_of_a_role_acts_as_the_role_and_is_recorded(local_aws: Any) -> None:
    name = f"role-{uuid.uuid4().hex[:8]}"
    role = local_aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    made = local_aws.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    keys = {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }
    arn = local_aws.client("sts", **keys).get_caller_identity()["Arn"]
    local_aws.client("dynamodb", **keys).list_tables()
    assert arn.endswith(f":assumed-role/{name}/me")
    recorded = [
        json.loads(line) for line in (local_aws.directory / "requests.jsonl").read_text().splitlines()
    ]
    assert (arn, "dynamodb", "ListTables") in {(r["principal"], r["service"], r["action"]) for r in recorded}


def test_session_without_its_token_is_refused(local_aws: Any) -> None:
    role = local_aws.client("iam").create_role(
        RoleName=f"role-{uuid.uuid4().hex[:8]}", AssumeRolePolicyDocument=TRUST
    )["Role"]["Arn"]
    made = local_aws.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    client = local_aws.client("sts", aws_access_key_id=made["AccessKeyId"], aws_secret_access_key="x")
    with pytest.raises(ClientError) as refused:
        client.get_caller_identity()
    assert error(refused) == ("InvalidClientTokenId", 403)


def test_role_that_does_not_exist_cannot_be_assumed(local_aws: Any) -> None:
    with pytest.raises(ClientError) as refused:
        local_aws.client("sts").assume_role(
            RoleArn="arn:aws:iam::123456789012:role/nobody", RoleSessionName="me"
        )
    assert error(refused) == ("AccessDenied", 403)


@pytest.mark.parametrize(
    ("service", "action", "arguments"),
    [
        ("ec2", "describe_fpga_images", {}),  # ec2
        ("codebuild", "list_fleets", {}),  # json
        ("lambda", "list_code_signing_configs", {}),  # rest-json
        ("cloudfront", "list_realtime_log_configs", {}),  # rest-xml
        ("iam", "generate_organizations_access_report", {"EntityPath": "o-a/r-b/ou-c-dddddddd"}),  # query
        ("s3", "list_bucket_metrics_configurations", {"Bucket": "b"}),
        ("s3", "delete_bucket_metrics_configuration", {"Bucket": "b", "Id": "1"}),
        ("s3", "get_object_torrent", {"Bucket": "b", "Key": "k"}),
        ("kafka", "list_scram_secrets", {"ClusterArn": "arn"}),
    ],
)
def test_action_that_is_not_implemented_is_400_and_names_itself(
    local_aws: Any, service: str, action: str, arguments: dict[str, Any]
) -> None:
    client = local_aws.client(service)
    with pytest.raises(ClientError) as refused:
        getattr(client, action)(**arguments)
    name = client.meta.method_to_api_mapping[action]
    assert error(refused) == ("NotImplemented", 400)
    assert f"{service}:{name}" in refused.value.response["Error"]["Message"]


def test_fault_makes_the_next_calls_fail_and_then_no_more(local_aws: Any) -> None:
    table = local_aws.client("dynamodb")
    local_aws.control(
        "POST",
        "faults",
        {"service": "dynamodb", "action": "ListTables", "times": 2, "error": "Asked", "message": "x"},
    )
    for _ in range(2):
        with pytest.raises(ClientError) as failed:
            table.list_tables()
        assert error(failed) == ("Asked", 400)
    assert table.list_tables()["TableNames"] is not None
    assert local_aws.control("GET", "faults") == []


def test_fault_concerns_the_caller_that_it_names(local_aws: Any) -> None:
    # Given a fault for one role
    role = local_aws.all_powerful_role("lambda.amazonaws.com")
    keys = local_aws.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session = local_aws.client(
        "dynamodb",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    name = role.rpartition("/")[2]
    fault = {"service": "dynamodb", "action": "ListTables", "error": "Asked", "principal": name}
    local_aws.control("POST", "faults", fault)
    # When the administrator calls, then nothing fails; when the role calls, then it does
    local_aws.client("dynamodb").list_tables()
    with pytest.raises(ClientError) as failed:
        session.list_tables()
    assert error(failed) == ("Asked", 400)


def test_faults_are_cleared_and_wrong_ones_refused(local_aws: Any) -> None:
    fault = {"service": "sqs", "action": "ListQueues"}
    local_aws.control("POST", "faults", fault)
    assert local_aws.control("GET", "faults")[0]["times"] == 1
    local_aws.control("DELETE", "faults")
    local_aws.client("sqs").list_queues()
    with pytest.raises(urllib.error.HTTPError) as refused:
        local_aws.control("POST", "faults", {**fault, "tmes": 1})
    assert refused.value.code == 400


def test_certificate_bundle_is_served_and_is_a_trust_anchor(local_aws: Any) -> None:
    with urllib.request.urlopen(
        f"{local_aws.endpoint}/_localaws/certificate-bundle.pem", timeout=10
    ) as answer:
        bundle = answer.read().decode()
    context = ssl.create_default_context(cadata=bundle)
    assert context.cert_store_stats()["x509_ca"] >= 1
    assert Path(local_aws.variables["PGSSLROOTCERT"]).read_text() == bundle


def test_status_names_services_and_processes(local_aws: Any) -> None:
    status = local_aws.status()
    assert {"sts", "s3", "codebuild", "awslambda"} <= set(status["services"])
    assert status["port"] == local_aws.port and status["failures"] == []


def test_fault_concerns_the_resource_that_it_names_and_lets_the_first_calls_pass(local_aws: Any) -> None:
    # Given a fault on the second read of one object
    s3, bucket = local_aws.client("s3"), "faulty-bucket"
    s3.create_bucket(Bucket=bucket)
    for key in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    fault = {
        "service": "s3",
        "action": "GetObject",
        "resource": f"{bucket}/b",
        "skip": 1,
        "error": "SlowDown",
    }
    local_aws.control("POST", "faults", fault)

    # When both are read three times
    def read(key: str) -> str:
        try:
            s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "read"

    answers = {key: [read(key) for _ in range(3)] for key in ("a", "b")}
    # Then only that one fails
    assert answers == {"a": ["read"] * 3, "b": ["read", "SlowDown", "read"]}
