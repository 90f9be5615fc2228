"""EventBridge Scheduler: schedules fire and are read back unchanged. Every test would pass against AWS."""

import datetime
import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import LocalAWS

pytestmark = pytest.mark.local
WINDOW = {"Mode": "OFF"}


@pytest.fixture(scope="module")
def role(local_aws: LocalAWS) -> str:
    """A role for schedules that may do everything."""
    return local_aws.all_powerful_role("scheduler.amazonaws.com")


def soon() -> str:
    """An expression that is due in about two seconds."""
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    return f"at({moment.strftime('%Y-%m-%dT%H:%M:%S')})"


def create(local_aws: LocalAWS, target: dict[str, Any], **fields: Any) -> str:
    """Create a schedule; return its name."""
    name = f"schedule-{uuid.uuid4().hex[:8]}"
    local_aws.client("scheduler").create_schedule(
        **{
            "Name": name,
            "FlexibleTimeWindow": WINDOW,
            "ScheduleExpression": soon(),
            "Target": target,
            **fields,
        }
    )
    return name


def test_a_schedule_fires_at_its_time_and_is_deleted_afterwards(
    local_aws: LocalAWS, role: str, queue: tuple[str, str]
) -> None:
    url, arn = queue
    name = create(
        local_aws,
        {"Arn": arn, "RoleArn": role, "Input": '{"a": 1}'},
        ActionAfterCompletion="DELETE",
    )
    message = local_aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"][0]
    assert json.loads(message["Body"]) == {"a": 1}
    with pytest.raises(ClientError, match="ResourceNotFound"):
        local_aws.client("scheduler").get_schedule(Name=name)


def test_a_disabled_schedule_does_not_fire(local_aws: LocalAWS, role: str, queue: tuple[str, str]) -> None:
    url, arn = queue
    create(local_aws, {"Arn": arn, "RoleArn": role}, State="DISABLED")
    answer = local_aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=4)
    assert not answer.get("Messages")


def test_a_universal_target_calls_the_action(local_aws: LocalAWS, role: str, queue: tuple[str, str]) -> None:
    url, _ = queue
    create(
        local_aws,
        {
            "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
            "RoleArn": role,
            "Input": json.dumps({"QueueUrl": url, "MessageBody": "hello"}),
        },
    )
    message = local_aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"][0]
    assert message["Body"] == "hello"


def test_a_schedule_is_read_and_updated_without_loss(
    local_aws: LocalAWS, role: str, queue: tuple[str, str]
) -> None:
    scheduler, (_, arn) = local_aws.client("scheduler"), queue
    name = create(
        local_aws,
        {"Arn": arn, "RoleArn": role},
        ScheduleExpression="cron(0 3 * * ? *)",
        ScheduleExpressionTimezone="Europe/Berlin",
        Description="nightly",
    )
    keys = (
        "Name",
        "GroupName",
        "ScheduleExpression",
        "ScheduleExpressionTimezone",
        "FlexibleTimeWindow",
        "Target",
    )
    keys += ("State", "Description", "ActionAfterCompletion")
    first = scheduler.get_schedule(Name=name)
    scheduler.update_schedule(**{key: first[key] for key in keys} | {"State": "DISABLED"})
    second = scheduler.get_schedule(Name=name)
    assert {key: second[key] for key in keys} == {key: first[key] for key in keys} | {"State": "DISABLED"}
    assert second["CreationDate"] == first["CreationDate"]
    scheduler.update_schedule(**{key: first[key] for key in keys})
    assert scheduler.get_schedule(Name=name)["State"] == "ENABLED"


@pytest.mark.parametrize("expression", ["rate(0 minutes)", "cron(* * *)", "at(soon)"])
def test_a_bad_expression_is_refused(local_aws: LocalAWS, role: str, expression: str) -> None:
    target = {"Arn": "arn:aws:sqs:us-east-1:123456789012:x", "RoleArn": role}
    with pytest.raises(ClientError, match="Invalid Schedule Expression"):
        create(local_aws, target, ScheduleExpression=expression)
