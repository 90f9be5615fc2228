"""Failures in words: every way in which a build, a function, a child or a timeout can reach a person."""

import json
from typing import Any

import boto3
import pytest
from know_me.failures import Caught, Explainer, words_of
from know_me.run_folder import RunFolder

from tests.unit.lambdas.conftest import BUCKET, NOW, Stubbed, execution

ARN = execution("move-database", "run-1-move-database")
BUILD = "know-me-staging-database-jobs:1234"
MEDIA_BUILD = "know-me-staging-media-jobs:5678"


@pytest.fixture
def explainer(folder: RunFolder, stubbed: Stubbed) -> Explainer:
    return Explainer(
        boto3.client("s3"),
        stubbed.client("stepfunctions"),
        stubbed.client("codebuild"),
        BUCKET,
        "run-1",
        "know-me-staging-media-jobs",
    )


def caught_build(status: str, identifier: str = BUILD, **variables: str) -> Caught:
    """What Step Functions gives for a build that did not succeed."""
    build = {
        "Id": identifier,
        "BuildStatus": status,
        "Environment": {
            "EnvironmentVariables": [
                {"Name": key, "Value": value, "Type": "PLAINTEXT"} for key, value in variables.items()
            ]
        },
    }
    return Caught(Error="States.TaskFailed", Cause=json.dumps({"Build": build}))


