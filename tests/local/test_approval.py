"""Approval over real HTTP, and what starts `provision` by itself, on the deployed stack.

The runbook is replaced by the one state that waits: what is proved here is everything around it. Every test
would pass against AWS.
"""

import io
import json
import re
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
from botocore.exceptions import ClientError
from know_me.approvals import link, signature

from tests.local.approving import Answer, Form, Topic, ask, command_in, link_in, typed
from tests.local.conftest import LocalAWS
from tests.local.test_deploy import CDKCommand
from tests.local.waiting import eventually

pytestmark = pytest.mark.local

ACCOUNT = "123456789012"
ENVIRONMENT = "asking"  # of its own: buckets outlive the stacks of other tests on the same server
STACK = f"know-me-{ENVIRONMENT}"
ARTIFACTS = f"{STACK}-artifacts-{ACCOUNT}"
MACHINE = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{STACK}-provision"
PLAN = {
    "resource_changes": [
        {
            "address": 'module.api.aws_lb_listener.this["https"]',
            "change": {"actions": ["delete", "create"], "replace_paths": [["protocol"]]},
        },
        {"address": "module.api.aws_ecs_service.api", "change": {"actions": ["update"]}},
    ]
}
WAIT = {
    "QueryLanguage": "JSONata",
    "StartAt": "Was it started by an event?",
    "States": {
        "Was it started by an event?": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $exists($states.input.seconds) %}", "Next": "Ask for approval"}],
            "Default": "Nothing to ask",
        },
        "Nothing to ask": {"Type": "Succeed"},
        "Ask for approval": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Arguments": {
                "FunctionName": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{STACK}-ask-for-approval",
                "Payload": {
                    "run_id": "{% $states.context.Execution.Name %}",
                    "task_token": "{% $states.context.Task.Token %}",
                    "execution_arn": "{% $states.context.Execution.Id %}",
                    "timeout_seconds": 600,
                    "counts": {"create": 0, "update": 1, "replace": 1, "delete": 0},
                    "destructive": 1,
                },
            },
            "TimeoutSeconds": "{% $states.input.seconds %}",
            "End": True,
        },
    },
}


@dataclass
class Stage:
    """The deployed stack, with an ear on its topic."""

    aws: LocalAWS
    topic: Topic

    def run(self, seconds: int = 300) -> "Run":
        """Start a run that waits for approval of a plan."""
        name = f"run-{uuid.uuid4().hex[:8]}"
        s3 = self.aws.client("s3")
        s3.put_object(Bucket=ARTIFACTS, Key=f"runs/{name}/plan/plan.json", Body=json.dumps(PLAN).encode())
        s3.put_object(Bucket=ARTIFACTS, Key=f"runs/{name}/plan/plan.txt", Body=b"Plan: <1> to replace")
        started = self.aws.client("stepfunctions").start_execution(
            stateMachineArn=MACHINE, name=name, input=json.dumps({"seconds": seconds})
        )
        return Run(self, name, started["executionArn"], self.topic.message(name))


@dataclass(frozen=True)
class Run:
    """A run that waits."""

    stage: Stage
    name: str
    arn: str
    message: str

    @property
    def link(self) -> str:
        """The link of the message."""
        return link_in(self.message)

    @property
    def command(self) -> str:
        """The command line of the message."""
        return command_in(self.message)

    @property
    def described(self) -> dict[str, Any]:
        """The execution."""
        found: dict[str, Any] = self.stage.aws.client("stepfunctions").describe_execution(
            executionArn=self.arn
        )
        return found

    def ended(self) -> dict[str, Any]:
        """Wait for its end and return its output."""
        eventually(lambda: self.described["status"] != "RUNNING")
        output: dict[str, Any] = json.loads(self.described["output"])
        return output

    def item(self) -> dict[str, Any]:
        """Return what the table has of it."""
        found = self.stage.aws.client("dynamodb").get_item(
            TableName=f"{STACK}-approvals", Key={"run_id": {"S": self.name}}, ConsistentRead=True
        )["Item"]
        return {name: next(iter(value.values())) for name, value in found.items()}

    def record(self) -> Any:
        """Return `approval.json`."""
        found = self.stage.aws.client("s3").get_object(
            Bucket=ARTIFACTS, Key=f"runs/{self.name}/approval.json"
        )
        return json.loads(found["Body"].read())

    def untouched(self) -> bool:
        """Whether nobody decided and it still waits."""
        return "decision" not in self.item() and self.described["status"] == "RUNNING"


