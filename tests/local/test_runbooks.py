"""The runbooks' own definitions, run state by state.

The steps are one function that answers what a test tells it, and the builds only end as told: what is tested
here is the way through the states, not what the steps do (tests/unit/lambdas) nor the copy (database_jobs).
"""

import io
import json
import re
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import LocalAWS

pytestmark = pytest.mark.local

DEFINITIONS = Path(__file__).parents[2] / "statemachines"
DATABASE = {"generation": "blue", "instance_id": "no-such-instance", "endpoint": "blue.example.com"}
CANDIDATE = {"generation": "green", "instance_id": "green", "endpoint": "green.example.com"}
LATER = "2999-01-01T00:00:00+00:00"

ANSWERS: dict[str, Any] = {
    "ValidateProvision": {"holder": "someone", "own_lock": True},
    "ValidateMigration": {
        "run_id": "x",
        "environment": "staging",
        "source": "blue",
        "source_database": DATABASE,
        "candidate": "green",
        "candidate_settings": {},
        "snapshot": "know-me-staging-snapshot",
        "preflight_only": False,
        "grace_seconds": 0,
        "job_timeout_seconds": 60,
        "run_folder": "s3://b/runs/x",
    },
    "TakeLock": {"taken": True},
    "FindDatabasesWithoutRole": {"databases": [], "services": []},
    "FindCandidate": {"source": DATABASE, "candidate": CANDIDATE},
    "Quiesce": {"deadline": LATER},
    "CheckQuiet": {"quiet": True, "still_running": []},
    "Resume": {"deadline": LATER},
    "CheckRunning": {"running": True, "waiting_for": []},
    "SmokeTest": {"passed_at": "2026-03-01T12:00:00+00:00"},
    "WriteReport": {"report": "s3://b/runs/x/report.html", "outcome": "told", "sentence": "Told."},
    "ClaimRun": {"claimed": True, "run_id": "x", "attempt": 1, "suffix": "", "message": "claimed"},
    "StopRun": {"ended": True, "waiting_for": []},
    "RestoreGenerations": {
        "old": DATABASE,
        "candidate": "green",
        "candidate_fate": "kept",
        "cutover_begun": True,
        "provision_needed": True,
        "fenced": True,
        "quiesced": True,
        "touched": True,
    },
    "CheckApplicationDatabase": {"warning": "Terraform failed."},
}

NOT_CUT = {
    "RestoreGenerations": {**ANSWERS["RestoreGenerations"], "cutover_begun": False, "provision_needed": False}
}
UNTOUCHED = {
    "RestoreGenerations": {
        **ANSWERS["RestoreGenerations"],
        **dict.fromkeys(("cutover_begun", "provision_needed", "fenced", "quiesced", "touched"), False),
    }
}

FUNCTION = """
import json, os
SCRIPT = json.loads(os.environ["SCRIPT"])
def handler(event, context):
    step, payload = event["step"], event["payload"]
    print(json.dumps({"step": step, "payload": payload}))
    answer = SCRIPT.get(step, {})
    if "raise" in answer:
        raise type(answer["raise"], (Exception,), {})(answer["message"])
    if step == "ExplainFailure" and not answer:
        caught = payload["caught"]
        try:
            words = json.loads(caught.get("Cause", ""))
        except ValueError:
            return {"error": caught["Error"], "cause": caught.get("Cause", "no cause")}
        return {"error": words.get("Error", caught["Error"]),
                "cause": words.get("errorMessage", words.get("Cause", "a build"))}
    return answer
"""


