"""EventBridge: rules reach their targets. Every test would pass against AWS."""

import datetime
import json
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.events import body_of, fill
from localaws.schedules import Clock, ScheduleExpressionError, parse
from tests.local.conftest import LocalAWS


@pytest.fixture(scope="module")
def role(local_aws: LocalAWS) -> str:
    """A role that may do everything."""
    return local_aws.all_powerful_role(
        "states.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com"
    )


def machine(local_aws: LocalAWS, role: str, state: dict[str, Any]) -> str:
    """A state machine of one JSONata state."""
    definition = {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": state}}
    return str(
        local_aws.client("stepfunctions").create_state_machine(
            name=f"events-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=role
        )["stateMachineArn"]
    )


def received(local_aws: LocalAWS, url: str, seconds: int = 10) -> dict[str, Any]:
    """The next message of a queue."""
    answer = local_aws.client("sqs").receive_message(
        QueueUrl=url, WaitTimeSeconds=seconds, MessageAttributeNames=["All"]
    )
    assert "Messages" in answer, "no message came"
    message: dict[str, Any] = answer["Messages"][0]
    return message


def rule(local_aws: LocalAWS, pattern: dict[str, Any], target: dict[str, Any], **fields: Any) -> str:
    """A rule with one target; return its name."""
    events, name = local_aws.client("events"), f"rule-{uuid.uuid4().hex[:8]}"
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), **fields)
    answer = events.put_targets(Rule=name, Targets=[{"Id": "1", **target}])
    assert answer["FailedEntryCount"] == 0
    return name


def put(local_aws: LocalAWS, source: str, detail: dict[str, Any]) -> None:
    """Put one event."""
    entry = {"Source": source, "DetailType": "Test", "Detail": json.dumps(detail)}
    assert local_aws.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


@pytest.mark.local
def test_the_end_of_an_execution_starts_another_with_transformed_input(
    local_aws: LocalAWS, role: str
) -> None:
    # Given a rule as the orchestrator has it
    failing = machine(local_aws, role, {"Type": "Fail", "Error": "Bad", "Cause": "luck"})
    returning = machine(local_aws, role, {"Type": "Succeed"})
    rule(
        local_aws,
        {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {"stateMachineArn": [failing], "status": ["FAILED", "TIMED_OUT", "ABORTED"]},
        },
        {
            "Arn": returning,
            "RoleArn": role,
            "InputTransformer": {
                "InputPathsMap": {"run": "$.detail.name"},
                "InputTemplate": '{"run_id": <run>, "text": "run <run>"}',
            },
        },
    )
    # When an execution fails
    states = local_aws.client("stepfunctions")
    states.start_execution(stateMachineArn=failing, name="run-1")
    # Then the other state machine is started, once
    deadline = time.monotonic() + 10
    executions: list[Any] = []
    while not executions and time.monotonic() < deadline:
        executions = states.list_executions(stateMachineArn=returning)["executions"]
        time.sleep(0.05)
    assert len(executions) == 1
    described = states.describe_execution(executionArn=executions[0]["executionArn"])
    assert json.loads(described["input"]) == {"run_id": "run-1", "text": "run run-1"}


@pytest.mark.local
def test_status_events_carry_input_output_and_milliseconds(
    local_aws: LocalAWS, role: str, queue: tuple[str, str]
) -> None:
    url, arn = queue
    done = machine(local_aws, role, {"Type": "Pass", "Output": {"a": 1}, "End": True})
    rule(
        local_aws,
        {"source": ["aws.states"], "detail": {"stateMachineArn": [done], "status": ["SUCCEEDED"]}},
        {"Arn": arn},
    )
    execution = local_aws.client("stepfunctions").start_execution(stateMachineArn=done, input='{"b": 2}')
    event = json.loads(received(local_aws, url)["Body"])
    detail = event["detail"]
    assert event["resources"] == [execution["executionArn"]]
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert (detail["status"], json.loads(detail["input"]), json.loads(detail["output"])) == (
        "SUCCEEDED",
        {"b": 2},
        {"a": 1},
    )
    assert detail["stopDate"] >= detail["startDate"] > 1_600_000_000_000


@pytest.mark.local
def test_patterns_choose_and_disabled_rules_do_not_fire(local_aws: LocalAWS, queue: tuple[str, str]) -> None:
    url, arn = queue
    source = f"test.{uuid.uuid4().hex[:8]}"
    pattern = {
        "source": [source],
        "detail": {
            "state": [{"anything-but": "skip"}],
            "size": [{"numeric": [">", 5]}],
            "name": [{"prefix": "a"}],
        },
    }
    name = rule(local_aws, pattern, {"Arn": arn, "InputPath": "$.detail"})
    put(local_aws, source, {"state": "skip", "size": 9, "name": "a1"})
    put(local_aws, source, {"state": "go", "size": 3, "name": "a2"})
    put(local_aws, source, {"state": "go", "size": 9, "name": "b3"})
    put(local_aws, source, {"state": "go", "size": 9, "name": "a4"})
    assert json.loads(received(local_aws, url)["Body"])["name"] == "a4"
    local_aws.client("events").disable_rule(Name=name)
    put(local_aws, source, {"state": "go", "size": 9, "name": "a5"})
    answer = local_aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=1)
    assert [json.loads(message["Body"])["name"] for message in answer.get("Messages", [])] in ([], ["a4"])


