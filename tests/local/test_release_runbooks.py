"""The runbooks of releases on real processes: `schema-migration` and `background-jobs`.

The tasks are real, their exit codes and logs too, and so is what the steps make of them (`know_me.tasks`).
The steps that find an image answer what a test tells them, and what CodeDeploy would hear is a step, too:
tests/local/test_releases.py has all of it together.
"""

import io
import json
import re
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from know_me.failures import Caught
from know_me.tasks import TaskOrder, TaskOutcome, outcome

from tests.local.conftest import LocalAWS
from tests.local.waiting import eventually

pytestmark = pytest.mark.local

DEFINITIONS = Path(__file__).parents[2] / "statemachines"
REPORT = "arn:aws:states:::aws-sdk:codedeploy:putLifecycleEventHookExecutionStatus"
HOOK = {"deployment_id": "d-ABC123XYZ", "lifecycle_event_hook_execution_id": "hook-1"}

FUNCTION = """
import json, os
SCRIPT = json.loads(os.environ["SCRIPT"])
def handler(event, context):
    step, payload = event["step"], event["payload"]
    answer = SCRIPT.get(step, {})
    if "raise" in answer:
        raise type(answer["raise"], (Exception,), {})(answer["message"])
    if step == "ReadTaskOutcome":
        caught = payload["caught"]
        try:
            task = payload["task"] or json.loads((caught or {}).get("Cause", ""))
        except ValueError:
            task = {"Containers": [{}]}
        code = task["Containers"][0].get("ExitCode")
        found = {"succeeded": code == 0, "task_arn": task.get("TaskArn")}
        return {**found, "error": "Told", "cause": f"code {code}"}
    return answer
"""


@dataclass(frozen=True)
class Releases:
    """One of the two state machines, and the cluster in which its tasks run."""

    aws: LocalAWS
    name: str
    order: TaskOrder
    machine: str
    queue: str

    def run(self, document: Any) -> dict[str, Any]:
        """Run the state machine to its end."""
        execution = self.start(document)
        states = self.aws.client("stepfunctions")
        eventually(lambda: states.describe_execution(executionArn=execution)["status"] != "RUNNING")
        described: dict[str, Any] = states.describe_execution(executionArn=execution)
        return described

    def start(self, document: Any) -> str:
        """Start the state machine."""
        started = self.aws.client("stepfunctions").start_execution(
            stateMachineArn=self.machine, name=f"x{uuid.uuid4().hex[:8]}", input=json.dumps(document)
        )
        return str(started["executionArn"])

    def asked(self, execution: str, step: str) -> list[dict[str, Any]]:
        """Return what an execution asked of a step."""
        pages = self.aws.client("stepfunctions").get_paginator("get_execution_history")
        parameters = [
            json.loads(event["taskScheduledEventDetails"]["parameters"])
            for page in pages.paginate(executionArn=execution)
            for event in page["events"]
            if "taskScheduledEventDetails" in event
        ]
        payloads = [each.get("Payload", {}) for each in parameters]
        return [each["payload"] for each in payloads if each.get("step") == step]

    def judged(self, execution: str) -> TaskOutcome:
        """Judge the task of an execution as the step `read_task_outcome` does."""
        (asked,) = self.asked(execution, "ReadTaskOutcome")
        return outcome(
            self.aws.client("ecs"),
            self.aws.client("logs"),
            TaskOrder.model_validate(asked["order"]),
            asked["command"],
            started_by=asked["started_by"],
            task=asked["task"],
            caught=Caught.model_validate(asked["caught"]) if asked["caught"] else None,
            time_limit_seconds=asked["time_limit_seconds"],
        )

    def tasks(self, status: str) -> list[dict[str, Any]]:
        """Return the tasks of the cluster that have a desired status."""
        ecs = self.aws.client("ecs")
        arns = ecs.list_tasks(cluster=self.name, desiredStatus=status)["taskArns"]
        found: list[dict[str, Any]] = (
            ecs.describe_tasks(cluster=self.name, tasks=arns)["tasks"] if arns else []
        )
        return found

    def message(self) -> dict[str, Any]:
        """Return the one message that the topic sent."""
        received: list[dict[str, Any]] = []

        def arrived() -> bool:
            received.extend(self.aws.client("sqs").receive_message(QueueUrl=self.queue).get("Messages", []))
            return bool(received)

        eventually(arrived)
        message: dict[str, Any] = json.loads(received[0]["Body"])
        return message