class Runbooks:
    """The four state machines, as deployed, with steps and builds that do as told."""

    def __init__(self, aws: LocalAWS, role: str, script: dict[str, Any], failing_builds: str) -> None:
        self.states = aws.client("stepfunctions")
        name = f"runbooks-{uuid.uuid4().hex[:8]}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("step.py", FUNCTION)
        function = aws.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=role,
            Handler="step.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=30,
            Environment={"Variables": {"SCRIPT": json.dumps({**ANSWERS, **script})}},
        )["FunctionArn"]
        codebuild = aws.client("codebuild")
        command = (
            f'if [[ "${{JOB:-$ACTION}} $RUN_ID" == {failing_builds or "nothing"} ]]; then exit 1; fi; '
            "export PLAN_CHANGES=1"
        )
        buildspec = {
            "version": 0.2,
            "env": {"shell": "bash", "exported-variables": ["PLAN_CHANGES"]},
            "phases": {"build": {"on-failure": "ABORT", "commands": [command]}},
        }
        codebuild.create_project(
            name=name,
            source={"type": "NO_SOURCE", "buildspec": json.dumps(buildspec)},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            serviceRole=role,
        )
        account = function.split(":")[4]
        self.arns: dict[str, str] = {}
        substitutions = {
            "Environment": "staging",
            "ArtifactsBucket": "b",
            "TerraformBuild": name,
            "DatabaseJobsBuild": name,
        }
        for machine in ("provision", "move-database", "return", "migrate"):
            title = machine.title().replace("-", "")
            self.arns[machine] = f"arn:aws:states:us-east-1:{account}:stateMachine:{name}-{machine}"
            substitutions[f"{title}StateMachine"] = self.arns[machine]
        for machine in self.arns:
            definition = json.loads((DEFINITIONS / f"{machine}.asl.json").read_text())
            text = json.dumps(_told(definition, function))
            text = re.sub(r"\$\{(\w+)\}", lambda found: substitutions[found[1]], text)
            self.states.create_state_machine(name=f"{name}-{machine}", definition=text, roleArn=role)

    def run(self, machine: str, document: Any) -> dict[str, Any]:
        """Run a state machine to its end."""
        execution = self.states.start_execution(
            stateMachineArn=self.arns[machine], name=f"x{uuid.uuid4().hex[:8]}", input=json.dumps(document)
        )["executionArn"]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            described: dict[str, Any] = self.states.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.1)
        raise AssertionError(f"{execution} does not end: {self.path(execution)[-1]}")

    def path(self, execution: str) -> list[str]:
        """Return the states that an execution entered, in order."""
        events = self.states.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in events
            if "stateEnteredEventDetails" in event
        ]

    def child(self, execution: str, machine: str, suffix: str) -> str:
        """Return the ARN of a child execution, which need not exist."""
        state_machine = self.arns[machine].replace(":stateMachine:", ":execution:")
        return f"{state_machine}:{execution.rpartition(':')[2]}{suffix}"

    def exists(self, execution: str) -> bool:
        """Whether an execution was ever started."""
        try:
            self.states.describe_execution(executionArn=execution)
        except self.states.exceptions.ExecutionDoesNotExist:
            return False
        return True


def _told(document: Any, function: str) -> Any:
    """Make every step call the one function, with its own name."""
    if isinstance(document, list):
        return [_told(item, function) for item in document]
    if not isinstance(document, dict):
        return document
    if "FunctionName" in document and "Payload" in document:
        step = document["FunctionName"].removeprefix("${").removesuffix("Function}")
        return {"FunctionName": function, "Payload": {"step": step, "payload": document["Payload"]}}
    return {key: _told(value, function) for key, value in document.items()}


Make = Callable[..., Runbooks]


@pytest.fixture(scope="module")
def role(local_aws: LocalAWS) -> str:
    """A role that may do everything."""
    return local_aws.all_powerful_role(
        "states.amazonaws.com", "lambda.amazonaws.com", "codebuild.amazonaws.com"
    )


@pytest.fixture(scope="module")
def make(local_aws: LocalAWS, role: str) -> Make:
    def runbooks(script: dict[str, Any] | None = None, failing_builds: str = "") -> Runbooks:
        return Runbooks(local_aws, role, script or {}, failing_builds)

    return runbooks


@pytest.fixture(scope="module")
def instance(local_aws: LocalAWS) -> str:
    """A database instance of which a snapshot can be made."""
    rds, name = local_aws.client("rds"), f"runbooks-{uuid.uuid4().hex[:8]}"
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        Engine="postgres",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="postgres",
        MasterUserPassword=uuid.uuid4().hex,
    )
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return name


