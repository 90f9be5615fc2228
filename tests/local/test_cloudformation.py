"""Stacks behave as on AWS: made, changed, replaced, rolled back, deleted, with reasons."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import LocalAWS

pytestmark = pytest.mark.local

Body = dict[str, Any]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of this test alone."""
    return "stack-" + request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[-60:].strip("-")


@pytest.fixture
def cloudformation(local_aws: LocalAWS) -> Any:
    return local_aws.client("cloudformation")


def settled(cloudformation: Any, stack: str) -> dict[str, Any]:
    """Wait until nothing is under way; return the stack."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        if not found["StackStatus"].endswith("IN_PROGRESS"):
            return dict(found)
        time.sleep(0.05)
    raise AssertionError(f"{stack} is still {found['StackStatus']}")


def create(cloudformation: Any, name: str, resources: Body, **more: Any) -> dict[str, Any]:
    body = json.dumps({"Resources": resources, **more})
    stack_id = cloudformation.create_stack(StackName=name, TemplateBody=body)["StackId"]
    return settled(cloudformation, stack_id)


def update(cloudformation: Any, name: str, resources: Body, **more: Any) -> dict[str, Any]:
    cloudformation.update_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources, **more}))
    return settled(cloudformation, name)


def reasons(cloudformation: Any, stack: str) -> list[tuple[str, str, str]]:
    """Return (logical id, status, reason) of every event that has a reason, the oldest first."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return [
        (event["LogicalResourceId"], event["ResourceStatus"], event["ResourceStatusReason"])
        for event in reversed(events)
        if event.get("ResourceStatusReason")
    ]


def exists(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        assert any(word in code for word in ("NotFound", "NoSuch", "404", "NonExistent", "DoesNotExist")), (
            code
        )
        return False
    return True


def parameter(value: str, **more: Any) -> Body:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value, **more}}


def test_outputs_refer_to_what_was_made(cloudformation: Any, local_aws: LocalAWS, name: str) -> None:
    stack = create(
        cloudformation,
        name,
        {"Topic": {"Type": "AWS::SNS::Topic"}, "Value": parameter("x", Name=f"/{name}")},
        Outputs={
            "Arn": {"Value": {"Ref": "Topic"}, "Export": {"Name": f"{name}-topic"}},
            "Name": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}},
        },
    )
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    assert outputs["Arn"].endswith(f":{outputs['Name']}") and outputs["Name"].startswith(f"{name}-Topic-")
    assert local_aws.client("ssm").get_parameter(Name=f"/{name}")["Parameter"]["Value"] == "x"
    # Another stack imports it
    other = create(
        cloudformation, f"{name}-2", {"P": parameter({"Fn::ImportValue": f"{name}-topic"}, Name=f"/{name}-2")}
    )  # type: ignore[arg-type]
    assert other["StackStatus"] == "CREATE_COMPLETE"
    assert local_aws.client("ssm").get_parameter(Name=f"/{name}-2")["Parameter"]["Value"] == outputs["Arn"]


def test_a_bucket_gets_every_property(cloudformation: Any, local_aws: LocalAWS, name: str) -> None:
    bucket = name[-60:].strip("-")
    blocked = dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/secret/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    create(
        cloudformation,
        name,
        {
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketName": bucket,
                    "BucketEncryption": {
                        "ServerSideEncryptionConfiguration": [
                            {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
                        ]
                    },
                    "VersioningConfiguration": {"Status": "Enabled"},
                    "PublicAccessBlockConfiguration": blocked,
                    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                    "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
                    "LifecycleConfiguration": {
                        "Rules": [{"Id": "old", "Status": "Enabled", "ExpirationInDays": 3, "Prefix": "tmp/"}]
                    },
                    "Tags": [{"Key": "a", "Value": "b"}],
                },
            },
            "Policy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "Bucket": {"Ref": "Bucket"},
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
                },
            },
        },
    )
    s3, of = local_aws.client("s3"), {"Bucket": bucket}
    assert s3.get_bucket_versioning(**of)["Status"] == "Enabled"
    assert s3.get_public_access_block(**of)["PublicAccessBlockConfiguration"] == blocked
    (rule,) = s3.get_bucket_encryption(**of)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (rule,) = s3.get_bucket_lifecycle_configuration(**of)["Rules"]
    assert (rule["ID"], rule["Expiration"], rule["Filter"]) == ("old", {"Days": 3}, {"Prefix": "tmp/"})
    assert s3.get_bucket_tagging(**of)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(**of)
    (stored,) = json.loads(s3.get_bucket_policy(**of)["Policy"])["Statement"]
    assert stored == statement