@pytest.fixture(scope="module")
def stage(local_aws: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stack, deployed; `provision` only waits."""
    home: Path = tmp_path_factory.mktemp("home")
    cdk = CDKCommand(local_aws, home)
    cdk("bootstrap", f"aws://{ACCOUNT}/us-east-1", directory=home)
    context = {
        "environment": ENVIRONMENT,
        "python_runtime": f"{sys.version_info.major}.{sys.version_info.minor}",
        "drift_schedule": "rate(1 minute)",
    }
    options = [part for key, value in context.items() for part in ("-c", f"{key}={value}")]
    cdk("deploy", STACK, "--require-approval", "never", *options, "--output", str(home / "cdk.out"))
    local_aws.client("stepfunctions").update_state_machine(
        stateMachineArn=MACHINE, definition=json.dumps(WAIT)
    )
    yield Stage(local_aws, Topic(local_aws, f"{STACK}-notifications"))


# ------------------------------------------------------------------ deciding


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_person_follows_the_link_reads_and_decides(stage: Stage, decision: str) -> None:
    # Given the page that the link of the message leads to
    run = stage.run()
    page = ask(run.link)
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "module.api.aws_lb_listener.this" in page.body and "<code>protocol</code>" in page.body
    assert "Plan: &lt;1&gt; to replace" in page.body
    assert page.headers["Cache-Control"] == "no-store"
    # When its form is filled in and sent as a browser does
    form = Form(page.body)
    assert form.names == {"decision", "by", "comment"} and form.method == "post"
    answer = ask(urljoin(run.link, form.action), {"decision": decision, "by": "Ada", "comment": "seen it"})
    # Then the run goes on with it, and it is recorded in both places
    assert answer.status == 200, answer.body
    told = run.ended()
    assert (told["decision"], told["by"], told["comment"]) == (decision, "Ada", "seen it")
    assert run.record() == told
    kept = run.item()
    assert {name: kept[name] for name in told} == told and kept["delivered_at"]


def test_the_command_of_the_message_works_as_it_stands(stage: Stage) -> None:
    run = stage.run()
    typed(stage.aws, run.command)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert (run.ended()["decision"], run.record()["by"]) == ("approve", user)


def test_looking_at_the_page_decides_nothing(stage: Stage) -> None:
    run = stage.run()
    for method in ("GET", "HEAD", "GET"):
        assert ask(run.link, method=method).status == 200
    assert ask(f"{run.link}&decision=approve&by=Ada").status == 400
    assert run.untouched()


def test_of_two_decisions_at_the_same_moment_one_stands(stage: Stage) -> None:
    # Given two people with the same link
    run = stage.run()
    gate = Barrier(2)

    def decide(decision: str) -> int:
        gate.wait()
        return ask(run.link, {"decision": decision, "by": decision}).status

    # When they decide differently at once
    with ThreadPoolExecutor(2) as people:
        statuses = list(people.map(decide, ("approve", "reject")))
    # Then one is taken, the other told so
    assert sorted(statuses) == [200, 409]
    winner = ("approve", "reject")[statuses.index(200)]
    assert run.ended()["by"] == winner == run.record()["by"]


def test_a_double_click_decides_once_and_both_clicks_are_confirmed(stage: Stage) -> None:
    run = stage.run()
    gate = Barrier(2)

    def click(_: int) -> Answer:
        gate.wait()
        return ask(run.link, {"decision": "approve", "by": "Ada"})

    with ThreadPoolExecutor(2) as clicks:
        answers = list(clicks.map(click, range(2)))
    assert [answer.status for answer in answers] == [200, 200], [answer.body for answer in answers]
    assert run.ended() == run.record()


def test_a_replayed_decision_changes_nothing(stage: Stage) -> None:
    run = stage.run()
    ask(run.link, {"decision": "approve", "by": "Ada", "comment": "yes"})
    told = run.ended()
    again = ask(run.link, {"decision": "approve", "by": "Bob"})
    assert again.status == 200 and "Ada approved" in again.body
    other = ask(run.link, {"decision": "reject", "by": "Bob"})
    assert (
        other.status == 409 and f"Ada approved the plan of the run {run.name} at {told['at']}" in other.body
    )
    assert ask(run.link).status == 409
    assert run.record() == told


@pytest.mark.parametrize("changed", ["run_id", "expires", "signature", "other run"])
def test_a_forged_link_decides_nothing(stage: Stage, changed: str) -> None:
    run = stage.run()
    values = {name: found[0] for name, found in parse_qs(urlsplit(run.link).query).items()}
    match changed:
        case "run_id":
            values["run_id"] += "x"
        case "expires":
            values["expires"] = str(int(values["expires"]) + 86400)
        case "signature":
            values["signature"] = values["signature"][::-1]
        case "other run":
            values["run_id"] = stage.run().name
    forged = f"{run.link.partition('?')[0]}?{urlencode(values)}"
    assert ask(forged).status == 403
    assert ask(forged, {"decision": "approve", "by": "Eve"}).status == 403
    assert run.untouched()


def test_an_expired_link_decides_nothing(stage: Stage) -> None:
    # Given a genuine link whose time is over
    run = stage.run()
    key = stage.aws.client("secretsmanager").get_secret_value(SecretId=f"know-me/{ENVIRONMENT}/approval-key")
    over = int(time.time()) - 1
    stage.aws.client("dynamodb").update_item(
        TableName=f"{STACK}-approvals",
        Key={"run_id": {"S": run.name}},
        UpdateExpression="SET expires_at = :over",
        ExpressionAttributeValues={":over": {"N": str(over)}},
    )
    expired = link(run.link.partition("?")[0], key["SecretString"], run.name, over, run.item()["nonce"])
    assert signature(key["SecretString"], run.name, over, run.item()["nonce"]) in expired
    # Then it says so, whatever is asked
    for answer in (ask(expired), ask(expired, {"decision": "approve", "by": "Ada"})):
        assert answer.status == 410 and "could be decided until" in answer.body
    assert run.untouched()


@pytest.mark.parametrize("how", ["stopped", "timed out"])
def test_a_run_that_does_not_wait_any_more_is_said_to_have_ended(stage: Stage, how: str) -> None:
    run = stage.run(seconds=300 if how == "stopped" else 5)
    if how == "stopped":
        stage.aws.client("stepfunctions").stop_execution(executionArn=run.arn)
    status = {"stopped": "ABORTED", "timed out": "FAILED"}[how]
    eventually(lambda: run.described["status"] == status)
    for answer in (ask(run.link), ask(run.link, {"decision": "approve", "by": "Ada"})):
        assert answer.status == 410 and f"has ended ({status})" in answer.body
    assert "decision" not in run.item()


def test_what_is_no_form_is_refused(stage: Stage) -> None:
    run = stage.run()
    good = b"decision=approve&by=Ada"
    form = "application/x-www-form-urlencoded"
    assert ask(run.link, good, Content_Type="application/json").status == 415
    assert ask(run.link, good, Content_Type="text/plain").status == 415
    assert ask(run.link, good + b"&comment=" + b"x" * 20_000, Content_Type=form).status == 413
    refused = ask(run.link, good, method="PUT", Content_Type=form)
    assert refused.status == 405 and refused.headers["Allow"] == "GET, HEAD, POST"
    faulty = ask(run.link, {"decision": "perhaps", "by": " "})
    assert faulty.status == 400 and "decision: " in faulty.body and "by: " in faulty.body
    assert run.untouched()


# ------------------------------------------------------------------ starts


def bundle(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return buffer.getvalue()


def started_with(stage: Stage, wanted: Callable[[str, Any], bool]) -> list[str]:
    """Return the names of executions of `provision` whose name and input are wanted."""
    states = stage.aws.client("stepfunctions")
    names = []
    for each in states.list_executions(stateMachineArn=MACHINE)["executions"]:
        given = json.loads(states.describe_execution(executionArn=each["executionArn"])["input"])
        if wanted(each["name"], given):
            names.append(each["name"])
    return names


def test_a_bundle_that_arrives_is_provisioned_with_its_version(stage: Stage) -> None:
    content = bundle(terraform__main_dot_tf=b"", codebuild__terraform_dot_buildspec_dot_yml=b"version: 0.2")
    put = stage.aws.client("s3").put_object(Bucket=ARTIFACTS, Key="bundles/main.zip", Body=content)
    expected = {"bundle": {"key": "bundles/main.zip", "version_id": put["VersionId"]}}
    (name,) = eventually(lambda: started_with(stage, lambda _, given: given == expected))
    assert re.fullmatch(r"bundle-[0-9a-f]{16}", name)


def test_a_bundle_that_is_none_is_refused_by_name(stage: Stage) -> None:
    put = stage.aws.client("s3").put_object(
        Bucket=ARTIFACTS, Key="bundles/bad.zip", Body=bundle(README=b"no Terraform here")
    )
    told = stage.topic.message(put["VersionId"])
    assert "it has no terraform/*.tf" in told and "it has no codebuild/terraform.buildspec.yml" in told
    assert not started_with(stage, lambda _, given: given.get("bundle", {}).get("key") == "bundles/bad.zip")


def test_an_event_that_cannot_be_worked_on_ends_in_the_queue(stage: Stage) -> None:
    # Given an event about a version that does not exist, which fails each time
    stage.aws.client("lambda").invoke(
        FunctionName=f"{STACK}-start-bundle-provision",
        InvocationType="Event",
        Payload=json.dumps(
            {"detail": {"object": {"key": "bundles/gone.zip", "version-id": str(uuid.uuid4()), "size": 1}}}
        ).encode(),
    )
    # Then it is kept
    sqs = stage.aws.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{STACK}-provision-undelivered")["QueueUrl"]
    (kept,) = eventually(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))
    assert json.loads(kept["Body"])["detail"]["object"]["key"] == "bundles/gone.zip"


def test_drift_is_looked_for_on_schedule(stage: Stage) -> None:
    expected = {"action": "plan", "drift": True}
    assert eventually(lambda: started_with(stage, lambda _, given: given == expected), 90)


def test_the_key_is_long_and_made_once(stage: Stage) -> None:
    secrets = stage.aws.client("secretsmanager")
    key = secrets.get_secret_value(SecretId=f"know-me/{ENVIRONMENT}/approval-key")["SecretString"]
    assert re.fullmatch(r"[A-Za-z0-9]{64}", key)
    expiry = stage.aws.client("dynamodb").describe_time_to_live(TableName=f"{STACK}-approvals")
    assert expiry["TimeToLiveDescription"] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "forget_at"}
    with pytest.raises(ClientError, match="ResourceExistsException"):
        secrets.create_secret(Name=f"know-me/{ENVIRONMENT}/approval-key", SecretString="other")