def on(instance: str, **change: Any) -> dict[str, Any]:
    """Return answers for a migration away from an instance that exists."""
    source = {**DATABASE, "instance_id": instance}
    migration = {
        **ANSWERS["ValidateMigration"],
        "source_database": source,
        "snapshot": f"s-{uuid.uuid4().hex[:8]}",
    }
    return {
        "ValidateMigration": migration,
        "FindCandidate": {"source": source, "candidate": CANDIDATE},
        **change,
    }


def test_a_migration_goes_through_to_its_report(make: Make, instance: str, local_aws: LocalAWS) -> None:
    script = on(instance)
    runbooks = make(script)
    # When everything goes well
    ended = runbooks.run("migrate", {})
    # Then it succeeds with its report, without a return
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert json.loads(ended["output"])["report"] == "s3://b/runs/x/report.html"
    path = runbooks.path(ended["executionArn"])
    assert path[-3:] == ["Write the report", "Release the lock", "Done"]
    assert path.index("Record that the migration is complete") > path.index("Test the app")
    assert not runbooks.exists(runbooks.child(ended["executionArn"], "return", "-return"))
    # And the snapshot is there
    identifier = script["ValidateMigration"]["snapshot"]
    snapshots = local_aws.client("rds").describe_db_snapshots(DBSnapshotIdentifier=identifier)["DBSnapshots"]
    assert [snapshot["Status"] for snapshot in snapshots] == ["available"]


def test_a_preflight_changes_nothing(make: Make) -> None:
    runbooks = make({"ValidateMigration": {**ANSWERS["ValidateMigration"], "preflight_only": True}})
    ended = runbooks.run("migrate", {"preflight_only": True})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = runbooks.path(ended["executionArn"])
    assert "Stop after the preflight" in path
    assert "Add the candidate" not in path
    assert path[-2:] == ["Release the lock", "Done"]


@pytest.mark.parametrize("step", ["ValidateMigration", "TakeLock"])
def test_a_refusal_is_one_sentence_and_starts_no_return(make: Make, step: str) -> None:
    runbooks = make({step: {"raise": "LockHeld", "message": "The run a works. Wait."}})
    ended = runbooks.run("migrate", {})
    assert (ended["status"], ended["error"], ended["cause"]) == (
        "FAILED",
        "LockHeld",
        "The run a works. Wait.",
    )
    assert not runbooks.exists(runbooks.child(ended["executionArn"], "return", "-return"))


@pytest.mark.parametrize(
    ("script", "failing_builds", "error"),
    [
        ({"JudgeFindings": {"raise": "PreflightFailed", "message": "No."}}, "", "PreflightFailed"),
        ({"Quiesce": {"raise": "QuiesceTimedOut", "message": "No."}, **NOT_CUT}, "", "QuiesceTimedOut"),
        ({"CheckRunning": {"raise": "ResumeFailed", "message": "No."}, **UNTOUCHED}, "", "ResumeFailed"),
        ({"SmokeTest": {"raise": "SmokeTestFailed", "message": "No."}, **UNTOUCHED}, "", "SmokeTestFailed"),
        ({}, "restore*", "States.TaskFailed"),
        ({}, "stop-writers*", "States.TaskFailed"),
    ],
)
def test_whatever_fails_after_the_lock_is_returned_and_keeps_its_name(
    make: Make, instance: str, script: dict[str, Any], failing_builds: str, error: str
) -> None:
    runbooks = make(on(instance, **script), failing_builds)
    # When a migration fails
    ended = runbooks.run("migrate", {})
    # Then its return ran to its end, and the execution fails with the first cause
    assert (ended["status"], ended["error"]) == ("FAILED", error), ended
    returned = runbooks.child(ended["executionArn"], "return", "-return")
    assert runbooks.exists(returned)
    assert runbooks.path(ended["executionArn"])[-2:] == ["Return to the old database", "The migration failed"]
    assert runbooks.path(returned)[-2:] == ["Release the lock", "Returned"]