Make = Callable[..., Releases]


@pytest.fixture
def make(local_aws: LocalAWS, queue: tuple[str, str]) -> Make:
    """Deploy a state machine with a task of a shell script as the image."""
    role = local_aws.all_powerful_role(
        "states.amazonaws.com", "lambda.amazonaws.com", "ecs-tasks.amazonaws.com"
    )

    def deploy(machine: str, script: str, **answers: Any) -> Releases:
        name = f"releases-{uuid.uuid4().hex[:8]}"
        order = _containers(local_aws, name, role, script)
        found = order.model_dump()
        told = {"FindNewImage": found, "FindRunningImage": {"order": found, "skip": None}} | answers
        topic = local_aws.client("sns").create_topic(Name=name)["TopicArn"]
        local_aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue[1])
        function = _function(local_aws, name, role, told)
        document = json.loads((DEFINITIONS / f"{machine}.asl.json").read_text())
        text = json.dumps(_told(document, function))
        text = text.replace("${NotificationTopic}", topic).replace("${Environment}", "staging")
        arn = local_aws.client("stepfunctions").create_state_machine(
            name=name, definition=text, roleArn=role
        )["stateMachineArn"]
        return Releases(local_aws, name, order, arn, queue[0])

    return deploy


def _containers(aws: LocalAWS, name: str, role: str, script: str) -> TaskOrder:
    ecs, group = aws.client("ecs"), f"/{name}/api"
    aws.client("logs").create_log_group(logGroupName=group)
    ecs.create_cluster(clusterName=name)
    definition = ecs.register_task_definition(
        family=name,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        executionRoleArn=role,
        containerDefinitions=[
            {
                "name": "api",
                "image": "know-me/api:1",
                "entryPoint": ["/bin/bash", "-c", script],  # the command is its $0
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": group,
                        "awslogs-region": "us-east-1",
                        "awslogs-stream-prefix": "api",
                    },
                },
            }
        ],
    )["taskDefinition"]["taskDefinitionArn"]
    subnet = aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    return TaskOrder(
        cluster=name,
        task_definition=definition,
        container="api",
        launch_type="FARGATE",
        network={"AwsvpcConfiguration": {"Subnets": [subnet], "AssignPublicIp": "DISABLED"}},
    )


def _function(aws: LocalAWS, name: str, role: str, script: dict[str, Any]) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("step.py", FUNCTION)
    created = aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="step.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
        Environment={"Variables": {"SCRIPT": json.dumps(script)}},
    )
    return str(created["FunctionArn"])


def _told(document: Any, function: str) -> Any:
    """Make every step, and every report to CodeDeploy, call the one function with its own name."""
    if isinstance(document, list):
        return [_told(item, function) for item in document]
    if not isinstance(document, dict):
        return document
    if "FunctionName" in document and "Payload" in document:
        step = re.sub(r"\$\{(\w+)Function\}", r"\1", document["FunctionName"])
        return {"FunctionName": function, "Payload": {"step": step, "payload": document["Payload"]}}
    if document.get("Resource") == REPORT:
        heard = {"step": "CodeDeploy", "payload": document["Arguments"]}
        document = {
            **{key: value for key, value in document.items() if key != "Retry"},
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": function, "Payload": heard},
        }
        return document
    return {key: _told(value, function) for key, value in document.items()}


def heard(releases: Releases, execution: str) -> list[str]:
    """Return what CodeDeploy heard, in order."""
    asked = releases.asked(execution, "CodeDeploy")
    assert {(each["DeploymentId"], each["LifecycleEventHookExecutionId"]) for each in asked} <= {
        ("d-ABC123XYZ", "hook-1")
    }
    return [each["Status"] for each in asked]


# ------------------------------------------------------------------ schema-migration


