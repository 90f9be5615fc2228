"""The real CDK command line deploys the real stack: bootstrap, deploy, change, delete."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import PROJECT, LocalAWS
from tests.local.test_cloudformation import settled

pytestmark = pytest.mark.local

CDK = PROJECT / "node_modules" / ".bin" / "cdk"
STACK = "know-me-staging"


@dataclass(frozen=True)
class CDKCommand:
    """The command line against one local AWS, with a home of its own: it caches accounts there."""

    local_aws: LocalAWS
    home: Path

    def __call__(self, *arguments: str, directory: Path = PROJECT) -> str:
        environment = self.local_aws.environment() | {"HOME": str(self.home), "CI": "true"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        finished = subprocess.run(
            [str(CDK), *arguments],
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=580,
        )
        assert finished.returncode == 0, finished.stdout
        return finished.stdout

    def deploy(self, **context: Any) -> str:
        """Deploy the stack with a context."""
        values = {"python_runtime": f"{sys.version_info.major}.{sys.version_info.minor}", **context}
        options = [part for key, value in values.items() for part in ("-c", f"{key}={value}")]
        output = ["--output", str(self.home / "cdk.out")]
        return self("deploy", STACK, "--require-approval", "never", *options, *output)


@pytest.fixture(scope="module")
def cdk(local_aws: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CDKCommand]:
    """The command line, bootstrapped, with the stack deployed."""
    home = tmp_path_factory.mktemp("home")
    command = CDKCommand(local_aws, home)
    # Outside the project: bootstrapping an environment that is named needs no synthesis.
    command("bootstrap", "aws://123456789012/us-east-1", directory=home)
    command.deploy()
    yield command
    cloudformation = local_aws.client("cloudformation")
    stack_id = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackId"]
    cloudformation.delete_stack(StackName=STACK)
    # Then the buckets, which hold the backups and Terraform's state, stay
    assert settled(cloudformation, stack_id)["StackStatus"] == "DELETE_COMPLETE"
    buckets = {bucket["Name"] for bucket in local_aws.client("s3").list_buckets()["Buckets"]}
    assert {f"{STACK}-artifacts-123456789012", f"{STACK}-state-123456789012"} <= buckets
    pages = local_aws.client("lambda").get_paginator("list_functions").paginate()
    functions = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert [name for name in functions if name.startswith(STACK)] == []


def test_the_stack_is_complete(cdk: CDKCommand) -> None:
    cloudformation = cdk.local_aws.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    resources = cloudformation.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    assert {each["ResourceStatus"] for each in resources} == {"CREATE_COMPLETE"}


def test_a_deployed_function_runs_with_its_layer_and_its_role(cdk: CDKCommand) -> None:
    # Given the function that needs the layer, its environment and SSM
    functions = cdk.local_aws.client("lambda")
    # When it is asked to provision a new environment
    answer = functions.invoke(
        FunctionName=f"{STACK}-validate-provision",
        Payload=json.dumps({"run_id": "one", "request": {}}).encode(),
    )
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    # Then it answers, and the first generations are written
    assert payload["own_lock"] is True
    found = cdk.local_aws.client("ssm").get_parameter(Name="/know-me/staging/generations")
    assert json.loads(found["Parameter"]["Value"])["database"]["active"]


def test_a_second_deployment_without_change_changes_nothing(cdk: CDKCommand) -> None:
    cloudformation = cdk.local_aws.client("cloudformation")
    before = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"][0]["EventId"]
    assert "(no changes)" in cdk.deploy()
    assert cloudformation.describe_stack_events(StackName=STACK)["StackEvents"][0]["EventId"] == before


def test_a_changed_setting_changes_the_build_in_place(cdk: CDKCommand) -> None:
    builds = cdk.local_aws.client("codebuild")

    def project() -> dict[str, Any]:
        (found,) = builds.batch_get_projects(names=[f"{STACK}-terraform"])["projects"]
        return dict(found)

    before = project()
    cdk.deploy(
        terraform_variables='{"api_maximum_tasks": 7}', log_retention_days=30, single_copy_limit_bytes=8388608
    )
    after = project()
    variables = {each["name"]: each["value"] for each in after["environment"]["environmentVariables"]}
    assert variables["TF_VAR_api_maximum_tasks"] == "7"
    assert after["arn"] == before["arn"] and after["created"] == before["created"]
    planner = cdk.local_aws.client("lambda").get_function_configuration(
        FunctionName=f"{STACK}-validate-migration"
    )
    assert planner["Environment"]["Variables"]["SINGLE_COPY_LIMIT_BYTES"] == "8388608"
    groups = cdk.local_aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{STACK}-")[
        "logGroups"
    ]
    assert {group["retentionInDays"] for group in groups} == {30}


def test_state_machines_know_the_functions_that_they_call(cdk: CDKCommand) -> None:
    states = cdk.local_aws.client("stepfunctions")
    arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:{STACK}-migrate"
    machine = states.describe_state_machine(stateMachineArn=arn)
    mover = states.describe_state_machine(stateMachineArn=arn.replace("-migrate", "-move-media"))
    assert "${" not in mover["definition"] and '"AccountId": "123456789012"' in mover["definition"]
    assert "${" not in machine["definition"]
    assert f"function:{STACK}-validate-migration" in machine["definition"]
    assert machine["loggingConfiguration"]["level"] == "ALL"
    assert machine["tracingConfiguration"]["enabled"] is True