def expect_build(
    stubbed: Stubbed,
    status: str,
    phases: list[dict[str, Any]] | None = None,
    identifier: str = BUILD,
    **variables: str,
) -> None:
    stubbed.expect(
        "codebuild",
        "batch_get_builds",
        {"ids": [identifier]},
        {
            "builds": [
                {
                    "id": identifier,
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


def test_a_stale_plan_keeps_its_name(explainer: Explainer, folder: RunFolder, stubbed: Stubbed) -> None:
    said = {"name": "PlanStale", "cause": "The plan is stale.", "remedy": "Start the run again."}
    folder.write("jobs/terraform-apply.json", {"status": "failed", "error": said})
    expect_build(stubbed, "FAILED", ACTION="apply", RUN_ID="run-1")
    failure = explainer.explain(caught_build("FAILED", ACTION="apply", RUN_ID="run-1"), ARN)
    assert (failure.error, failure.cause) == ("PlanStale", "The plan is stale. Start the run again.")


@pytest.mark.parametrize("name", ["PlanRefused", "ApprovalRejected", "ApprovalTimedOut"])
def test_what_the_state_machine_says_itself_passes_unchanged(explainer: Explainer, name: str) -> None:
    failure = explainer.explain(Caught(Error=name, Cause="It is so. Do this."), ARN)
    assert (failure.error, failure.cause) == (name, "It is so. Do this.")


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


def test_a_media_job_that_reported_is_quoted_from_the_document_of_its_phase(
    explainer: Explainer, folder: RunFolder, stubbed: Stubbed
) -> None:
    # Given a final comparison that found a difference, after one ahead that found none
    said = {"name": "VerificationFailed", "cause": "a.jpg differs.", "remedy": "Look at it."}
    folder.write("jobs/ahead-synchronise.json", {"status": "succeeded", "error": None})
    folder.write("jobs/final-synchronise.json", {"status": "failed", "error": said})
    variables = {"JOB": "synchronise", "PHASE": "final", "RUN_ID": "run-1"}
    expect_build(stubbed, "FAILED", identifier=MEDIA_BUILD, **variables)
    failure = explainer.explain(caught_build("FAILED", MEDIA_BUILD, **variables), ARN)
    assert (failure.error, failure.cause) == ("VerificationFailed", "a.jpg differs. Look at it.")


@pytest.mark.parametrize("name", ["MediaCopyFailed", "CrossCheckFailed", "MediaJobFailed"])
def test_the_names_of_media_failures_are_known_to_people(
    explainer: Explainer, folder: RunFolder, stubbed: Stubbed, name: str
) -> None:
    folder.write("jobs/final-catch-up.json", {"status": "failed", "error": {"name": name, "cause": "Oh."}})
    variables = {"JOB": "catch-up", "PHASE": "final", "RUN_ID": "run-1"}
    expect_build(stubbed, "FAILED", identifier=MEDIA_BUILD, **variables)
    assert explainer.explain(caught_build("FAILED", MEDIA_BUILD, **variables), ARN).error == name


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("STOPPED", "MediaJobInterrupted"),
        ("TIMED_OUT", "MediaJobTimedOut"),
        ("FAILED", "MediaJobInterrupted"),
    ],
)
def test_a_media_job_that_could_not_report_is_called_one(
    explainer: Explainer, stubbed: Stubbed, status: str, error: str
) -> None:
    identifier = f"arn:aws:codebuild:us-east-1:123456789012:build/{MEDIA_BUILD}"
    variables = {"JOB": "survey", "PHASE": "before", "RUN_ID": "run-1"}
    expect_build(stubbed, status, identifier=identifier, **variables)
    failure = explainer.explain(caught_build(status, identifier, **variables), ARN)
    assert failure.error == error
    assert failure.cause.startswith("The media job survey")


def test_a_database_job_that_has_a_phase_is_a_database_job(
    explainer: Explainer, folder: RunFolder, stubbed: Stubbed
) -> None:
    folder.write("jobs/list-files.json", {"status": "failed", "error": {"name": "KeyError", "cause": "Oh."}})
    variables = {"JOB": "list-files", "PHASE": "ahead", "RUN_ID": "run-1"}
    expect_build(stubbed, "FAILED", **variables)
    failure = explainer.explain(caught_build("FAILED", **variables), ARN)
    assert (failure.error, failure.cause) == ("DatabaseJobFailed", "Oh.")


def test_a_media_copy_that_was_stopped_is_named(explainer: Explainer) -> None:
    child = {"ExecutionArn": execution("move-media", "run-1-move-media"), "Status": "ABORTED"}
    failure = explainer.explain(
        Caught(Error="States.TaskFailed", Cause=json.dumps(child)), execution("migrate", "run-1")
    )
    assert failure.error == "MediaJobInterrupted"


class TestLargeObjects:
    CAUGHT = Caught(Error="States.ExceedToleratedFailureThreshold", Cause="The threshold was exceeded.")

    def test_the_objects_that_a_distributed_map_gave_up_are_named(
        self, explainer: Explainer, folder: RunFolder
    ) -> None:
        # Given two films whose copies were aborted
        for number in (1, 2):
            folder.write(f"media/failed/{number}.json", {"key": f"film {number}.mp4", "error": "S3: Denied"})
        # When the map fails
        failure = explainer.explain(self.CAUGHT, ARN)
        # Then both are named with what went wrong
        assert failure.error == "MediaCopyFailed"
        assert "2 large objects could not be copied: film 1.mp4 (S3: Denied); film 2.mp4" in failure.cause

    def test_no_more_are_named_than_anybody_reads(self, explainer: Explainer, folder: RunFolder) -> None:
        for number in range(22):
            folder.write(f"media/failed/{number:02}.json", {"key": f"k{number:02}", "error": "e"})
        cause = explainer.explain(self.CAUGHT, ARN).cause
        assert "k19 (e) and 2 more" in cause and "k20" not in cause

    def test_a_map_that_left_nothing_says_where_to_look(self, explainer: Explainer, aws: None) -> None:
        assert "The map run" in explainer.explain(self.CAUGHT, ARN).cause


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ('{"errorMessage": "No."}', "S3.S3Exception: No."),
        ("Denied", "S3.S3Exception: Denied"),
        ("", "S3.S3Exception"),
    ],
)
def test_what_was_caught_is_said_in_one_line(cause: str, words: str) -> None:
    assert words_of(Caught(Error="S3.S3Exception", Cause=cause)) == words


@pytest.mark.parametrize(
    ("project", "called", "error"),
    [
        ("know-me-staging-database-jobs", "The database job dump", "DatabaseJobTimedOut"),
        ("know-me-staging-media-jobs", "The media job dump", "MediaJobTimedOut"),
    ],
)
def test_a_task_that_timed_out_is_found_in_the_history(
    explainer: Explainer, stubbed: Stubbed, project: str, called: str, error: str
) -> None:
    # Given a timeout, for which Step Functions gives no cause
    overrides = {
        "ProjectName": project,
        "EnvironmentVariablesOverride": [{"Name": "JOB", "Value": "dump"}],
    }
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
    assert failure.error == error
    assert failure.cause.startswith(f"{called} took longer than the 10 s allowed.")
