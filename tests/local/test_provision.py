"""`provision` as it is deployed: real functions, builds, permissions and Terraform, over the whole app.

One environment, whose life is told in the order of the tests.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from examples.environment import KnowMeEnvironment
from examples.executions import Execution
from tests.local.conftest import LocalAWS

pytestmark = pytest.mark.local

HARMLESS = "module.media_jobs.aws_codebuild_project.this"
"""What may be made anew at any time, and yet is replaced only when a person agrees."""


@pytest.fixture(scope="module")
def environment(local_aws: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowMeEnvironment]:
    kept, pointed = dict(os.environ), local_aws.environment()
    os.environ.clear()
    os.environ.update(pointed)
    try:
        environment = KnowMeEnvironment(
            "whole",
            tmp_path_factory.mktemp("whole"),
            listener_port=8291,
            terraform_variables={"deletion_protection": False, "database_skip_final_snapshot": True},
        )
        environment.bootstrap()
        environment.deploy()
        yield environment
    finally:
        os.environ.clear()
        os.environ.update(kept)


def provision(environment: KnowMeEnvironment, **request: Any) -> Execution:
    """Run `provision` to a good end."""
    return environment.succeed(environment.executions.start("provision", request))


def question(environment: KnowMeEnvironment, arn: str, seconds: float = 300) -> dict[str, Any]:
    """Wait until a run asks, and return what it asks."""
    name = environment.executions.describe(arn).name
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if "plan/approval-request.json" in environment.run_files(name):
            return dict(environment.run_document(name, "plan/approval-request.json"))
        execution = environment.executions.describe(arn)
        assert execution.is_running, f"{execution.status}: {execution.error}: {execution.cause}"
        time.sleep(1)
    raise AssertionError("it never asked")


def decide(local_aws: LocalAWS, run_id: str, decision: str) -> None:
    """Decide as a person does by command line."""
    document = {"run_id": run_id, "decision": decision, "by": "ada", "comment": "As agreed"}
    answer = local_aws.client("lambda").invoke(
        FunctionName="know-me-whole-decide-approval", Payload=json.dumps(document)
    )
    assert "FunctionError" not in answer, answer["Payload"].read()


def kinds(environment: KnowMeEnvironment) -> set[str]:
    """Return the types of what Terraform manages."""
    return {each["type"] for each in environment.terraform_state()["resources"] if each["mode"] == "managed"}


def test_one_run_makes_the_whole_environment_and_the_app_serves(environment: KnowMeEnvironment) -> None:
    # When an environment of which nothing exists is provisioned
    execution = provision(environment)
    # Then every part of the app's infrastructure is there, and the image can use it
    assert execution.output["outcome"] == "provisioned"
    assert {
        "aws_db_instance",
        "aws_s3_bucket",
        "aws_ecs_service",
        "aws_codedeploy_deployment_group",
        "aws_cloudfront_distribution",
        "aws_wafv2_web_acl",
        "aws_cloudwatch_metric_alarm",
    } <= kinds(environment)
    environment.run_api_command("migrate")
    environment.wait_until_healthy()


@pytest.mark.parametrize("wish", [{"action": "plan"}, {"action": "plan", "drift": True}])
def test_a_second_plan_is_empty_and_nothing_has_drifted(
    environment: KnowMeEnvironment, wish: dict[str, Any]
) -> None:
    assert provision(environment, **wish).output["outcome"] == "nothing_to_change"


@pytest.mark.parametrize(
    ("decision", "status", "error"),
    [("reject", "FAILED", "ApprovalRejected"), ("approve", "SUCCEEDED", None)],
)
def test_what_replaces_something_waits_for_a_person(
    local_aws: LocalAWS, environment: KnowMeEnvironment, decision: str, status: str, error: str | None
) -> None:
    # Given a run that replaces something
    before = environment.terraform_state()["serial"]
    arn = environment.executions.start("provision", {"replace": [HARMLESS]})
    asked = question(environment, arn)
    assert [change["address"] for change in asked["changes"] if change["action"] == "replace"] == [HARMLESS]
    # When somebody decides
    decide(local_aws, asked["run_id"], decision)
    ended = environment.wait(arn, 600)
    # Then exactly that is done
    assert (ended.status, ended.error) == (status, error)
    assert (environment.terraform_state()["serial"] > before) == (decision == "approve")


def test_destroy_asks_and_leaves_nothing(local_aws: LocalAWS, environment: KnowMeEnvironment) -> None:
    arn = environment.executions.start("provision", {"action": "destroy"})
    decide(local_aws, question(environment, arn)["run_id"], "approve")
    assert environment.succeed(arn).output["outcome"] == "destroyed"
    assert kinds(environment) == set()