def test_a_snapshot_that_cannot_be_made_stops_the_migration(make: Make) -> None:
    runbooks = make()
    ended = runbooks.run("migrate", {})
    assert ended["error"] == "SnapshotFailed", ended
    assert "no-such-instance" in ended["cause"]
    assert runbooks.path(ended["executionArn"])[-1] == "The migration failed"


def test_terraform_failing_at_the_cutover_is_a_cutover_that_failed(make: Make, instance: str) -> None:
    # Given an environment where Terraform fails, but not for the candidate and not on the way back
    runbooks = make(on(instance), failing_builds="apply*-provision-cutover")
    # When it is migrated
    ended = runbooks.run("migrate", {})
    # Then the error is the cutover's
    assert ended["error"] == "CutoverFailed", ended
    assert ended["cause"].startswith("The environment could not be switched to green. ")
    returned = runbooks.child(ended["executionArn"], "return", "-return")
    path = runbooks.path(returned)
    # And the app is stopped before the old database takes writes, Terraform follows, then the app starts
    order = [
        "Stop the app",
        "Let the old database be written to",
        "Point the app back to the old database",
        "Start everything again",
        "Test the app",
        "The app runs on the old database",
    ]
    assert [state for state in path if state in order] == order


def test_a_return_that_fails_is_said_and_keeps_the_lock(make: Make, instance: str) -> None:
    script = {
        "Resume": {"raise": "ResumeFailed", "message": "No task starts."},
        "JudgeFindings": {"raise": "PreflightFailed", "message": "One check failed."},
    }
    runbooks = make(on(instance, **script))
    ended = runbooks.run("migrate", {})
    assert ended["error"] == "ReturnFailed"
    assert "One check failed." in ended["cause"] and "No task starts." in ended["cause"]
    path = runbooks.path(runbooks.child(ended["executionArn"], "return", "-return"))
    assert path[-2:] == ["Report the failure", "The return failed"]
    assert "Release the lock" not in path


def test_a_return_goes_on_when_terraform_fails_but_the_app_is_defined_with_the_old_database(
    make: Make,
) -> None:
    runbooks = make(failing_builds="plan*")
    ended = runbooks.run("return", {"run_id": "x"})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    path = runbooks.path(ended["executionArn"])
    assert path.index("Look which database the app is defined with") < path.index("Start everything again")


def test_a_return_with_nothing_to_do_says_so(make: Make) -> None:
    claim = {"claimed": False, "run_id": "x", "attempt": 0, "suffix": "", "message": "Nobody holds the lock."}
    ended = make({"ClaimRun": claim}).run("return", {"run_id": "x"})
    assert json.loads(ended["output"]) == {"message": "Nobody holds the lock."}


def test_provision_applies_its_plan_and_makes_a_missing_role(make: Make) -> None:
    runbooks = make({"FindDatabasesWithoutRole": {"databases": [DATABASE], "services": []}})
    ended = runbooks.run("provision", {})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert runbooks.path(ended["executionArn"]) == [
        "Validate the request",
        "Take the lock",
        "Plan the changes",
        "Is there anything to change?",
        "Apply the plan",
        "Look for a database without its role",
        "Is a role missing?",
        "Make the application role",
        "Start the app's tasks again",
        "Write the report",
        "Is the lock our own?",
        "Release the lock",
        "The environment is as described",
    ]


def test_provision_that_fails_gives_its_own_lock_back(make: Make) -> None:
    runbooks = make(failing_builds="apply*")
    ended = runbooks.run("provision", {})
    assert ended["status"] == "FAILED"
    assert runbooks.path(ended["executionArn"])[-2:] == ["Give the lock back", "Provisioning failed"]


def test_provision_for_another_run_leaves_the_lock_to_it(make: Make) -> None:
    runbooks = make({"ValidateProvision": {"holder": "x", "own_lock": False}})
    ended = runbooks.run("provision", {"acting_for": "x"})
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    assert "Release the lock" not in runbooks.path(ended["executionArn"])
