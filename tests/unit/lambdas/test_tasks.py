"""Single tasks of the API's image: how they are run, and how it is said that they ended."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from know_me.failures import Caught
from know_me.lock import Lock
from know_me.manifest import Manifest
from know_me.tasks import TaskOrder, TaskOutcome, outcome, reason_to_skip, running_tasks, task_order

from tests.unit.lambdas.conftest import ACCOUNT, NOW, REGION, Stubbed

FAMILY = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/know-me-staging-api"
TASK = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/know-me-staging/0123abcd"
NETWORK = {
    "awsvpcConfiguration": {"subnets": ["subnet-3"], "securityGroups": ["sg-2"], "assignPublicIp": "DISABLED"}
}
ORDER = TaskOrder(
    cluster="know-me-staging",
    task_definition=f"{FAMILY}:7",
    container="api",
    launch_type="FARGATE",
    network={
        "AwsvpcConfiguration": {
            "Subnets": ["subnet-3"],
            "SecurityGroups": ["sg-2"],
            "AssignPublicIp": "DISABLED",
        }
    },
)


def described_task(code: int | None, **more: Any) -> dict[str, Any]:
    """Return a task as Step Functions spells it."""
    container = {"Name": "api", **({} if code is None else {"ExitCode": code}), **more.pop("container", {})}
    return {"TaskArn": TASK, "Containers": [{"Name": "sidecar", "ExitCode": 0}, container], **more}


def expect_log(stubbed: Stubbed, *messages: str) -> None:
    """Answer the two calls that read a task's log."""
    stubbed.expect(
        "ecs",
        "describe_task_definition",
        {"taskDefinition": ORDER.task_definition},
        {
            "taskDefinition": {
                "containerDefinitions": [
                    {
                        "name": "api",
                        "logConfiguration": {
                            "logDriver": "awslogs",
                            "options": {
                                "awslogs-group": "/know-me-staging/api",
                                "awslogs-stream-prefix": "api",
                            },
                        },
                    }
                ]
            }
        },
    )
    parameters = {
        "logGroupName": "/know-me-staging/api",
        "logStreamName": "api/api/0123abcd",
        "limit": 20,
        "startFromHead": False,
    }
    if messages:
        stubbed.expect(
            "logs",
            "get_log_events",
            parameters,
            {"events": [{"timestamp": 1, "message": message, "ingestionTime": 1} for message in messages]},
        )
    else:
        stubbed.refuse("logs", "get_log_events", "ResourceNotFoundException", parameters)


def judged(stubbed: Stubbed, command: str = "migrate", **given: Any) -> TaskOutcome:
    """Judge a task as the step does."""
    return outcome(
        stubbed.client("ecs"),
        stubbed.client("logs"),
        ORDER,
        command,  # type: ignore[arg-type]
        started_by="d-1",
        time_limit_seconds=3000,
        **{"task": None, "caught": None, **given},
    )


def test_a_service_of_codedeploy_has_network_and_definition_in_its_primary_task_set(
    manifest: Manifest,
) -> None:
    # Given a service in the middle of a release
    described = {
        "taskDefinition": f"{FAMILY}:1",
        "taskSets": [
            {
                "status": "ACTIVE",
                "taskDefinition": f"{FAMILY}:8",
                "launchType": "FARGATE",
                "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-9"]}},
            },
            {
                "status": "PRIMARY",
                "taskDefinition": f"{FAMILY}:7",
                "launchType": "FARGATE",
                "networkConfiguration": NETWORK,
            },
        ],
    }
    # When a task is ordered, then it runs like those that serve
    assert task_order(manifest.api, described) == ORDER


def test_another_revision_runs_in_the_network_of_the_service(manifest: Manifest) -> None:
    described = {"taskDefinition": f"{FAMILY}:1", "launchType": "FARGATE", "networkConfiguration": NETWORK}
    assert task_order(manifest.api, described, f"{FAMILY}:7") == ORDER


def test_exit_code_0_is_success_and_reads_no_log(stubbed: Stubbed) -> None:
    found = judged(stubbed, task=described_task(0, StoppedReason="Essential container in task exited"))
    assert (found.succeeded, found.exit_code, found.error, found.cause) == (True, 0, None, None)


