"""Failures in words: every way in which a build, a function, a child or a timeout can reach a person."""

import json
from typing import Any

import boto3
import pytest
from know_me.failures import Caught, Explainer
from know_me.run_folder import RunFolder

from tests.unit.lambdas.conftest import BUCKET, NOW, Stubbed, execution

ARN = execution("move-database", "run-1-move-database")
BUILD = "know-me-staging-database-jobs:1234"


@pytest.fixture
def explainer(folder: RunFolder, stubbed: Stubbed) -> Explainer:
    return Explainer(boto3.client("s3"), stubbed.client("stepfunctions"), stubbed.client("codebuild"), BUCKET)


def caught_build(status: str, **variables: str) -> Caught:
    """What Step Functions gives for a build that did not succeed."""
    build = {
        "Id": BUILD,
        "BuildStatus": status,
        "Environment": {
            "EnvironmentVariables": [
                {"Name": key, "Value": value, "Type": "PLAINTEXT"} for key, value in variables.items()
            ]
        },
    }
    return Caught(Error="States.TaskFailed", Cause=json.dumps({"Build": build}))


def expect_build(
    stubbed: Stubbed, status: str, phases: list[dict[str, Any]] | None = None, **variables: str
) -> None:
    stubbed.expect(
        "codebuild",
        "batch_get_builds",
        {"ids": [BUILD]},
        {
            "builds": [
                {
                    "id": BUILD,
                    "buildStatus": status,
                    "phases": phases or [],
                    "environment": {
                        "type": "LINUX_CONTAINER",
                        "image": "i",
                        "computeType": "BUILD_GENERAL1_SMALL",
                        "environmentVariables": [
                            {"name": key, "value": value} for key, value in variables.items()
                        ],
                    },
                }
            ]
        },
    )


def test_a_job_that_reported_is_quoted(explainer: Explainer, folder: RunFolder, stubbed: Stubbed) -> None:
    # Given a verification that found a difference and said so
    said = {"name": "VerificationFailed", "cause": "The table users differs.", "remedy": "Look at it."}
    folder.write("jobs/verify.json", {"job": "verify", "status": "failed", "error": said})
    expect_build(stubbed, "FAILED", JOB="verify", RUN_ID="run-1")
    # When its build fails
    failure = explainer.explain(caught_build("FAILED", JOB="verify", RUN_ID="run-1"), ARN)
    # Then its own words are the cause
    assert (failure.error, failure.cause) == ("VerificationFailed", "The table users differs. Look at it.")


