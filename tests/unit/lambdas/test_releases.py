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

from tests.unit.lambdas.conftest import ACCOUNT, REGION, Stubbed, execution, manifest_document

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


# ------------------------------------------------------------------ the steps as a whole


def step(name: str, stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a step's handler, whose clients are stubs."""
    module = importlib.import_module(name)
    monkeypatch.setattr(module, "client", stubbed.client)
    return lambda **event: module.lambda_handler(event, SimpleNamespace(aws_request_id="request-1"))


def expect_environment(stubbed: Stubbed, *, desired: int = 1, lock: Lock | None = None) -> None:
    """Answer what both steps ask: the lock, the manifest, the service in the middle of a release."""
    item = (
        {} if lock is None else {"Item": {key: {"S": str(value)} for key, value in lock if value is not None}}
    )
    stubbed.expect(
        "dynamodb",
        "get_item",
        {
            "TableName": "know-me-staging-lock",
            "Key": {"environment": {"S": "staging"}},
            "ConsistentRead": True,
        },
        item,
    )
    stubbed.expect(
        "ssm",
        "get_parameter",
        {"Name": "/know-me/staging/manifest"},
        {"Parameter": {"Name": "manifest", "Value": json.dumps(manifest_document())}},
    )
    task_sets = [
        {
            "status": status,
            "taskDefinition": definition,
            "launchType": "FARGATE",
            "networkConfiguration": {
                "awsvpcConfiguration": {"subnets": ["subnet-3"], "securityGroups": ["sg-2"]}
            },
        }
        for status, definition in (("PRIMARY", DEFINITION.replace(":12", ":11")), ("ACTIVE", DEFINITION))
    ]
    stubbed.expect(
        "ecs",
        "describe_services",
        {"cluster": "know-me-staging", "services": ["know-me-staging-api"]},
        {"services": [{"status": "ACTIVE", "desiredCount": desired, "taskSets": task_sets}]},
    )


NETWORK = {
    "AwsvpcConfiguration": {
        "Subnets": ["subnet-3"],
        "SecurityGroups": ["sg-2"],
        "AssignPublicIp": "DISABLED",
    }
}


def test_the_new_image_runs_in_the_network_of_the_service(
    aws: None, stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_environment(stubbed)
    expect_content(stubbed, YAML)
    assert step("find_new_image", stubbed, monkeypatch)(deployment_id="d-ABC123XYZ") == {
        "cluster": "know-me-staging",
        "task_definition": DEFINITION,
        "container": "api",
        "launch_type": "FARGATE",
        "network": NETWORK,
    }


@pytest.mark.parametrize(("desired", "skipped"), [(1, False), (0, True)])
def test_background_jobs_take_the_image_that_serves_unless_the_app_is_stopped_for_a_run(
    aws: None, stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch, desired: int, skipped: bool
) -> None:
    # Given that a migration holds the lock, which alone is no reason: it may still copy ahead
    lock = Lock(
        environment="staging", run_id="run-1", execution_arn="arn:1", purpose="migrate", taken_at="2026-03-01"
    )
    expect_environment(stubbed, desired=desired, lock=lock)
    stubbed.expect(
        "ecs",
        "list_tasks",
        {"cluster": "know-me-staging", "startedBy": "background-jobs", "desiredStatus": "RUNNING"},
        {"taskArns": []},
    )
    # When the runbook asks
    found = step("find_running_image", stubbed, monkeypatch)(started_by="background-jobs")
    # Then it is told what the primary task set runs, not what is being released
    assert found["order"]["task_definition"] == DEFINITION.replace(":12", ":11")
    assert (found["skip"] is not None) is skipped


def test_background_jobs_wait_for_an_environment_that_is_being_made(
    aws: None, stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given no manifest yet, though the rule is there
    stubbed.refuse("ssm", "get_parameter", "ParameterNotFound", {"Name": "/know-me/staging/manifest"})
    found = step("find_running_image", stubbed, monkeypatch)(started_by="background-jobs")
    # Then that is no failure, about which people would be alarmed
    assert found["order"] is None and "no manifest yet" in found["skip"]


@pytest.mark.parametrize("waits", [True, False])
def test_people_hear_of_a_migration_that_was_stopped_when_codedeploy_still_waited(
    aws: None, stubbed: Stubbed, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    action = "put_lifecycle_event_hook_execution_status"
    arn = execution("schema-migration", "d-ABC123XYZ")
    if waits:
        stubbed.expect("codedeploy", action, failed(), {})
        text = (
            f"The execution {arn} was stopped by hand, so the deployment d-ABC123XYZ was told that it "
            "failed. Look at the schema of the database, then release again."
        )
        stubbed.expect(
            "sns",
            "publish",
            {
                "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:know-me-staging-notifications",
                "Subject": "Know Me staging: the schema migration of d-ABC123XYZ failed",
                "Message": text,
            },
            {},
        )
    else:
        stubbed.refuse("codedeploy", action, "LifecycleEventAlreadyCompletedException", failed())
    detail = {"executionArn": arn, "status": "ABORTED", "input": INPUT, "name": "d-ABC123XYZ"}
    assert step("report_lost_schema_migration", stubbed, monkeypatch)(detail=detail) == {"reported": waits}
