"""Releases: the hook, what a deployment brings, and what is under way."""

import importlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from know_me.errors import InvalidRelease, LockHeld
from know_me.lock import Lock
from know_me.manifest import Deployment, Manifest
from know_me.quiescence import Quiesced, RecordedPipeline
from know_me.releases import (
    UNDER_WAY,
    Hook,
    deployments_under_way,
    hook_of,
    new_task_definition,
    refuse_while_migrating,
    report_failed,
    service_of,
    start_migration,
    work_under_way,
)
from know_me.settings import Settings

from tests.unit.lambdas.conftest import ACCOUNT, REGION, Stubbed, execution

DEFINITION = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/know-me-staging-api:12"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:know-me-staging-schema-migration"
HOOK = Hook(deployment_id="d-ABC123XYZ", lifecycle_event_hook_execution_id="eyJhb")
INPUT = '{"deployment_id":"d-ABC123XYZ","lifecycle_event_hook_execution_id":"eyJhb"}'
YAML = f"""version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "{DEFINITION}"
Hooks:
  - BeforeInstall: know-me-staging-start-schema-migration
"""
SHA = "0" * 64


def expect_deployment(stubbed: Stubbed, revision: dict[str, Any]) -> None:
    stubbed.expect(
        "codedeploy",
        "get_deployment",
        {"deploymentId": "d-ABC123XYZ"},
        {"deploymentInfo": {"applicationName": "know-me-staging-api", "revision": revision}},
    )


def expect_content(stubbed: Stubbed, content: str) -> None:
    """Answer as AWS does: the deployment has the hash of its AppSpec, the application its text."""
    expect_deployment(stubbed, {"revisionType": "AppSpecContent", "appSpecContent": {"sha256": SHA}})
    stubbed.expect(
        "codedeploy",
        "get_application_revision",
        {
            "applicationName": "know-me-staging-api",
            "revision": {"revisionType": "AppSpecContent", "appSpecContent": {"sha256": SHA}},
        },
        {"revision": {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}},
    )


# ------------------------------------------------------------------ the hook


def test_the_execution_is_named_after_the_deployment(stubbed: Stubbed) -> None:
    stubbed.expect(
        "stepfunctions",
        "start_execution",
        {"stateMachineArn": MACHINE, "name": "d-ABC123XYZ", "input": INPUT},
        {"executionArn": execution("schema-migration", "x"), "startDate": datetime(2026, 3, 1, tzinfo=UTC)},
    )
    assert start_migration(stubbed.client("stepfunctions"), MACHINE, HOOK) is True


def test_a_hook_that_is_called_twice_migrates_once(stubbed: Stubbed) -> None:
    stubbed.refuse(
        "stepfunctions",
        "start_execution",
        "ExecutionAlreadyExists",
        {"stateMachineArn": MACHINE, "name": "d-ABC123XYZ", "input": INPUT},
    )
    assert start_migration(stubbed.client("stepfunctions"), MACHINE, HOOK) is False


def failed() -> dict[str, str]:
    return {
        "deploymentId": "d-ABC123XYZ",
        "lifecycleEventHookExecutionId": "eyJhb",
        "status": "Failed",
    }