def test_an_unknown_type_is_refused_before_anything_is_made(cloudformation: Any, name: str) -> None:
    resources = {"A": parameter("x"), "B": {"Type": "AWS::Nothing::Known"}, "C": {"Type": "Custom::Thing"}}
    with pytest.raises(
        ClientError, match=r"Unrecognized resource types: \[AWS::Nothing::Known, Custom::Thing\]"
    ):
        create(cloudformation, name, resources)
    with pytest.raises(ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName=name)


def test_an_unknown_property_fails_the_stack_and_undoes_the_rest(
    cloudformation: Any, local_aws: LocalAWS, name: str
) -> None:
    # Given a stack whose second resource has a property that nobody handles
    first = {"First": parameter("x", Name=f"/{name}")}
    second = {"Second": {**parameter("y", Colour="red"), "DependsOn": "First"}}
    # When it is made, then it says which, and the first resource is gone
    stack = create(cloudformation, name, first | second)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    told = reasons(cloudformation, name)
    assert any(
        logical == "Second" and status == "CREATE_FAILED" and "Colour" in reason
        for logical, status, reason in told
    )
    assert any(status == "ROLLBACK_IN_PROGRESS" and "[Second]" in reason for _, status, reason in told)
    assert not exists(lambda: local_aws.client("ssm").get_parameter(Name=f"/{name}"))
    # And it can only be deleted
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        update(cloudformation, name, first)
    cloudformation.delete_stack(StackName=name)
    assert settled(cloudformation, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"


def test_an_error_of_the_service_is_the_reason(cloudformation: Any, name: str) -> None:
    rule = {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "whenever"}}
    stack = create(cloudformation, name, {"Rule": rule})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    (reason,) = [reason for logical, _, reason in reasons(cloudformation, name) if logical == "Rule"]
    assert "Resource handler returned message" in reason and "PutRule" in reason


def test_a_change_in_place_keeps_the_resource(cloudformation: Any, local_aws: LocalAWS, name: str) -> None:
    ssm = local_aws.client("ssm")
    create(cloudformation, name, {"P": parameter("1", Name=f"/{name}"), "Q": parameter("same")})
    stack = update(cloudformation, name, {"P": parameter("2", Name=f"/{name}"), "Q": parameter("same")})
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert ssm.get_parameter(Name=f"/{name}")["Parameter"]["Value"] == "2"
    touched = {
        event["LogicalResourceId"]
        for event in cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        if event["ResourceStatus"] == "UPDATE_COMPLETE"
    }
    assert touched == {"P", name}


def test_another_name_replaces_the_resource_and_what_refers_to_it_follows(
    cloudformation: Any, local_aws: LocalAWS, name: str
) -> None:
    # Given a queue whose name another resource holds
    def resources(queue: str) -> Body:
        return {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": queue}},
            "P": parameter({"Fn::GetAtt": ["Queue", "QueueName"]}, Name=f"/{name}"),  # type: ignore[arg-type]
        }

    sqs, old, new = local_aws.client("sqs"), f"{name[-60:]}-old", f"{name[-60:]}-new"
    create(cloudformation, name, resources(old))
    # When its name changes
    assert update(cloudformation, name, resources(new))["StackStatus"] == "UPDATE_COMPLETE"
    # Then there is another queue instead, and the reference follows
    assert exists(lambda: sqs.get_queue_url(QueueName=new))
    assert not exists(lambda: sqs.get_queue_url(QueueName=old))
    assert local_aws.client("ssm").get_parameter(Name=f"/{name}")["Parameter"]["Value"] == new