def test_a_failed_task_is_told_with_its_exit_code_and_its_last_words(stubbed: Stubbed) -> None:
    # Given that Step Functions caught the task as the cause
    expect_log(stubbed, "Applying know_me.0042_photo...\n", "relation exists\n")
    caught = Caught(Error="States.TaskFailed", Cause=json.dumps(described_task(3)))
    # When it is judged
    found = judged(stubbed, caught=caught)
    # Then code, words and remedy are in the cause
    assert (found.succeeded, found.exit_code, found.error) == (False, 3, "SchemaMigrationFailed")
    assert found.log_lines == ["Applying know_me.0042_photo...", "relation exists"]
    assert found.cause == (
        "The schema migration (task 0123abcd) ended with exit code 3. The last lines of its log:\n"
        "Applying know_me.0042_photo...\nrelation exists\n "
        "Nothing was released; correct the migration and release again."
    )


def test_the_exit_code_decides_even_when_the_state_succeeded(stubbed: Stubbed) -> None:
    expect_log(stubbed, "no\n")
    found = judged(stubbed, "background-jobs", task=described_task(1))
    assert (found.succeeded, found.error) == (False, "BackgroundJobsFailed")


def test_a_task_that_never_ran_is_told_with_the_reason_of_ecs(stubbed: Stubbed) -> None:
    expect_log(stubbed)
    task = described_task(
        None,
        StoppedReason="Task failed to start",
        container={"Reason": "CannotPullContainerError: no such image."},
    )
    found = judged(stubbed, caught=Caught(Error="States.TaskFailed", Cause=json.dumps(task)))
    assert found.exit_code is None
    assert found.cause == (
        "The schema migration (task 0123abcd) never ran: Task failed to start; CannotPullContainerError: no "
        "such image. It wrote nothing into its log. Nothing was released; correct the migration and release "
        "again."
    )


def test_a_task_that_took_too_long_is_found_by_who_started_it(stubbed: Stubbed) -> None:
    # Given that a time limit has no cause, and that the task was stopped meanwhile
    for status, arns in (("RUNNING", []), ("STOPPED", [TASK])):
        stubbed.expect(
            "ecs",
            "list_tasks",
            {"cluster": "know-me-staging", "startedBy": "d-1", "desiredStatus": status},
            {"taskArns": arns},
        )
    stubbed.expect(
        "ecs",
        "describe_tasks",
        {"cluster": "know-me-staging", "tasks": [TASK]},
        {
            "tasks": [
                {
                    "taskArn": TASK,
                    "createdAt": datetime(2026, 3, 1, tzinfo=UTC),
                    "containers": [{"name": "api", "exitCode": 0}],
                }
            ]
        },
    )
    expect_log(stubbed, "still at it\n")
    # When it is judged, then even a clean exit after the limit is no success
    found = judged(stubbed, caught=Caught(Error="States.Timeout"))
    assert (found.succeeded, found.error) == (False, "SchemaMigrationTimedOut")
    assert "took longer than the 50 min 00 s it may and was stopped" in str(found.cause)


def test_a_task_that_ecs_refused_is_told_with_what_ecs_said(stubbed: Stubbed) -> None:
    caught = Caught(Error="ECS.AccessDeniedException", Cause="User is not authorized to perform ecs:RunTask.")
    found = judged(stubbed, caught=caught)
    assert (found.task_arn, found.error) == (None, "SchemaMigrationFailed")
    assert "did not start" in str(found.cause)
    assert "not authorized to perform ecs:RunTask. Nothing was released" in str(found.cause)


def holder(purpose: Any) -> Lock:
    return Lock(
        environment="staging",
        run_id="run-1",
        execution_arn="arn:execution",
        purpose=purpose,
        taken_at=NOW.isoformat(),
    )


@pytest.mark.parametrize(
    ("running", "desired", "lock", "skipped"),
    [
        ([], 2, None, False),
        ([], 2, holder("migrate"), False),  # the copy ahead: the app serves, so its jobs run too
        ([], 0, None, False),
        ([], 0, holder("migrate"), True),
        ([TASK], 2, None, True),
    ],
)
def test_background_jobs_skip_while_others_run_and_while_the_app_is_stopped_for_a_run(
    running: list[str], desired: int, lock: Lock | None, skipped: bool
) -> None:
    assert (reason_to_skip(running, desired, lock) is not None) is skipped


def test_only_tasks_that_have_not_been_asked_to_stop_count_as_running(stubbed: Stubbed) -> None:
    parameters = {"cluster": "c", "startedBy": "background-jobs", "desiredStatus": "RUNNING"}
    stubbed.expect("ecs", "list_tasks", parameters, {"taskArns": [TASK]})
    assert running_tasks(stubbed.client("ecs"), "c", "background-jobs") == [TASK]