def test_a_migration_that_cannot_be_started_is_reported_by_the_hook_itself(
    aws: None, stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that the function may not start the state machine
    step = importlib.import_module("start_schema_migration")
    monkeypatch.setattr(step, "client", stubbed.client)
    stubbed.refuse(
        "stepfunctions",
        "start_execution",
        "AccessDeniedException",
        {"stateMachineArn": MACHINE, "name": "d-ABC123XYZ", "input": INPUT},
    )
    # Then CodeDeploy is told so
    stubbed.expect("codedeploy", "put_lifecycle_event_hook_execution_status", failed(), {})
    # When it is called
    event = {"DeploymentId": "d-ABC123XYZ", "LifecycleEventHookExecutionId": "eyJhb"}
    found = step.lambda_handler(event, SimpleNamespace(aws_request_id="request-1"))
    # And Lambda does not call the function again: the deployment is over
    assert found == {"deployment_id": "d-ABC123XYZ", "started": False}


@pytest.mark.parametrize(
    "code", ["LifecycleEventAlreadyCompletedException", "DeploymentDoesNotExistException"]
)
def test_what_codedeploy_knows_already_is_not_reported_again(stubbed: Stubbed, code: str) -> None:
    stubbed.refuse("codedeploy", "put_lifecycle_event_hook_execution_status", code, failed())
    assert report_failed(stubbed.client("codedeploy"), HOOK) is False


def test_the_hook_is_found_in_the_input_of_an_execution() -> None:
    assert hook_of(HOOK.model_dump_json()) == HOOK


@pytest.mark.parametrize(("purpose", "refused"), [("migrate", True), ("provision", False)])
def test_a_release_is_refused_while_a_migration_replaces_the_stores(purpose: Any, refused: bool) -> None:
    lock = Lock(
        environment="staging", run_id="run-1", execution_arn="arn:1", purpose=purpose, taken_at="2026-03-01"
    )
    if refused:
        with pytest.raises(LockHeld, match="The migrate run run-1 has worked on staging"):
            refuse_while_migrating(lock)
    else:
        refuse_while_migrating(lock)


# ------------------------------------------------------------------ what it brings


@pytest.mark.parametrize("content", [YAML, json.dumps({"Resources": [{"TaskDefinition": DEFINITION}]})])
def test_the_task_definition_is_read_from_the_appspec(stubbed: Stubbed, content: str) -> None:
    expect_content(stubbed, content)
    assert new_task_definition(stubbed.client("codedeploy"), "d-ABC123XYZ") == DEFINITION


@pytest.mark.parametrize(
    ("content", "number"), [("Resources: []", 0), (f"{YAML}{YAML.replace(':12', ':13')}", 2)]
)
def test_an_appspec_that_names_none_or_several_is_refused(
    stubbed: Stubbed, content: str, number: int
) -> None:
    expect_content(stubbed, content)
    with pytest.raises(InvalidRelease, match=f"names {number} task definitions. Deploy with an AppSpec"):
        new_task_definition(stubbed.client("codedeploy"), "d-ABC123XYZ")


def test_a_revision_that_is_no_text_is_refused(stubbed: Stubbed) -> None:
    expect_deployment(stubbed, {"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k"}})
    with pytest.raises(InvalidRelease, match="its revision is of the type S3"):
        new_task_definition(stubbed.client("codedeploy"), "d-ABC123XYZ")


def test_a_task_definition_of_another_environment_is_refused(manifest: Manifest) -> None:
    assert service_of(manifest, DEFINITION) == manifest.api
    with pytest.raises(InvalidRelease, match="is of no service of staging, which has know-me-staging-api"):
        service_of(manifest, DEFINITION.replace("staging", "production"))


# ------------------------------------------------------------------ what is under way

GROUP = Deployment(application="know-me-staging-api", deployment_group="know-me-staging-api")


def listing(**more: Any) -> dict[str, Any]:
    return {
        "applicationName": "know-me-staging-api",
        "deploymentGroupName": "know-me-staging-api",
        "includeOnlyStatuses": UNDER_WAY,
        **more,
    }


def test_every_page_of_deployments_is_looked_at(stubbed: Stubbed) -> None:
    stubbed.expect("codedeploy", "list_deployments", listing(), {"deployments": ["d-1"], "nextToken": "more"})
    stubbed.expect("codedeploy", "list_deployments", listing(nextToken="more"), {"deployments": ["d-2"]})
    assert deployments_under_way(stubbed.client("codedeploy"), [GROUP]) == [
        "the deployment d-1 of know-me-staging-api",
        "the deployment d-2 of know-me-staging-api",
    ]


def test_releases_migrations_of_the_schema_and_background_jobs_are_waited_for(
    stubbed: Stubbed, settings: Settings
) -> None:
    # Given one of each
    recorded = Quiesced(
        recorded_at="2026-03-01",
        services=[],
        scalable_targets=[],
        rules=[],
        schedules=[],
        pipelines=[RecordedPipeline(name="know-me-staging", transitions=[])],
        deployments=[GROUP],
    )
    stubbed.expect("codedeploy", "list_deployments", listing(), {"deployments": ["d-1"]})
    stages = [
        {"stageName": name, "latestExecution": {"pipelineExecutionId": "1", "status": status}}
        for name, status in (("Build", "Succeeded"), ("Release", "InProgress"))
    ]
    stubbed.expect("codepipeline", "get_pipeline_state", {"name": "know-me-staging"}, {"stageStates": stages})
    for machine in ("schema-migration", "background-jobs"):
        arn = settings.state_machine_arn(machine)
        found = {
            "executionArn": execution(machine, "x"),
            "stateMachineArn": arn,
            "name": "x",
            "status": "RUNNING",
            "startDate": datetime(2026, 3, 1, tzinfo=UTC),
        }
        stubbed.expect(
            "stepfunctions",
            "list_executions",
            {"stateMachineArn": arn, "statusFilter": "RUNNING"},
            {"executions": [found]},
        )
    # When it is asked what is under way, then it is all of them
    assert work_under_way(stubbed.client, settings, recorded) == [
        "the deployment d-1 of know-me-staging-api",
        "the stage Release of the pipeline know-me-staging",
        "the schema-migration run x",
        "the background-jobs run x",
    ]