def test_a_failed_update_puts_everything_back(cloudformation: Any, local_aws: LocalAWS, name: str) -> None:
    ssm = local_aws.client("ssm")
    before = {
        "Changed": parameter("1", Name=f"/{name}/changed"),
        "Removed": parameter("1", Name=f"/{name}/removed"),
    }
    create(cloudformation, name, before)
    # Given an update that changes one, adds one, removes one, and whose last resource fails
    after = {
        "Changed": parameter("2", Name=f"/{name}/changed"),
        "Added": {**parameter("1", Name=f"/{name}/added"), "DependsOn": "Changed"},
        "Broken": {**parameter("1", Colour="red"), "DependsOn": "Added"},
    }
    # When it is tried
    assert update(cloudformation, name, after)["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    # Then everything is as before
    assert ssm.get_parameter(Name=f"/{name}/changed")["Parameter"]["Value"] == "1"
    assert exists(lambda: ssm.get_parameter(Name=f"/{name}/removed"))
    assert not exists(lambda: ssm.get_parameter(Name=f"/{name}/added"))
    assert {
        each["LogicalResourceId"]
        for each in cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    } == {"Changed", "Removed"}
    # And the next update works
    assert update(cloudformation, name, {"Changed": after["Changed"]})["StackStatus"] == "UPDATE_COMPLETE"
    assert not exists(lambda: ssm.get_parameter(Name=f"/{name}/removed"))


def test_what_is_retained_stays_when_the_stack_is_deleted(
    cloudformation: Any, local_aws: LocalAWS, name: str
) -> None:
    ssm = local_aws.client("ssm")
    kept = {**parameter("x", Name=f"/{name}/kept"), "DeletionPolicy": "Retain"}
    stack = create(cloudformation, name, {"Kept": kept, "Gone": parameter("x", Name=f"/{name}/gone")})
    cloudformation.delete_stack(StackName=name)
    assert settled(cloudformation, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    assert exists(lambda: ssm.get_parameter(Name=f"/{name}/kept"))
    assert not exists(lambda: ssm.get_parameter(Name=f"/{name}/gone"))
    # Deleting again, or what never was, succeeds
    cloudformation.delete_stack(StackName=name)


def test_a_full_bucket_keeps_its_stack_from_being_deleted(
    cloudformation: Any, local_aws: LocalAWS, name: str
) -> None:
    bucket = name[-60:].strip("-")
    stack = create(
        cloudformation, name, {"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}}
    )
    local_aws.client("s3").put_object(Bucket=bucket, Key="x", Body=b"x")
    cloudformation.delete_stack(StackName=name)
    assert settled(cloudformation, stack["StackId"])["StackStatus"] == "DELETE_FAILED"
    local_aws.client("s3").delete_object(Bucket=bucket, Key="x")
    cloudformation.delete_stack(StackName=name)
    assert settled(cloudformation, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"


def test_a_protected_stack_is_not_deleted(cloudformation: Any, name: str) -> None:
    create(cloudformation, name, {"P": parameter("x")})
    cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection is enabled"):
        cloudformation.delete_stack(StackName=name)


def test_a_change_set_shows_what_would_change_and_changes_nothing(
    cloudformation: Any, local_aws: LocalAWS, name: str
) -> None:
    create(
        cloudformation,
        name,
        {"Same": parameter("1"), "Changed": parameter("1", Name=f"/{name}"), "Gone": parameter("1")},
    )
    body = {"Same": parameter("1"), "Changed": parameter("2", Name=f"/{name}"), "New": parameter("1")}
    cloudformation.create_change_set(
        StackName=name, ChangeSetName="look", TemplateBody=json.dumps({"Resources": body})
    )
    described = cloudformation.describe_change_set(StackName=name, ChangeSetName="look")
    changes = {
        each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"]["Action"]
        for each in described["Changes"]
    }
    assert changes == {"Changed": "Modify", "New": "Add", "Gone": "Remove"}
    assert local_aws.client("ssm").get_parameter(Name=f"/{name}")["Parameter"]["Value"] == "1"
    cloudformation.execute_change_set(StackName=name, ChangeSetName="look")
    assert settled(cloudformation, name)["StackStatus"] == "UPDATE_COMPLETE"


def test_a_change_set_without_changes_fails_and_says_so(cloudformation: Any, name: str) -> None:
    resources = {"P": parameter("x")}
    create(cloudformation, name, resources)
    body = json.dumps({"Resources": resources})
    cloudformation.create_change_set(StackName=name, ChangeSetName="none", TemplateBody=body)
    described = cloudformation.describe_change_set(StackName=name, ChangeSetName="none")
    assert (described["Status"], described["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in described["StatusReason"]
    with pytest.raises(ClientError, match="No updates are to be performed"):
        cloudformation.update_stack(StackName=name, TemplateBody=body)
    with pytest.raises(ClientError, match="ChangeSetNotFound"):
        cloudformation.describe_change_set(StackName=name, ChangeSetName="another")


def test_a_state_machine_comes_from_s3_with_its_substitutions(
    cloudformation: Any, local_aws: LocalAWS, name: str
) -> None:
    s3, states = local_aws.client("s3"), local_aws.client("stepfunctions")
    bucket, machine = name[-60:].strip("-"), name[-70:].strip("-")
    s3.create_bucket(Bucket=bucket)

    def resources(text: str) -> Body:
        definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": text, "End": True}}}
        s3.put_object(Bucket=bucket, Key=f"{text}.json", Body=json.dumps(definition).encode())
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        return {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}},
            },
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "StateMachineName": machine,
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "DefinitionS3Location": {"Bucket": bucket, "Key": f"{text}.json"},
                    "DefinitionSubstitutions": {"Word": {"Ref": "AWS::Region"}},
                },
            },
        }

    create(cloudformation, name, resources("hello ${Word}"))
    pages = states.get_paginator("list_state_machines").paginate()
    found = [each for page in pages for each in page["stateMachines"]]
    (arn,) = [each["stateMachineArn"] for each in found if each["name"] == machine]
    assert "hello us-east-1" in states.describe_state_machine(stateMachineArn=arn)["definition"]
    update(cloudformation, name, resources("goodbye ${Word}"))
    assert "goodbye us-east-1" in states.describe_state_machine(stateMachineArn=arn)["definition"]


def test_what_is_not_implemented_is_refused_by_name(cloudformation: Any) -> None:
    with pytest.raises(ClientError, match="cloudformation:ListTypes is not implemented"):
        cloudformation.list_types()


def test_a_secret_is_generated_once(cloudformation: Any, local_aws: LocalAWS, name: str) -> None:
    # Given a secret that is a text, and one that is a document
    def secrets(description: str, length: int = 40) -> Body:
        plain = {"PasswordLength": length, "ExcludePunctuation": True}
        document = {
            **plain,
            "SecretStringTemplate": '{"username": "me"}',
            "GenerateStringKey": "password",
        }
        return {
            key: {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {
                    "Name": f"{name}/{key}",
                    "Description": description,
                    "GenerateSecretString": kind,
                },
            }
            for key, kind in {"plain": plain, "document": document}.items()
        }

    client = local_aws.client("secretsmanager")

    def value(key: str) -> str:
        return str(client.get_secret_value(SecretId=f"{name}/{key}")["SecretString"])

    create(cloudformation, name, secrets("first"))
    before = value("plain")
    assert len(before) == 40 and before.isalnum()
    assert json.loads(value("document")).keys() == {"username", "password"}
    # When something else of it changes, then the value stays
    update(cloudformation, name, secrets("second"))
    assert value("plain") == before
    assert client.describe_secret(SecretId=f"{name}/plain")["Description"] == "second"
    # When another kind of value is wanted, then there is one
    update(cloudformation, name, secrets("second", 50))
    assert len(value("plain")) == 50
    cloudformation.delete_stack(StackName=name)
    assert not eventually_exists(lambda: client.describe_secret(SecretId=f"{name}/plain"))


def eventually_exists(call: Callable[[], Any]) -> bool:
    """Whether something is still there after some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and exists(call):
        time.sleep(0.1)
    return exists(call)


def test_items_of_a_table_expire_by_an_attribute_while_the_template_says_so(
    cloudformation: Any, local_aws: LocalAWS, name: str
) -> None:
    def table(**more: Any) -> Body:
        return {
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TableName": name,
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                    "BillingMode": "PAY_PER_REQUEST",
                    **more,
                },
            }
        }

    def status() -> str:
        client = local_aws.client("dynamodb")
        return str(client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"])

    create(
        cloudformation, name, table(TimeToLiveSpecification={"AttributeName": "forget_at", "Enabled": True})
    )
    assert status() == "ENABLED"
    update(cloudformation, name, table())
    assert status() == "DISABLED"
