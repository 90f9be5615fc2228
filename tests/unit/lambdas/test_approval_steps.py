"""Asking and deciding as Lambda and the browser see them, on moto; Step Functions says what it is told to."""

import base64
import hashlib
import importlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode

import boto3
import pytest
from aws_lambda_powertools.utilities.parameters import clear_caches
from aws_lambda_powertools.utilities.parameters.base import DEFAULT_PROVIDERS
from botocore.exceptions import ClientError
from know_me.approval_table import ApprovalTable
from know_me.approvals import Answer, Waiting
from know_me.deciding import Decider
from know_me.errors import ApprovalDecided, ApprovalExpired, ApprovalUndelivered
from know_me.run_folder import RunFolder

from tests.unit.lambdas.conftest import BUCKET, NOW, REGION, Stubbed, execution
from tests.unit.lambdas.test_bundles import GOOD, archive

TABLE = "know-me-staging-approvals"
EXECUTION = execution("provision", "run-1")
KEY = "k" * 64
FIRST_TOKEN = "token-1"
CONTEXT = SimpleNamespace(aws_request_id="request-1")
PLAN = {
    "resource_changes": [
        {
            "address": 'module.database.aws_db_instance.this["blue"]',
            "change": {"actions": ["delete", "create"], "replace_paths": [["identifier"]]},
        },
        {"address": "module.api.<b>aws_ecs_service</b>.api", "change": {"actions": ["update"]}},
    ]
}


@pytest.fixture
def stack(aws: None) -> Iterator[None]:
    """What the orchestrator's stack has for approvals, and a plan."""
    boto3.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "run_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "run_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    boto3.client("secretsmanager").create_secret(Name="know-me/staging/approval-key", SecretString=KEY)
    boto3.client("ssm").put_parameter(
        Name="/know-me/staging/approval-url", Value="https://page.example/", Type="String"
    )
    boto3.client("sns").create_topic(Name="know-me-staging-notifications")
    folder = RunFolder(boto3.client("s3"), BUCKET, "run-1")
    folder.write("plan/plan.json", PLAN)
    folder.write_text("plan/plan.txt", "# <script>alert(1)</script>\nPlan: 1 to add", "text/plain")
    DEFAULT_PROVIDERS.clear()
    yield
    clear_caches()
    DEFAULT_PROVIDERS.clear()


