"""The ways through `provision`, run by the interpreter alone: no server, and steps that answer as told.

tests/local/test_runbooks.py goes the most important of them on the local AWS, with functions and builds.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localaws.stepfunctions import (
    integrations,
    interpreter,
    maps,  # noqa: F401 - it brings the Map state
    validation,
)
from localaws.stepfunctions.errors import StateError
from localaws.stepfunctions.history import History
from localaws.stepfunctions.integrations import Resource, TaskTokens
from localaws.stepfunctions.scope import Scope

TEXT = (Path(__file__).resolve().parents[3] / "statemachines" / "provision.asl.json").read_text()
DEFINITION = json.loads(TEXT)
ARN = "arn:aws:states:us-east-1:123456789012:execution:know-me-staging-provision:p1"
REQUEST: dict[str, Any] = {
    "run_id": "p1",
    "holder": "p1",
    "own_lock": True,
    "action": "apply",
    "targets": [],
    "replace": [],
    "drift": False,
    "acting_for": None,
    "approval_mode": "destructive",
    "approval_timeout_seconds": 60,
    "bundle": None,
    "source_location": None,
}
JUDGED: dict[str, Any] = {
    "verdict": "allowed",
    "sentence": "The plan: 1 to create.",
    "counts": {"create": 1, "update": 0, "replace": 0, "delete": 0},
    "destructive": 0,
    "foreign_rules": 0,
    "refusals": [],
}
DECISION = {"decision": "approve", "by": "ada", "at": "2026-03-01T12:00:00Z", "comment": "Fine"}
LOCK_HELD = StateError("LockHeld", json.dumps({"errorMessage": "The run a works. Wait."}))


class Build:
    """A build that ends at once: well, or as it is told."""

    def __init__(self, error: StateError | None) -> None:
        self.error = error

    def poll(self) -> Any:
        """End."""
        if self.error:
            raise self.error
        return {"Build": {"BuildStatus": "SUCCEEDED"}}

    def stop(self) -> None:
        """Nothing is left to stop."""


@dataclass
class Run:
    """One execution: what it called, in order, and how it ended."""

    answers: Mapping[str, Any]
    failing: StateError | None = None
    calls: list[tuple[str, Any]] = field(default_factory=list)
    output: Any = None
    error: StateError | None = None

    def asked(self, what: str) -> list[Any]:
        """Return the arguments of the calls of one step, build action or API."""
        return [arguments for called, arguments in self.calls if called == what]

    @property
    def called(self) -> list[str]:
        """Return what was called, in order."""
        return [called for called, _ in self.calls]

    @property
    def report(self) -> Any:
        """Return what was reported, once."""
        (report,) = self.asked("WriteReport")
        return report


Way = Any


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """Run `provision` with answers of its steps and a decision; True is an answer that means nothing."""
    tokens = TaskTokens()

    def run(
        decision: Mapping[str, Any] | None = None, failing: StateError | None = None, **answers: Any
    ) -> Run:
        found = Run(answers, failing)

        def call(resource: Resource, arguments: Any, _clients: Any) -> Any:
            if resource.service == "lambda":
                step = arguments["FunctionName"].removeprefix("${").removesuffix("Function}")
                return function(step, arguments["Payload"])
            if resource.service == "codebuild":
                variables = {
                    each["Name"]: each["Value"] for each in arguments["EnvironmentVariablesOverride"]
                }
                found.calls.append((variables.get("ACTION") or variables["JOB"], {**arguments, **variables}))
                return {"Build": {"Id": "b"}}
            found.calls.append((resource.operation, arguments))
            return given(resource.operation)

        def function(step: str, payload: Any) -> Any:
            found.calls.append((step, payload))
            if step == "AskForApproval" and decision:
                tokens.answer(payload["task_token"], dict(decision))
            if step == "ExplainFailure":
                caught = payload["caught"]
                said = caught["Cause"]
                words = json.loads(said)["errorMessage"] if "errorMessage" in said else said
                return {"Payload": {"error": caught["Error"], "cause": words}}
            return {"Payload": given(step)}

        def given(called: str) -> Any:
            answer = answers.get(called, {})
            if isinstance(answer, list):  # one after the other
                answer = answer.pop(0)
            if isinstance(answer, StateError):
                raise answer
            return answer

        def job_of(_resource: Resource, _answer: Any, _clients: Any) -> Build:
            action = found.called[-1]
            return Build(found.failing if action == "apply" else None)

        monkeypatch.setattr(integrations, "call", call)
        monkeypatch.setattr(integrations, "job_of", job_of)
        environment = interpreter.Environment(
            history=History(),
            clients=lambda _role: lambda service: service,
            role_arn="arn:role",
            region="us-east-1",
            tokens=tokens,
            context={"Execution": {"Id": ARN, "Name": "p1", "Input": {}}, "StateMachine": {}},
            log=lambda _message: None,
            map_runs=lambda _run: None,
        )
        frame = interpreter.Frame(environment, quick(DEFINITION), "JSONata", Scope(), {}, {})
        try:
            found.output, _ = interpreter.run(frame, {}, 0)
        except StateError as error:
            found.error = error
        return found

    yield run


def quick(document: Any) -> Any:
    """Return a definition that does not wait before it tries again."""
    if isinstance(document, list):
        return [quick(item) for item in document]
    if isinstance(document, dict):
        plain = {key: quick(value) for key, value in document.items()}
        return {**plain, "IntervalSeconds": 1, "MaxAttempts": 2} if "IntervalSeconds" in plain else plain
    return document


def told(verdict: str = "allowed", **request: Any) -> dict[str, Any]:
    """Return answers for a run with this request and this verdict on its plan."""
    return {
        "ValidateProvision": {**REQUEST, **request},
        "TakeLock": {"taken": True},
        "JudgePlan": {**JUDGED, "verdict": verdict, "sentence": f"It is {verdict}."},
        "FindDatabasesWithoutRole": {"databases": [], "services": []},
        "WriteReport": {"outcome": "told", "sentence": "Told."},
    }


def test_step_functions_takes_the_definition() -> None:
    assert [each for each in validation.validate(TEXT) if each.severity == "ERROR"] == []


def test_a_plan_that_is_allowed_is_applied_and_the_lock_released(way: Way) -> None:
    run = way(**told())
    assert run.error is None
    assert run.called == [
        *("ValidateProvision", "TakeLock", "plan", "JudgePlan", "apply"),
        *("FindDatabasesWithoutRole", "WriteReport", "ReleaseLock"),
    ]
    assert (run.report["outcome"], run.report["approval"], run.report["notify"]) == (
        "provisioned",
        None,
        True,
    )
    assert run.asked("JudgePlan") == [
        {"run_id": "p1", "action": "apply", "approval_mode": "destructive", "acting_for": None}
    ]
    assert run.output == {"outcome": "told", "sentence": "Told."}


def test_the_build_is_the_projects_own_unless_there_is_a_bundle(way: Way) -> None:
    (own,) = way(**told()).asked("plan")
    assert not {"SourceTypeOverride", "SourceLocationOverride", "SourceVersion"} & set(own)
    assert own["ProjectName"] == "${TerraformBuild}"
    location = {"location": "b/bundles/a.zip", "version_id": "v1"}
    run = way(**told(source_location=location, replace=["aws_lb.a"]))
    for build in (*run.asked("plan"), *run.asked("apply")):
        assert (build["SourceLocationOverride"], build["SourceVersion"]) == ("b/bundles/a.zip", "v1")
        assert (build["REPLACE"], build["TARGETS"], build["DESTROY"]) == ('["aws_lb.a"]', "[]", "false")
    # And one that was not asked for is not this run's to remember
    assert run.asked("PutParameter") == []


def test_a_bundle_is_remembered_once_it_is_applied_or_changes_nothing(way: Way) -> None:
    bundle = {"key": "bundles/a.zip", "version_id": "v1"}
    for verdict in ("allowed", "empty"):
        run = way(**told(verdict, bundle=bundle))
        (put,) = run.asked("PutParameter")
        assert json.loads(put.pop("Value")) == bundle
        assert put == {"Name": "/know-me/${Environment}/bundle", "Type": "String", "Overwrite": True}
    assert way(**told("refused", bundle=bundle)).asked("PutParameter") == []
    assert way(**told(bundle=bundle, action="plan")).asked("PutParameter") == []


@pytest.mark.parametrize(
    ("verdict", "request_", "outcome", "notify", "applied"),
    [
        ("empty", {}, "nothing_to_change", True, False),
        ("empty", {"action": "destroy"}, "nothing_to_change", True, False),
        ("allowed", {"action": "plan"}, "planned", True, False),
        ("approval_needed", {"action": "plan"}, "planned", True, False),
        ("empty", {"action": "plan", "drift": True}, "nothing_to_change", False, False),
        ("allowed", {"action": "plan", "drift": True}, "drift_found", True, False),
        ("refused", {"action": "plan", "drift": True}, "drift_found", True, False),
        ("allowed", {"action": "destroy"}, "destroyed", True, True),
        ("allowed", {"own_lock": False, "holder": "x", "acting_for": "x"}, "provisioned", False, True),
    ],
)
def test_every_good_end_is_reported_as_what_it_is(
    way: Way, verdict: str, request_: dict[str, Any], outcome: str, notify: bool, applied: bool
) -> None:
    run = way(**told(verdict, **request_))
    assert run.error is None
    assert (run.report["outcome"], run.report["notify"]) == (outcome, notify)
    assert ("apply" in run.called) == applied
    assert ("ReleaseLock" in run.called) == request_.get("own_lock", True)


@pytest.mark.parametrize(
    ("verdict", "request_", "outcome", "notify", "applied"),
    [
        # Nothing of Terraform's differs, and somebody opened a security group: people hear of it
        ("empty", {"action": "plan", "drift": True}, "drift_found", True, False),
        ("allowed", {"action": "plan", "drift": True}, "drift_found", True, False),
        # It is nothing that an apply could change
        ("empty", {"action": "plan"}, "nothing_to_change", True, False),
        ("empty", {}, "nothing_to_change", True, False),
        ("allowed", {}, "provisioned", True, True),
    ],
)
def test_rules_that_terraform_does_not_know_are_drift_and_hold_nothing_up(
    way: Way, verdict: str, request_: dict[str, Any], outcome: str, notify: bool, applied: bool
) -> None:
    judged = {**told(verdict)["JudgePlan"], "foreign_rules": 1}
    run = way(**{**told(verdict, **request_), "JudgePlan": judged})
    assert run.error is None
    assert (run.report["outcome"], run.report["notify"]) == (outcome, notify)
    assert ("apply" in run.called) == applied


def test_after_a_destruction_and_with_targets_nobody_looks_for_the_app(way: Way) -> None:
    for request in ({"action": "destroy"}, {"targets": ["module.network"]}):
        run = way(**told(**request))
        assert run.error is None
        assert "FindDatabasesWithoutRole" not in run.called


@pytest.mark.parametrize("action", ["apply", "plan", "destroy"])
def test_a_refused_plan_is_not_applied_and_says_why(way: Way, action: str) -> None:
    run = way(**told("refused", action=action))
    assert (run.error.error, run.error.cause) == ("PlanRefused", "It is refused.")
    assert run.called[-4:] == ["JudgePlan", "ExplainFailure", "WriteReport", "ReleaseLock"]
    assert (run.report["outcome"], run.report["failure"]["error"]) == ("refused", "PlanRefused")


def test_a_yes_applies_the_plan_under_a_lock_that_was_free_meanwhile(way: Way) -> None:
    run = way(DECISION, **told("approval_needed"))
    assert run.error is None
    assert run.called == [
        *("ValidateProvision", "TakeLock", "plan", "JudgePlan", "ReleaseLock", "AskForApproval", "TakeLock"),
        *("apply", "FindDatabasesWithoutRole", "WriteReport", "ReleaseLock"),
    ]
    (asked,) = run.asked("AskForApproval")
    assert asked.pop("task_token")
    assert asked == {
        "run_id": "p1",
        "execution_arn": ARN,
        "timeout_seconds": 60,
        "counts": JUDGED["counts"],
        "destructive": 0,
    }
    assert run.report["approval"] == DECISION


def test_a_run_for_another_one_keeps_that_ones_lock_while_people_decide(way: Way) -> None:
    run = way(DECISION, **told("approval_needed", own_lock=False, holder="x", acting_for="x"))
    assert run.error is None
    assert "ReleaseLock" not in run.called
    assert run.called.count("TakeLock") == 1


@pytest.mark.parametrize(("comment", "said"), [("No", ": No"), (None, ""), ("", "")])
def test_a_no_applies_nothing_and_names_who_said_it(way: Way, comment: str | None, said: str) -> None:
    run = way({**DECISION, "decision": "reject", "comment": comment}, **told("approval_needed"))
    assert run.error.error == "ApprovalRejected"
    assert run.error.cause.startswith(f"ada rejected the plan{said}. Nothing was applied.")
    assert "apply" not in run.called
    assert run.report["outcome"] == "rejected"


def test_nobody_deciding_applies_nothing(way: Way) -> None:
    run = way(None, **told("approval_needed", approval_timeout_seconds=1))
    assert run.error.error == "ApprovalTimedOut"
    assert run.error.cause.startswith("Nobody decided about the plan within 1 s.")
    assert "apply" not in run.called
    assert run.report["outcome"] == "approval_timed_out"


def test_a_short_run_that_holds_the_lock_after_a_yes_is_waited_for(way: Way) -> None:
    answers = {**told("approval_needed"), "TakeLock": [{"taken": True}, LOCK_HELD, {"taken": True}]}
    run = way(DECISION, **answers)
    assert run.error is None
    assert run.called.count("apply") == 1


def test_a_lock_that_stays_held_after_a_yes_fails_the_run_without_taking_anything(way: Way) -> None:
    answers = {**told("approval_needed"), "TakeLock": [{"taken": True}, LOCK_HELD, LOCK_HELD, LOCK_HELD]}
    run = way(DECISION, **answers)
    assert (run.error.error, run.error.cause) == ("LockHeld", "The run a works. Wait.")
    assert "apply" not in run.called
    assert run.report["outcome"] == "failed"


def test_a_look_for_drift_gives_way_and_other_runs_are_refused(way: Way) -> None:
    drift = way(**{**told(action="plan", drift=True), "TakeLock": LOCK_HELD})
    assert (drift.error, drift.output["outcome"]) == (None, "not_looked")
    assert drift.called == ["ValidateProvision", "TakeLock"]
    other = way(**{**told(), "TakeLock": LOCK_HELD})
    assert (other.error.error, other.error.cause) == ("LockHeld", "The run a works. Wait.")


def test_an_apply_that_fails_frees_the_environment(way: Way) -> None:
    run = way(failing=StateError("States.TaskFailed", "build"), **told())
    assert run.error.error == "States.TaskFailed"
    assert run.called[-3:] == ["ExplainFailure", "WriteReport", "ReleaseLock"]
    assert run.report["outcome"] == "failed"


def test_a_report_that_cannot_be_written_changes_no_end(way: Way) -> None:
    broken = StateError("AccessDenied", "no")
    run = way(**{**told(), "WriteReport": broken})
    assert (run.error, run.output["outcome"]) == (None, "provisioned")
    refused = way(**{**told("refused"), "WriteReport": broken})
    assert refused.error.error == "PlanRefused"
    assert refused.called[-1] == "ReleaseLock"


def test_a_missing_role_is_made_and_as_many_tasks_started_again(way: Way) -> None:
    # Given a database without its role, and a service that should run three tasks
    database, service = {"generation": "blue"}, {"cluster": "c", "name": "api"}
    found = {"databases": [database], "services": [service]}
    described = {"Services": [{"DesiredCount": 3}]}
    # When provision has applied its plan
    run = way(**{**told(), "FindDatabasesWithoutRole": found, "DescribeServices": described})
    # Then the role is made, and the service runs none and then three again: no deployment, which CodeDeploy's
    # services refuse
    assert run.error is None
    (prepared,) = run.asked("prepare-role")
    assert json.loads(prepared["CANDIDATE_DATABASE"]) == database
    assert run.asked("UpdateService") == [
        {"Cluster": "c", "Service": "api", "DesiredCount": count} for count in (0, 3)
    ]


def test_a_service_that_cannot_be_started_again_fails_the_run(way: Way) -> None:
    # Given that ECS lets the service run none, and then refuses every count
    found = {"databases": [{"generation": "blue"}], "services": [{"cluster": "c", "name": "api"}]}
    described = {"Services": [{"DesiredCount": 3}]}
    refusal = StateError("Ecs.InvalidParameterException", "ECS refuses.")
    answers = {"FindDatabasesWithoutRole": found, "DescribeServices": described}
    run = way(**{**told(), **answers, "UpdateService": [{}, refusal]})
    # Then nobody is told that all is well: the app has no tasks
    assert run.error.error == "Ecs.InvalidParameterException"
    assert run.report["outcome"] == "failed"
    assert run.called[-1] == "ReleaseLock"
