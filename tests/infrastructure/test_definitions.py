"""State machines and the stack agree: substitutions, permissions, timeouts."""

import json
from pathlib import Path

import pytest

from orchestrator.definitions import INTEGRATIONS, Definition, DefinitionError, states_of
from orchestrator.names import Names
from orchestrator.permissions import Permission
from orchestrator.stack import RUNBOOKS
from tests.infrastructure.conftest import ROOT, Assembly

pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = Names("staging", "aws", "eu-west-1", "111122223333")


def test_every_definition_is_a_runbook_of_the_stack() -> None:
    assert {path.name for path in (ROOT / "statemachines").glob("*.asl.json")} == {
        f"{name}.asl.json" for name in RUNBOOKS
    }


@pytest.mark.parametrize("name", RUNBOOKS)
def test_every_substitution_is_provided_and_every_provided_one_is_used(name: str, assembly: Assembly) -> None:
    (machine,) = [
        each
        for each in assembly.properties("AWS::StepFunctions::StateMachine")
        if each["StateMachineName"] == f"know-me-staging-{name}"
    ]
    assert set(machine["DefinitionSubstitutions"]) == Definition.read(ROOT, name).substitutions


@pytest.mark.parametrize("name", RUNBOOKS)
def test_every_task_has_a_timeout(name: str) -> None:
    machine = json.loads(Definition.read(ROOT, name).text)
    assert "TimeoutSeconds" in machine
    without = [
        state_name
        for state_name, state in states_of(machine)
        if state["Type"] == "Task" and "TimeoutSeconds" not in state
    ]
    assert without == []


OF_ONE_FAMILY = ("arn:aws:states:::ecs:runTask.sync",)
"""What can be granted though a release gives it its name: it is a revision of the API's own family."""


@pytest.mark.parametrize("name", RUNBOOKS)
def test_every_task_names_what_it_calls_by_a_substitution(name: str) -> None:
    # A literal ARN or a name made while running could not be granted.
    unnamed = [
        task.state
        for task in Definition.read(ROOT, name).tasks
        if task.target is None and "aws-sdk" not in task.resource and task.resource not in OF_ONE_FAMILY
    ]
    assert unnamed == []


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_may_invoke_exactly_the_functions_that_it_calls(name: str, assembly: Assembly) -> None:
    # Given what the definition calls
    definition = Definition.read(ROOT, name)
    called = {task.target for task in definition.tasks if "lambda:invoke" in task.resource}
    # When its permissions are derived
    granted = {
        resource.rpartition(":know-me-staging-")[2]
        for permission in definition.permissions(NAMES)
        if "lambda:InvokeFunction" in permission.actions
        for resource in permission.resources
    }
    # Then they are those functions, and each is in the stack
    pascal = {"".join(word.capitalize() for word in kebab.split("-")) + "Function" for kebab in granted}
    assert pascal == called
    functions = {each["FunctionName"] for each in assembly.properties("AWS::Lambda::Function")}
    assert {f"know-me-staging-{kebab}" for kebab in granted} <= functions


def test_a_task_with_unknown_permissions_stops_the_synthesis(tmp_path: Path) -> None:
    # Given a definition with two integrations that nobody described, one inside a Map
    inner = {
        "StartAt": "B",
        "States": {"B": {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun"}},
    }
    states = {
        "A": {"Type": "Task", "Resource": "arn:aws:states:::batch:submitJob", "Next": "M"},
        "M": {"Type": "Map", "ItemProcessor": inner, "End": True},
    }
    definition = Definition(tmp_path / "new.asl.json", json.dumps({"StartAt": "A", "States": states}))
    # When its permissions are asked for, then both are named
    with pytest.raises(DefinitionError, match=r"(?s)A: .*batch:submitJob.*B: .*glue:startJobRun"):
        definition.permissions(NAMES)


def granted(name: str, action: str) -> list[Permission]:
    """Return the statements of a state machine that allow an action."""
    return [each for each in Definition.read(ROOT, name).permissions(NAMES) if action in each.actions]


def test_a_state_machine_with_distributed_maps_may_start_and_stop_its_own_executions() -> None:
    machine = "arn:aws:states:eu-west-1:111122223333:stateMachine:know-me-staging-move-media"
    children = "arn:aws:states:eu-west-1:111122223333:execution:know-me-staging-move-media"
    assert [each.resources for each in granted("move-media", "states:StartExecution")] == [(machine,)]
    (stop,) = granted("move-media", "states:StopExecution")
    assert stop.resources == (f"{children}:*", f"{children}/*")
    # And one without may not
    assert granted("move-database", "states:StartExecution") == []


def test_a_copy_job_acts_with_the_copy_role_and_only_copies() -> None:
    (passed,) = granted("move-media", "iam:PassRole")
    assert passed.resources == ("arn:aws:iam::111122223333:role/know-me-staging-media-copy",)
    assert passed.conditions == {"StringEquals": {"iam:PassedToService": "batchoperations.s3.amazonaws.com"}}
    (create,) = granted("move-media", "s3:CreateJob")
    assert create.conditions == {"StringEquals": {"s3:RequestJobOperation": "S3PutObjectCopy"}}
    (cancel,) = granted("return", "s3:UpdateJobStatus")
    assert cancel.conditions == {"StringEquals": {"s3:ExistingJobOperation": "S3PutObjectCopy"}}


def test_no_permission_is_listed_twice() -> None:
    for name in RUNBOOKS:
        permissions = Definition.read(ROOT, name).permissions(NAMES)
        assert [each for index, each in enumerate(permissions) if each in permissions[:index]] == []


def test_a_stopped_run_stops_its_jobs_but_never_terraform() -> None:
    build = INTEGRATIONS["arn:aws:states:::codebuild:startBuild.sync"]
    actions = {
        target: {action for permission in build(NAMES, target) for action in permission.actions}
        for target in ("DatabaseJobsBuild", "MediaJobsBuild", "TerraformBuild")
    }
    assert "codebuild:StopBuild" in actions["DatabaseJobsBuild"] & actions["MediaJobsBuild"]
    assert "codebuild:StopBuild" not in actions["TerraformBuild"]


def test_an_unexplained_wildcard_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        Permission(("s3:GetObject",), ("arn:aws:s3:::bucket/*",))