class Topic:
    """Catches what is published."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
        self.published: list[dict[str, Any]] = []
        for name in modules:
            module = importlib.import_module(name)
            real = module.client

            def client(service: str, real: Any = real) -> Any:
                if service == "sns":
                    return SimpleNamespace(publish=lambda **message: self.published.append(message))
                return real(service)

            monkeypatch.setattr(module, "client", client)


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    return Topic(monkeypatch, "ask_for_approval", "start_bundle_provision")


class States:
    """Step Functions with one execution and its tokens."""

    def __init__(self) -> None:
        self.status = "RUNNING"
        self.error: str | None = None
        self.sent: list[tuple[str, Any]] = []
        self.started: list[dict[str, Any]] = []

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803
        return {
            "executionArn": executionArn,
            "name": executionArn.rpartition(":")[2],
            "status": self.status,
            "startDate": NOW,
        }

    def send_task_success(self, taskToken: str, output: str) -> None:  # noqa: N803
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": self.error}}, "SendTaskSuccess")
        self.sent.append((taskToken, json.loads(output)))


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> States:
    told = States()
    for name in ("ask_for_approval", "decide_approval"):
        module = importlib.import_module(name)
        real = module.client
        monkeypatch.setattr(
            module,
            "client",
            lambda service, real=real: told if service == "stepfunctions" else real(service),
        )
    return told


def ask(token: str = FIRST_TOKEN, **change: Any) -> Any:
    event = {
        "run_id": "run-1",
        "task_token": token,
        "execution_arn": EXECUTION,
        "timeout_seconds": 3600,
        "counts": {"create": 0, "update": 1, "replace": 1, "delete": 0},
        "destructive": 1,
        **change,
    }
    return importlib.import_module("ask_for_approval").lambda_handler(event, CONTEXT)


def call(query: str, method: str = "GET", **change: Any) -> dict[str, Any]:
    """Ask the page as a function URL does."""
    event = {
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": query,
        "headers": {},
        "requestContext": {"http": {"method": method, "path": "/"}},
        "isBase64Encoded": False,
        **change,
    }
    answer = importlib.import_module("decide_approval").lambda_handler(event, CONTEXT)
    assert json.loads(json.dumps(answer)) == answer
    return dict(answer)


def post(query: str, **form: str) -> dict[str, Any]:
    """Send the form as Lambda passes it on: in base64."""
    return call(
        query,
        "POST",
        headers={"content-type": "application/x-www-form-urlencoded"},
        body=base64.b64encode(urlencode(form).encode()).decode(),
        isBase64Encoded=True,
    )


def directly(**event: Any) -> Any:
    return importlib.import_module("decide_approval").lambda_handler(event, CONTEXT)


@pytest.fixture
def query(stack: None, topic: Topic, states: States) -> str:
    """The query of the link of a request that waits."""
    ask()
    (found,) = re.findall(r"^https://page\.example/\?(\S+)$", topic.published[0]["Message"], re.MULTILINE)
    return str(found)


def item() -> dict[str, Any]:
    found = boto3.client("dynamodb").get_item(TableName=TABLE, Key={"run_id": {"S": "run-1"}})["Item"]
    return {name: next(iter(value.values())) for name, value in found.items()}


# ------------------------------------------------------------------ asking


def test_asking_keeps_the_token_and_tells_the_topic(stack: None, topic: Topic, states: States) -> None:
    answer = ask()
    # Then the table has the token, an end before the task's, and a day on which it is forgotten
    kept = item()
    assert kept["task_token"] == "token-1" and kept["execution_arn"] == EXECUTION
    left = int(kept["expires_at"]) - datetime.now(UTC).timestamp()
    assert 3500 < left <= 3570
    assert int(kept["forget_at"]) - int(kept["expires_at"]) == 30 * 86400
    # And the run folder has what is asked, what destroys first
    request = RunFolder(boto3.client("s3"), BUCKET, "run-1").read("plan/approval-request.json")
    assert [change["action"] for change in request["changes"]] == ["replace", "update"]
    assert request["changes"][0]["forced_by"] == ["identifier"]
    # And the message has all that is needed to decide
    (message,) = topic.published
    assert message["Subject"] == "Know Me staging: a destructive plan waits for approval (run-1)"
    assert f"--region {REGION} --function-name know-me-staging-decide-approval" in message["Message"]
    assert kept["nonce"] not in message["Message"]
    assert answer == {"asked": True, "expires_at": request["expires_at"].replace("Z", "+00:00")}


def test_without_a_plan_nobody_is_asked(stack: None, topic: Topic, states: States) -> None:
    with pytest.raises(Exception, match=r"plan\.json does not exist") as failed:
        ask(run_id="run-2")
    assert type(failed.value).__name__ == "ProvisionFailed" and topic.published == []


def test_asking_again_makes_the_first_link_worthless(query: str, topic: Topic) -> None:
    ask("token-2")
    assert call(query)["statusCode"] == 403
    assert item()["task_token"] == "token-2"


def test_a_run_that_asks_again_after_the_decision_is_told_at_once(
    query: str, topic: Topic, states: States
) -> None:
    # Given a decision that the first try of the step never heard of
    assert post(query, decision="approve", by="Ada")["statusCode"] == 200
    # When the step is tried again
    assert ask("token-2") == {"asked": False, "decision": "approve"}
    # Then nobody is asked twice
    assert [token for token, _ in states.sent] == ["token-1", "token-2"]
    assert states.sent[1][1]["by"] == "Ada" and len(topic.published) == 1


# ------------------------------------------------------------------ the page


def test_the_page_shows_the_plan_and_escapes_it(query: str) -> None:
    answer = call(query)
    assert answer["statusCode"] == 200
    page = answer["body"]
    assert "1 to replace, 1 to update" in page
    assert (
        "module.database.aws_db_instance.this[&#34;blue&#34;]" in page and "<code>identifier</code>" in page
    )
    assert page.index("To replace: 1") < page.index("To update: 1")
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page and "<b>" not in page
    (action,) = re.findall(r'action="([^"]*)"', page)
    assert action.replace("&amp;", "&") == f"?{query}"


def test_no_answer_is_kept_framed_or_referred_to(query: str) -> None:
    for answer in (call(query), call("broken"), call(query, "DELETE")):
        headers = answer["headers"]
        assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY" and headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert (
            policy.startswith("default-src 'none'; style-src 'sha256-") and "frame-ancestors 'none'" in policy
        )


def test_the_policy_allows_exactly_the_style_of_the_page(query: str) -> None:
    answer = call(query)
    (style,) = re.findall(r"<style>(.*?)</style>", answer["body"], re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer["headers"]["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_at_it_decides_nothing(query: str, states: States, method: str) -> None:
    for _ in range(3):
        assert call(f"{query}", method)["statusCode"] == 200
    assert "decision" not in item() and states.sent == []
    # Not even with the fields of the form in the address
    assert call(f"{query}&decision=approve&by=Ada", method)["statusCode"] == 400
    assert "decision" not in item() and states.sent == []


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_decision_is_kept_and_the_run_told(query: str, states: States, decision: str) -> None:
    answer = post(query, decision=decision, by=" Ada ", comment="looks\r\nright")
    assert answer["statusCode"] == 200 and "Ada" in answer["body"]
    # Then table, run folder and run have the same
    ((token, told),) = states.sent
    assert token == "token-1" and set(told) == {"decision", "by", "at", "comment"}
    assert (told["decision"], told["by"], told["comment"]) == (decision, "Ada", "looks\nright")
    assert RunFolder(boto3.client("s3"), BUCKET, "run-1").read("approval.json") == told
    kept = item()
    assert {name: kept[name] for name in told} == told and kept["delivered_at"]


def test_the_same_decision_again_is_confirmed_and_another_refused(query: str, states: States) -> None:
    post(query, decision="approve", by="Ada", comment="yes")
    again = post(query, decision="approve", by="Bob")
    assert again["statusCode"] == 200 and "Ada approved" in again["body"]
    other = post(query, decision="reject", by="Bob")
    assert other["statusCode"] == 409
    assert "Ada approved the plan of the run run-1 at" in other["body"] and "yes" in other["body"]
    assert call(query)["statusCode"] == 409
    assert len(states.sent) == 1 and item()["by"] == "Ada"


def test_what_was_recorded_and_not_delivered_is_delivered_by_a_repeat(query: str, states: States) -> None:
    # Given Step Functions that does not answer
    states.error = "ThrottlingException"
    answer = post(query, decision="approve", by="Ada")
    assert answer["statusCode"] == 503 and "Send the same decision again." in answer["body"]
    # Then another decision is refused, and the same one delivered
    assert post(query, decision="reject", by="Bob")["statusCode"] == 409
    states.error = None
    assert post(query, decision="approve", by="Ada")["statusCode"] == 200
    assert [told["by"] for _, told in states.sent] == ["Ada"]


def test_a_run_that_has_ended_is_said_to_have_ended(query: str, states: States) -> None:
    states.status = "ABORTED"
    for answer in (call(query), post(query, decision="approve", by="Ada")):
        assert answer["statusCode"] == 410 and "has ended (ABORTED)" in answer["body"]
    assert "decision" not in item()


@pytest.mark.parametrize("error", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_token_that_is_over_is_said_to_be_over(
    query: str, states: States, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("know_me.deciding.SECONDS_BETWEEN_LOOKS", 0)
    states.error = error
    answer = post(query, decision="approve", by="Ada")
    assert answer["statusCode"] == 410 and "does not wait any more" in answer["body"]


def test_too_late_is_too_late(query: str, states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr("decide_approval.utc_now", lambda: later)
    for answer in (call(query), post(query, decision="approve", by="Ada")):
        assert answer["statusCode"] == 410 and "could be decided until" in answer["body"]
    assert "decision" not in item() and states.sent == []


def changed(query: str, **change: str) -> str:
    return urlencode({**{name: values[0] for name, values in parse_qs(query).items()}, **change})


@pytest.mark.parametrize("place", ["run_id", "expires", "signature"])
def test_a_link_with_anything_changed_is_forged(query: str, states: States, place: str) -> None:
    value = parse_qs(query)[place][0]
    other = {"run_id": "run-2", "expires": str(int(value) + 1) if place == "expires" else ""}.get(
        place, ("0" if value[0] != "0" else "1") + value[1:]
    )
    for answer in (
        call(changed(query, **{place: other})),
        post(changed(query, **{place: other}), decision="approve", by="Ada"),
    ):
        assert answer["statusCode"] == 403
    assert "decision" not in item() and states.sent == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"rawPath": "/favicon.ico"}, 404),
        ({"method": "PUT"}, 405),
        ({"method": "DELETE"}, 405),
        ({"body": "x" * 16_385}, 413),
        ({"headers": {"content-type": "application/json"}, "body": "{}"}, 415),
        ({"headers": {"content-type": "multipart/form-data; boundary=x"}}, 415),
        ({"headers": {}}, 415),
        ({"headers": {"content-type": "application/x-www-form-urlencoded; charset=utf-16"}}, 415),
        ({"body": "decision=vielleicht&by="}, 400),
        ({"body": "é"}, 400),
        ({"body": "%%%", "isBase64Encoded": True}, 400),
        ({"query": ""}, 400),
    ],
)
def test_what_is_no_form_is_refused_by_its_status(
    query: str, states: States, change: dict[str, Any], status: int
) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    given = {"method": "POST", "headers": form, "body": "decision=approve&by=Ada", "query": query, **change}
    answer = call(given.pop("query"), **given)
    assert answer["statusCode"] == status and answer["headers"]["Content-Type"].startswith("text/html")
    assert ("Allow" in answer["headers"]) == (status == 405)
    assert "decision" not in item() and states.sent == []


def test_every_fault_is_on_the_page(query: str) -> None:
    body = post(query, decision="perhaps", comment="x" * 1001)["body"]
    assert all(name in body for name in ("decision: ", "by: ", "comment: "))


def test_the_link_is_not_logged(query: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    with caplog.at_level("DEBUG"):
        call(query)
        post(query, decision="approve", by="Ada")
    logged = [str(vars(record)) for record in caplog.records]
    assert any("The decision stands" in line for line in logged)
    assert not any(parse_qs(query)["signature"][0] in line for line in logged)


# ------------------------------------------------------------------ by command line


def test_by_command_line_no_signature_is_needed(query: str, states: States) -> None:
    answer = directly(run_id="run-1", decision="reject", by="Ada", comment="no")
    assert (answer["decision"], answer["by"], answer["comment"]) == ("reject", "Ada", "no")
    assert states.sent == [("token-1", answer)]
    with pytest.raises(ApprovalDecided, match="Ada rejected"):
        directly(run_id="run-1", decision="approve", by="Bob")


def test_a_bad_command_is_told_every_fault(query: str) -> None:
    with pytest.raises(
        Exception, match=r"decision: .*by: field required.*signature: unknown field"
    ) as refused:
        directly(run_id="run-1", decision="yes", signature="x")
    assert type(refused.value).__name__ == "InvalidRequest"
    with pytest.raises(Exception, match="run_id: the run run-9 has asked for no approval in staging"):
        directly(run_id="run-9", decision="approve", by="Ada")


# ------------------------------------------------------------------ one decision


WAITING = Waiting(
    run_id="run-1",
    task_token="token",
    execution_arn=EXECUTION,
    expires_at=int(NOW.timestamp()) + 60,
    nonce="n",
)
DECIDED = {"decision": "approve", "by": "Bob", "at": "then", "comment": ""}


class Conflict(ApprovalTable):
    """A table on which somebody else is faster."""

    def __init__(self, *latest: Waiting) -> None:
        self.latest = list(latest)
        self.noted: list[str] = []

    def decide(self, *_: Any) -> bool:
        return False

    def read(self, run_id: str) -> Waiting:
        return self.latest.pop(0)

    def note_delivery(self, run_id: str, at: str) -> None:
        self.noted.append(run_id)


def decider(table: ApprovalTable, states: States, folder: RunFolder) -> Decider:
    return Decider(table, states, lambda run_id: folder, lambda: NOW, lambda seconds: None)


def test_whoever_is_slower_with_another_decision_is_refused(folder: RunFolder) -> None:
    table = Conflict(WAITING.model_copy(update={**DECIDED, "delivered_at": "then"}))
    with pytest.raises(ApprovalDecided, match="Bob approved the plan of the run run-1 at then"):
        decider(table, States(), folder).decide(WAITING, Answer(decision="reject", by="Ada"))


def test_the_second_half_of_a_double_click_is_confirmed(folder: RunFolder) -> None:
    # Given two equal decisions at the same moment, the first of which is being delivered
    decided = WAITING.model_copy(update=DECIDED)
    table = Conflict(decided, decided, decided.model_copy(update={"delivered_at": "now"}))
    states = States()
    states.error = "TaskTimedOut"
    # When the second finds the token used, then it waits until the first has noted its delivery
    approval = decider(table, states, folder).decide(WAITING, Answer(decision="approve", by="Ada"))
    assert approval.by == "Bob" and table.latest == []


def test_a_page_that_is_older_than_the_request_is_refused(folder: RunFolder) -> None:
    table = Conflict(WAITING.model_copy(update={"nonce": "other"}))
    with pytest.raises(ApprovalExpired, match="has asked anew"):
        decider(table, States(), folder).decide(WAITING, Answer(decision="approve", by="Ada"))


def test_a_decision_is_written_with_exactly_these_conditions(stubbed: Stubbed, folder: RunFolder) -> None:
    approval = {"decision": "approve", "by": "Ada", "at": "2026-03-01T12:00:00+00:00", "comment": ""}
    stubbed.expect(
        "dynamodb",
        "update_item",
        {
            "TableName": TABLE,
            "Key": {"run_id": {"S": "run-1"}},
            "UpdateExpression": "SET decision = :decision, #by = :by, #at = :at, #comment = :comment",
            "ConditionExpression": "nonce = :nonce AND attribute_not_exists(decision)",
            "ExpressionAttributeNames": {"#by": "by", "#at": "at", "#comment": "comment"},
            "ExpressionAttributeValues": {
                ":nonce": {"S": "n"},
                **{f":{name}": {"S": value} for name, value in approval.items()},
            },
        },
        {},
    )
    stubbed.expect(
        "stepfunctions",
        "describe_execution",
        {"executionArn": EXECUTION},
        {
            "executionArn": EXECUTION,
            "stateMachineArn": EXECUTION.replace(":execution:", ":stateMachine:").rpartition(":")[0],
            "name": "run-1",
            "status": "RUNNING",
            "startDate": NOW,
        },
    )
    stubbed.expect(
        "stepfunctions",
        "send_task_success",
        {"taskToken": "token", "output": json.dumps(approval, separators=(",", ":"))},
        {},
    )
    stubbed.expect(
        "dynamodb",
        "update_item",
        {
            "TableName": TABLE,
            "Key": {"run_id": {"S": "run-1"}},
            "UpdateExpression": "SET delivered_at = :at",
            "ExpressionAttributeValues": {":at": {"S": "2026-03-01T12:00:00+00:00"}},
        },
        {},
    )
    table = ApprovalTable(stubbed.client("dynamodb"), TABLE)
    decided = Decider(table, stubbed.client("stepfunctions"), lambda run_id: folder, lambda: NOW).decide(
        WAITING, Answer(decision="approve", by="Ada")
    )
    assert decided.model_dump() == approval


def test_an_error_of_step_functions_leaves_the_decision_undelivered(folder: RunFolder) -> None:
    table = Conflict(WAITING.model_copy(update=DECIDED))
    states = States()
    states.error = "InternalServerError"
    with pytest.raises(ApprovalUndelivered, match="Send the same decision again"):
        decider(table, states, folder).decide(WAITING, Answer(decision="approve", by="Ada"))
    assert table.noted == []


# ------------------------------------------------------------------ bundles


def created(key: str, version: str, size: int = 100) -> dict[str, Any]:
    return {
        "detail": {"bucket": {"name": BUCKET}, "object": {"key": key, "version-id": version, "size": size}}
    }


def start_bundle(**event: Any) -> Any:
    return importlib.import_module("start_bundle_provision").lambda_handler(event, CONTEXT)


@pytest.fixture
def started(stack: None, monkeypatch: pytest.MonkeyPatch, topic: Topic) -> list[dict[str, Any]]:
    boto3.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    module = importlib.import_module("start_bundle_provision")
    real, calls = module.client, []

    def start_execution(**arguments: Any) -> None:
        if arguments["name"] in [each["name"] for each in calls]:
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists", "Message": ""}}, "StartExecution")
        calls.append(arguments)

    monkeypatch.setattr(
        module,
        "client",
        lambda service: (
            SimpleNamespace(start_execution=start_execution) if service == "stepfunctions" else real(service)
        ),
    )
    return calls


def put(key: str, body: bytes) -> str:
    return str(boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"])


def test_a_bundle_starts_provision_once_with_its_version(started: list[dict[str, Any]], topic: Topic) -> None:
    version = put("bundles/main.zip", archive(GOOD))
    put("bundles/main.zip", b"a later version, which is no zip")
    # When the event comes twice
    answers = [start_bundle(**created("bundles/main.zip", version)) for _ in range(2)]
    # Then one execution is started, named after the version
    (arguments,) = started
    assert re.fullmatch(r"bundle-[0-9a-f]{16}", arguments["name"])
    assert json.loads(arguments["input"]) == {"bundle": {"key": "bundles/main.zip", "version_id": version}}
    assert arguments["stateMachineArn"].endswith(":know-me-staging-provision")
    assert answers[0] == answers[1] == {"execution": execution("provision", arguments["name"]), "faults": []}
    assert topic.published == []


def test_a_bundle_that_is_none_starts_nothing_and_is_told(
    started: list[dict[str, Any]], topic: Topic
) -> None:
    version = put("bundles/main.zip", b"hello")
    answer = start_bundle(**created("bundles/main.zip", version))
    assert answer["execution"] is None and started == []
    (message,) = topic.published
    assert f"bundles/main.zip (version {version})" in message["Message"]
    assert "it is no zip" in message["Message"]


def test_a_bundle_that_is_too_large_is_not_even_read(started: list[dict[str, Any]], topic: Topic) -> None:
    answer = start_bundle(**created("bundles/none.tar", "no-such-version", size=50 * 1024**2 + 1))
    assert len(answer["faults"]) == 2 and started == [] and len(topic.published) == 1