@pytest.mark.local
def test_what_cannot_be_delivered_goes_to_the_dead_letter_queue(
    local_aws: LocalAWS, role: str, queue: tuple[str, str]
) -> None:
    url, arn = queue
    source = f"test.{uuid.uuid4().hex[:8]}"
    missing = "arn:aws:states:us-east-1:123456789012:stateMachine:does-not-exist"
    rule(
        local_aws,
        {"source": [source]},
        {"Arn": missing, "RoleArn": role, "DeadLetterConfig": {"Arn": arn}, "Input": '{"x": 1}'},
    )
    put(local_aws, source, {})
    message = received(local_aws, url)
    assert json.loads(message["Body"]) == {"x": 1}
    assert message["MessageAttributes"]["TARGET_ARN"]["StringValue"] == missing


@pytest.mark.local
def test_a_target_that_needs_a_role_is_refused_without_one(local_aws: LocalAWS) -> None:
    events = local_aws.client("events")
    events.put_rule(Name="roleless", EventPattern=json.dumps({"source": ["test.roleless"]}))
    with pytest.raises(ClientError, match="RoleArn is required"):
        events.put_targets(
            Rule="roleless",
            Targets=[{"Id": "1", "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:x"}],
        )


@pytest.mark.local
def test_events_that_claim_to_be_of_aws_are_refused(local_aws: LocalAWS) -> None:
    entry = {"Source": "aws.states", "DetailType": "Test", "Detail": "{}"}
    answer = local_aws.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


# -- pure parts ----------------------------------------------------------------------------------------------

EVENT: dict[str, Any] = {
    "time": "2026-01-01T00:00:00Z",
    "source": "s",
    "detail": {"text": 'say "hi"', "list": [1, {"a": None}], "n": 2},
}


def test_a_template_fills_text_inside_quotes_and_json_outside() -> None:
    values = {"t": 'say "hi"', "n": 2, "o": {"a": [1]}}
    assert json.loads(fill('{"a": <t>, "b": "<t> <n>", "c": <o>}', values)) == {
        "a": 'say "hi"',
        "b": 'say "hi" 2',
        "c": {"a": [1]},
    }


def test_input_path_and_reserved_names() -> None:
    assert json.loads(body_of({"InputPath": "$.detail.list[1]"}, EVENT, "arn")) == {"a": None}
    transformer = {"InputTemplate": '{"rule": <aws.events.rule-name>, "event": <aws.events.event.json>}'}
    body = json.loads(body_of({"InputTransformer": transformer}, EVENT, "arn:aws:events:r:a:rule/mine"))
    assert body == {"rule": "mine", "event": EVENT}


def utc(text: str) -> datetime.datetime:
    """A moment in UTC."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("rate(5 minutes)", "2026-01-01T00:00:30", "2026-01-01T00:05:30"),
        ("rate(1 day)", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("cron(0 12 * * ? *)", "2026-01-01T12:00:00", "2026-01-02T12:00:00"),
        ("cron(0/15 * * * ? *)", "2026-01-01T12:01:00", "2026-01-01T12:15:00"),
        ("cron(30 8 ? * MON-FRI *)", "2026-01-02T09:00:00", "2026-01-05T08:30:00"),
        ("cron(0 0 L * ? *)", "2026-02-01T00:00:00", "2026-02-28T00:00:00"),
        ("cron(0 0 ? * 6#1 *)", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("cron(0 0 ? * 6L *)", "2026-01-01T00:00:00", "2026-01-30T00:00:00"),
        ("cron(0 0 1W * ? *)", "2026-08-02T00:00:00", "2026-08-03T00:00:00"),
        ("at(2026-01-01T10:00:00)", "2026-01-01T09:00:00", "2026-01-01T10:00:00"),
    ],
)
def test_when_a_schedule_is_due(expression: str, after: str, due: str) -> None:
    assert parse(expression).next_after(utc(after)) == utc(due)


def test_a_time_zone_moves_with_daylight_saving() -> None:
    expression = parse("cron(0 9 * * ? *)", "Europe/Berlin")
    assert expression.next_after(utc("2026-01-01T00:00:00")) == utc("2026-01-01T08:00:00")
    assert expression.next_after(utc("2026-07-01T00:00:00")) == utc("2026-07-01T07:00:00")


@pytest.mark.parametrize(
    "expression", ["rate(0 minutes)", "cron(* * * * *)", "cron(61 * * * ? *)", "at(soon)", "daily"]
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleExpressionError):
        parse(expression)


def test_the_clock_fires_once_per_period_and_not_for_what_left_the_list() -> None:
    fired: list[str] = []
    clock = Clock(None, "test")  # type: ignore[arg-type]  # ticks by hand
    thing = object()
    entry = [(thing, "rate(1 minute)", "UTC", lambda: fired.append("x"))]
    start = utc("2026-01-01T00:00:00")
    for seconds in (0, 30, 60, 61, 119, 120, 600, 601):
        clock.tick(entry, start + datetime.timedelta(seconds=seconds))
    assert len(fired) == 3  # missed periods are not made up for
    clock.tick([], start + datetime.timedelta(seconds=700))
    clock.tick(entry, start + datetime.timedelta(seconds=701))
    assert len(fired) == 3