def test_a_name_that_people_do_not_know_is_not_shown(
    explainer: Explainer, folder: RunFolder, stubbed: Stubbed
) -> None:
    folder.write("jobs/dump.json", {"status": "failed", "error": {"name": "KeyError", "cause": "Oh."}})
    expect_build(stubbed, "FAILED")
    assert (
        explainer.explain(caught_build("FAILED", JOB="dump", RUN_ID="run-1"), ARN).error
        == "DatabaseJobFailed"
    )


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("STOPPED", "DatabaseJobInterrupted", "The database job restore was stopped"),
        ("TIMED_OUT", "DatabaseJobTimedOut", "took longer than the build project allows"),
        (
            "FAILED",
            "DatabaseJobInterrupted",
            "was killed or failed before it could report (phase BUILD: exit 137)",
        ),
    ],
)
def test_a_job_that_could_not_report_is_explained_by_its_build(
    explainer: Explainer, stubbed: Stubbed, status: str, error: str, words: str
) -> None:
    phases = [{"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "exit 137"}]}]
    expect_build(stubbed, status, phases, JOB="restore", RUN_ID="run-1")
    failure = explainer.explain(caught_build(status, JOB="restore", RUN_ID="run-1"), ARN)
    assert failure.error == error
    assert words in failure.cause
    assert BUILD in failure.cause


def test_a_job_that_reported_success_but_was_killed_after_is_not_taken_at_its_word(
    explainer: Explainer, folder: RunFolder, stubbed: Stubbed
) -> None:
    folder.write("jobs/dump.json", {"status": "succeeded", "error": None})
    expect_build(stubbed, "STOPPED", JOB="dump", RUN_ID="run-1")
    assert (
        explainer.explain(caught_build("STOPPED", JOB="dump", RUN_ID="run-1"), ARN).error
        == "DatabaseJobInterrupted"
    )


def test_terraform_is_called_by_its_name(explainer: Explainer, stubbed: Stubbed) -> None:
    expect_build(stubbed, "STOPPED", ACTION="apply", RUN_ID="run-1")
    failure = explainer.explain(caught_build("STOPPED", ACTION="apply", RUN_ID="run-1"), ARN)
    assert failure.error == "ProvisionFailed"
    assert failure.cause.startswith("Terraform's apply was stopped")


def test_an_error_of_a_step_keeps_its_name_and_its_sentences(explainer: Explainer) -> None:
    cause = json.dumps(
        {"errorMessage": "Still running: 1 task.", "errorType": "QuiesceTimedOut", "stackTrace": []}
    )
    failure = explainer.explain(Caught(Error="QuiesceTimedOut", Cause=cause), ARN)
    assert (failure.error, failure.cause) == ("QuiesceTimedOut", "Still running: 1 task.")


def test_an_error_that_nobody_foresaw_says_so(explainer: Explainer) -> None:
    cause = json.dumps({"errorMessage": "'x'", "errorType": "KeyError"})
    failure = explainer.explain(Caught(Error="KeyError", Cause=cause), ARN)
    assert "nobody foresaw: KeyError: 'x'" in failure.cause


def test_a_child_that_failed_speaks_for_itself(explainer: Explainer) -> None:
    child = {
        "ExecutionArn": ARN,
        "Status": "FAILED",
        "Error": "RestoreFailed",
        "Cause": "No space left. Ask for more.",
    }
    failure = explainer.explain(
        Caught(Error="States.TaskFailed", Cause=json.dumps(child)), execution("migrate", "run-1")
    )
    assert (failure.error, failure.cause) == ("RestoreFailed", "No space left. Ask for more.")


def test_a_child_that_was_stopped_is_named(explainer: Explainer) -> None:
    child = {"ExecutionArn": ARN, "Status": "ABORTED"}
    failure = explainer.explain(
        Caught(Error="States.TaskFailed", Cause=json.dumps(child)), execution("migrate", "run-1")
    )
    assert failure.error == "DatabaseJobInterrupted"
    assert ARN in failure.cause


def test_a_task_that_timed_out_is_found_in_the_history(explainer: Explainer, stubbed: Stubbed) -> None:
    # Given a timeout, for which Step Functions gives no cause
    overrides = {"EnvironmentVariablesOverride": [{"Name": "JOB", "Value": "dump"}]}
    events = [
        {"id": 1, "type": "ExecutionStarted", "timestamp": NOW},
        {
            "id": 2,
            "previousEventId": 1,
            "type": "TaskStateEntered",
            "timestamp": NOW,
            "stateEnteredEventDetails": {"name": "Dump the old database"},
        },
        {
            "id": 3,
            "previousEventId": 2,
            "type": "TaskScheduled",
            "timestamp": NOW,
            "taskScheduledEventDetails": {
                "resourceType": "codebuild",
                "resource": "startBuild.sync",
                "region": "us-east-1",
                "parameters": json.dumps(overrides),
                "timeoutInSeconds": 10,
            },
        },
        {"id": 4, "previousEventId": 3, "type": "TaskTimedOut", "timestamp": NOW},
    ]
    stubbed.expect(
        "stepfunctions",
        "get_execution_history",
        {"executionArn": ARN, "reverseOrder": False, "maxResults": 1000, "includeExecutionData": True},
        {"events": events},
    )
    # When it is explained
    failure = explainer.explain(Caught(Error="States.Timeout"), ARN)
    # Then the job and its limit are named
    assert failure.error == "DatabaseJobTimedOut"
    assert failure.cause.startswith("The database job dump took longer than the 10 s allowed.")