def test_a_schema_migration_is_waited_for_and_reported_as_succeeded(make: Make) -> None:
    releases = make("schema-migration", 'sleep 1; echo "ran $0"')
    # When the hook starts it
    ended = releases.run(HOOK)
    # Then CodeDeploy hears of it when the task has ended, and the task ran the image's `migrate`
    assert ended["status"] == "SUCCEEDED", ended
    assert heard(releases, ended["executionArn"]) == ["Succeeded"]
    found = releases.judged(ended["executionArn"])
    assert (found.succeeded, found.exit_code) == (True, 0)
    (task,) = releases.tasks("STOPPED")
    assert (task["startedBy"], task["taskArn"]) == ("d-ABC123XYZ", found.task_arn)
    assert task["overrides"]["containerOverrides"][0]["command"] == ["migrate"]


def test_a_schema_migration_that_fails_is_reported_with_its_exit_code_and_log(make: Make) -> None:
    releases = make("schema-migration", 'echo "running $0"; echo "column exists" >&2; exit 3')
    ended = releases.run(HOOK)
    # Then the execution fails, CodeDeploy hears so, and people are told
    assert (ended["status"], ended["error"]) == ("FAILED", "Told")
    assert heard(releases, ended["executionArn"]) == ["Failed"]
    message = releases.message()
    assert message["Subject"] == "Know Me staging: the schema migration of d-ABC123XYZ failed"
    assert "code 3" in message["Message"] and ended["executionArn"] in message["Message"]
    # And the step finds the code and the last words
    found = releases.judged(ended["executionArn"])
    assert (found.error, found.exit_code) == ("SchemaMigrationFailed", 3)
    assert set(found.log_lines) == {"running migrate", "column exists"}


def test_an_image_that_does_not_start_is_reported_as_failed(make: Make) -> None:
    order = make("schema-migration", "exit 0").order.model_copy(
        update={"task_definition": "no-such-family:1"}
    )
    releases = make("schema-migration", "exit 0", FindNewImage=order.model_dump())
    ended = releases.run(HOOK)
    assert heard(releases, ended["executionArn"]) == ["Failed"]
    found = releases.judged(ended["executionArn"])
    assert (found.task_arn, found.error) == (None, "SchemaMigrationFailed")
    assert "did not start with no-such-family:1" in str(found.cause)


def test_a_release_that_is_refused_is_reported_with_the_one_sentence(make: Make) -> None:
    # Given that a migration holds the lock
    refusal = {"raise": "LockHeld", "message": "The migrate run m works on staging."}
    releases = make("schema-migration", "exit 0", FindNewImage=refusal)
    ended = releases.run(HOOK)
    # Then nothing runs, and CodeDeploy hears that it failed
    assert (ended["error"], ended["cause"]) == ("LockHeld", "The migrate run m works on staging.")
    assert heard(releases, ended["executionArn"]) == ["Failed"]
    assert releases.tasks("STOPPED") == []


def test_a_task_ends_when_its_execution_is_stopped(make: Make) -> None:
    releases = make("schema-migration", "sleep 60")
    execution = releases.start(HOOK)
    eventually(lambda: bool(releases.tasks("RUNNING")))
    releases.aws.client("stepfunctions").stop_execution(executionArn=execution)
    eventually(lambda: not releases.tasks("RUNNING"))


# ------------------------------------------------------------------ background-jobs


def test_background_jobs_run_once_and_their_exit_code_decides(make: Make) -> None:
    good = make("background-jobs", 'test "$0" = background-jobs')
    ended = good.run({})
    assert ended["status"] == "SUCCEEDED"
    (task,) = good.tasks("STOPPED")
    assert json.loads(ended["output"]) == {"task": task["taskArn"]}
    assert task["startedBy"] == "background-jobs"
    bad = make("background-jobs", "echo oh; exit 1")
    ended = bad.run({})
    assert ended["status"] == "FAILED"
    assert bad.judged(ended["executionArn"]).error == "BackgroundJobsFailed"


def test_background_jobs_skip_with_the_reason(make: Make) -> None:
    releases = make("background-jobs", "exit 1")
    order = releases.order.model_dump()
    releases = make("background-jobs", "exit 1", FindRunningImage={"order": order, "skip": "At work."})
    ended = releases.run({})
    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"skipped": "At work."})
    assert releases.tasks("STOPPED") == []
