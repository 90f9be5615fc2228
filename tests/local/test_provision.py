"""`provision` as it is deployed: real functions, builds, permissions and Terraform, over the whole app.

One environment with everything that one can have (names and certificates, both firewalls, a pipeline), whose
life is told in the order of the tests: from nothing to nothing.
"""

import http.client
import io
import json
import os
import socket
import ssl
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import boto3
import pytest

from examples.database_access import certificate_bundle_url
from examples.environment import KnowMeEnvironment
from examples.executions import Execution
from tests.local.approving import Form, Topic, ask, command_in, link_in, typed
from tests.local.conftest import PROJECT, LocalAWS
from tests.local.inventory import inventory
from tests.local.repositories import begin, commit
from tests.local.waiting import eventually

pytestmark = pytest.mark.local

DOMAIN = "know-me.example"
API_NAME = f"api.whole.{DOMAIN}"

HARMLESS = "module.media_jobs.aws_codebuild_project.this"
"""What may be made anew at any time, and yet is replaced only when a person agrees."""

RETAINED = {
    ("ssm Parameters", "/know-me/whole/generations"),
    ("ssm Parameters", "/know-me/whole/bundle"),
    # Terraform's, and the one that the release registered.
    ("task definitions", "know-me-whole-api:1"),
    ("task definitions", "know-me-whole-api:2"),
}
"""What a destruction keeps on purpose, besides keys until their window ends."""


def privileged() -> bool:
    """Whether HTTPS can listen on its port, which a name with a certificate needs."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 443))
        except PermissionError:
            return False
        except OSError:
            return True
    return True


@dataclass
class Whole:
    """The environment, and what stands around it."""

    aws: LocalAWS
    environment: KnowMeEnvironment
    topic: Topic
    api: Path
    web: Path
    before: set[tuple[str, str]]

    def provision(self, **request: Any) -> Execution:
        """Run `provision` to a good end."""
        return self.environment.succeed(self.start(**request))

    def start(self, **request: Any) -> str:
        """Start `provision`; return the execution's ARN."""
        return self.environment.executions.start("provision", request)

    def deploy(self, *, context: dict[str, str] | None = None, **variables: Any) -> None:
        """Deploy the orchestrator with another context or other variables of Terraform."""
        self.environment.context = context or {}
        self.environment.terraform_variables |= variables
        self.environment.deploy()

    def put_bundle(self, **files: str) -> str:
        """Put an infrastructure bundle with additional files; return the ARN of the run that it starts."""
        put = self.environment.clients["s3"].put_object(
            Bucket=self.environment.artifacts_bucket, Key="bundles/main.zip", Body=bundle(files)
        )
        wanted = {"bundle": {"key": "bundles/main.zip", "version_id": put["VersionId"]}}
        found: str = eventually(lambda: next(iter(self.started_with(wanted)), None))
        return found

    def started_with(self, wanted: dict[str, Any]) -> list[str]:
        """Return the ARNs of the runs with an input, the latest first."""
        states = self.environment.clients["stepfunctions"]
        machine = self.environment.executions.state_machine_arn("provision")
        return [
            each["executionArn"]
            for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine)
            for each in page["executions"]
            if json.loads(states.describe_execution(executionArn=each["executionArn"])["input"]) == wanted
        ]

    def runs_at_work(self) -> list[Any]:
        """Return the runs that have not ended."""
        machine = self.environment.executions.state_machine_arn("provision")
        found = self.environment.clients["stepfunctions"].list_executions(
            stateMachineArn=machine, statusFilter="RUNNING"
        )
        return list(found["executions"])

    def asks(self, arn: str) -> str:
        """Wait until a run asks people, and return the message."""
        return self.topic.message(name_of(arn), "?run_id=", seconds=300)

    def document(self, arn: str, name: str) -> Any:
        """Return a document of a run's folder."""
        return self.environment.run_document(name_of(arn), name)

    def parameter(self, name: str) -> str | None:
        """Return the value of a parameter of the environment, if there is one."""
        ssm = self.environment.clients["ssm"]
        try:
            return str(ssm.get_parameter(Name=f"/know-me/whole/{name}")["Parameter"]["Value"])
        except ssm.exceptions.ParameterNotFound:
            return None

    def kinds(self) -> set[str]:
        """Return the types of what Terraform manages."""
        return {
            each["type"]
            for each in self.environment.terraform_state()["resources"]
            if each["mode"] == "managed"
        }


def name_of(arn: str) -> str:
    """Return the name of an execution, which is the run's."""
    return arn.rpartition(":")[2]


def bundle(files: dict[str, str]) -> bytes:
    """Return what CI would upload, with some files changed or added."""
    subprocess.run(["make", "--silent", "bundle"], cwd=PROJECT, check=True, timeout=60)
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(PROJECT / "build" / "bundle.zip") as archive,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as changed,
    ):
        for name in archive.namelist():
            if name not in files:
                changed.writestr(name, archive.read(name))
        for name, text in files.items():
            changed.writestr(name, text)
    return buffer.getvalue()


def note(value: str) -> dict[str, str]:
    """Describe something harmless."""
    return {
        "terraform/note.tf": f"""
            resource "aws_ssm_parameter" "note" {{
              name  = "/know-me/${{var.environment}}/note"
              type  = "String"
              value = "{value}"
            }}
        """
    }


@pytest.fixture(scope="module")
def whole(local_aws: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    directory = tmp_path_factory.mktemp("whole")
    kept, pointed = dict(os.environ), local_aws.environment()
    os.environ.clear()
    os.environ.update(pointed)
    boto3.setup_default_session()  # another test's keeps that one's credentials
    try:
        environment = KnowMeEnvironment(
            "whole",
            directory,
            listener_port=8291,
            terraform_variables={
                "deletion_protection": False,
                "database_skip_final_snapshot": True,
                "domain_name": DOMAIN if privileged() else None,
                "web_firewall": True,
                "background_jobs_schedule": "rate(1 minute)",
                "delivery": {"api": {"repository": "whole/api"}, "web": {"repository": "whole/web"}},
            },
        )
        local_aws.client("route53").create_hosted_zone(Name=DOMAIN, CallerReference="whole")
        environment.bootstrap()
        environment.deploy()
        api, web = directory / "api", directory / "web"
        begin(api, web)
        for path in (api, web):
            local_aws.control(
                "POST", "codeconnections/repositories", {"name": f"whole/{path.name}", "path": str(path)}
            )
        local_aws.control("POST", "codedeploy", {"seconds_per_minute": 0.1})
        topic = Topic(local_aws, f"{environment.stack}-notifications")
        yield Whole(local_aws, environment, topic, api, web, inventory(local_aws))
    finally:
        local_aws.control("DELETE", "codedeploy")
        os.environ.clear()
        os.environ.update(kept)
        boto3.setup_default_session()


def answer_over_https(whole: Whole, path: str) -> int:
    """Ask the balancer under the environment's name, which no resolver here knows; return the status."""
    (balancer,) = whole.aws.client("elbv2").describe_load_balancers(Names=["know-me-whole-api"])[
        "LoadBalancers"
    ]
    context = ssl.create_default_context(cadata=ask(certificate_bundle_url()).body)
    with socket.create_connection((balancer["DNSName"], 443), timeout=10) as plain:
        connection = http.client.HTTPSConnection(API_NAME, context=context)
        connection.sock = context.wrap_socket(plain, server_hostname=API_NAME)
        connection.request("GET", path)
        return connection.getresponse().status


# ------------------------------------------------------------------ from nothing


def test_one_run_makes_the_whole_environment_and_the_app_serves(whole: Whole) -> None:
    # When an environment of which nothing exists is provisioned
    execution = whole.provision()
    # Then every part of the app's infrastructure is there, and the image can use it
    assert execution.output["outcome"] == "provisioned"
    assert {
        "aws_db_instance",
        "aws_s3_bucket",
        "aws_ecs_service",
        "aws_codedeploy_deployment_group",
        "aws_codepipeline",
        "aws_codeconnections_connection",
        "aws_ecr_repository",
        "aws_cloudfront_distribution",
        "aws_wafv2_web_acl",
        "aws_cloudwatch_event_rule",
        "aws_cloudwatch_metric_alarm",
        "aws_cloudwatch_dashboard",
    } <= whole.kinds()
    whole.environment.run_api_command("migrate")


@pytest.mark.skipif(not privileged(), reason="HTTPS needs a port below 1024")
def test_the_api_answers_under_its_name_with_a_certificate_for_it(whole: Whole) -> None:
    assert {"aws_acm_certificate", "aws_route53_record"} <= whole.kinds()
    assert eventually(lambda: answer_over_https(whole, "/status/") == 200)


@pytest.mark.parametrize("wish", [{"action": "plan"}, {"action": "plan", "drift": True}])
def test_a_second_plan_is_empty_and_nothing_has_drifted(whole: Whole, wish: dict[str, Any]) -> None:
    assert whole.provision(**wish).output["outcome"] == "nothing_to_change"


# ------------------------------------------------------------------ a release


def test_a_push_goes_through_the_deployed_pipeline_and_is_no_drift(whole: Whole) -> None:
    # Given the connection, which somebody approves
    pipelines, name = whole.aws.client("codepipeline"), whole.environment.stack
    connections = whole.aws.client("codeconnections").list_connections()["Connections"]
    (connection,) = [each for each in connections if each["ConnectionName"] == name]
    whole.aws.control("POST", "codeconnections/connections", {"connection": connection["ConnectionArn"]})
    # When somebody pushes to the API
    head = commit(whole.api, "Change", src__app_dot_py="2\n")
    whole.aws.control("POST", "codeconnections/pushes", {"repository": "whole/api"})

    def latest() -> dict[str, Any] | None:
        found = pipelines.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
        over = len(found) > 1 and found[0]["status"] not in ("InProgress", "Stopping")
        return dict(found[0]) if over else None

    execution = eventually(latest, 300)
    why = pipelines.list_action_executions(pipelineName=name)["actionExecutionDetails"][:6]
    assert execution["status"] == "Succeeded", json.dumps(why, default=str, indent=1)
    # Then that commit's image runs, after its schema migration
    ecs = whole.environment.clients["ecs"]
    running = ecs.describe_task_definition(taskDefinition=whole.environment.task_definition())
    (container,) = running["taskDefinition"]["containerDefinitions"]
    assert container["image"].endswith(f"/know-me-whole-api:{head}")
    (deployment,) = whole.aws.client("codedeploy").list_deployments(
        applicationName="know-me-whole-api", deploymentGroupName="know-me-whole-api"
    )["deployments"]
    machine = whole.environment.executions.state_machine_arn("schema-migration")
    migration = whole.environment.executions.describe(
        f"{machine.replace(':stateMachine:', ':execution:')}:{deployment}"
    )
    assert migration.status == "SUCCEEDED"
    # And Terraform has nothing to take back
    assert whole.provision(action="plan", drift=True).output["outcome"] == "nothing_to_change"


def test_background_jobs_run_by_the_deployed_rule(whole: Whole) -> None:
    states = whole.environment.clients["stepfunctions"]
    machine = whole.environment.executions.state_machine_arn("background-jobs")

    def succeeded() -> list[Any]:
        found = states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")["executions"]
        return [each for each in found if "task" in json.loads(output(each))]

    def output(each: dict[str, Any]) -> str:
        return str(states.describe_execution(executionArn=each["executionArn"])["output"])

    assert eventually(lambda: len(succeeded()) > 1, 150)


# ------------------------------------------------------------------ who decides


def test_what_replaces_something_waits_and_a_rejection_changes_nothing(whole: Whole) -> None:
    # Given a run that replaces something
    before = whole.environment.terraform_state()["serial"]
    arn = whole.start(replace=[HARMLESS])
    message = whole.asks(arn)
    asked = whole.document(arn, "plan/approval-request.json")
    assert [each["address"] for each in asked["changes"] if each["action"] == "replace"] == [HARMLESS]
    # When somebody rejects it with the command of the message
    command = command_in(message).replace('"approve"', '"reject"')
    typed(whole.aws, command)
    # Then nothing is changed
    ended = whole.environment.wait(arn, 300)
    assert (ended.status, ended.error) == ("FAILED", "ApprovalRejected")
    assert whole.environment.terraform_state()["serial"] == before


def test_a_followed_link_leads_to_the_apply_and_is_recorded(whole: Whole) -> None:
    # Given the page that the message leads to
    before = whole.environment.terraform_state()["serial"]
    arn = whole.start(replace=[HARMLESS])
    # When a person reads it, fills its form in and sends it
    approve_by_link(whole, arn)
    # Then it is applied, and the report says who allowed it
    assert whole.environment.succeed(arn).output["outcome"] == "provisioned"
    assert whole.environment.terraform_state()["serial"] > before
    record = whole.document(arn, "approval.json")
    assert (record["decision"], record["by"], record["comment"]) == ("approve", "Ada", "read it")
    report = whole.environment.run_file(name_of(arn), "report.html").decode()
    assert "Ada" in report and "read it" in report


def approve_by_link(whole: Whole, arn: str) -> None:
    """Follow the link of a message, read, and approve."""
    link = link_in(whole.asks(arn))
    form = Form(ask(link).body)
    sent = {"decision": "approve", "by": "Ada", "comment": "read it"}
    answer = ask(urljoin(link, form.action), sent)
    assert answer.status == 200, answer.body


def test_where_every_change_is_asked_about_exactly_the_plan_that_was_read_is_applied(whole: Whole) -> None:
    # Given an environment that is run as production is, and a bundle with a harmless change
    whole.deploy(context={"approval": "changes"})
    first = whole.put_bundle(**note("first"))
    whole.asks(first)
    judged = whole.document(first, "plan/guard.json")
    assert (judged["counts"]["create"], judged["destructive"]) == (1, 0)
    # And another bundle under the same name, which arrives while people think
    second = whole.put_bundle(**note("second"))
    whole.asks(second)
    assert whole.parameter("note") is None
    # When the first is approved
    approve_by_link(whole, first)
    assert whole.environment.succeed(first).output["outcome"] == "provisioned"
    # Then exactly that is made, and remembered
    assert whole.parameter("note") == "first"
    assert json.loads(whole.parameter("bundle") or "") == input_of(whole, first)["bundle"]
    # And the other plan, made before that, is stale whoever approves it
    approve_by_link(whole, second)
    ended = whole.environment.wait(second, 300)
    assert (ended.status, ended.error) == ("FAILED", "PlanStale"), ended.cause
    assert whole.parameter("note") == "first"
    # And an empty plan asks nobody
    assert whole.provision().output["outcome"] == "nothing_to_change"


def input_of(whole: Whole, arn: str) -> Any:
    """Return the input of an execution."""
    return json.loads(
        whole.environment.clients["stepfunctions"].describe_execution(executionArn=arn)["input"]
    )


def test_a_bundle_is_applied_by_itself_where_nothing_is_destroyed(whole: Whole) -> None:
    # Given an environment that is run as staging is, by default
    whole.deploy()
    # When a bundle with a harmless change arrives
    arn = whole.put_bundle(**note("third"))
    # Then it is applied, with nobody asked
    assert whole.environment.succeed(arn).output["outcome"] == "provisioned"
    assert whole.parameter("note") == "third"
    assert "approval.json" not in whole.environment.run_files(name_of(arn))


# ------------------------------------------------------------------ what is refused


def test_a_change_that_would_rename_the_database_is_refused_with_the_attribute(whole: Whole) -> None:
    # Given a bundle in which the identifier of the database is another one
    path = "terraform/modules/database/main.tf"
    text = (PROJECT / path).read_text()
    (line,) = [line for line in text.splitlines() if line.strip().startswith("identifier ")]
    changed = text.replace(line, '  identifier = "another-${var.generation}"')
    # When it arrives
    before = whole.environment.terraform_state()["serial"]
    arn = whole.put_bundle(**note("third"), **{path: changed})
    ended = whole.environment.wait(arn, 300)
    # Then it is refused, the attribute and the way out are named, and nothing is changed
    assert (ended.status, ended.error) == ("FAILED", "PlanRefused")
    cause = str(ended.cause)
    assert 'module.database["blue"].aws_db_instance' in cause
    assert "migrate" in cause
    (refusal,) = whole.document(arn, "plan/guard.json")["refusals"]
    assert refusal["attributes"] == ["identifier"]
    assert whole.environment.terraform_state()["serial"] == before


def test_a_change_that_would_move_the_database_to_another_vpc_is_refused(whole: Whole) -> None:
    # Given another range of the network, for which the VPC must be made anew
    whole.deploy(vpc_cidr="10.64.0.0/16")
    arn = whole.start()
    ended = whole.environment.wait(arn, 300)
    # Then the plan is refused because of the database
    assert (ended.status, ended.error) == ("FAILED", "PlanRefused")
    refusals = whole.document(arn, "plan/guard.json")["refusals"]
    assert any('module.database["blue"]' in each["address"] for each in refusals), refusals
    assert all(each["attributes"] for each in refusals), refusals
    # And when it is taken back, nothing has changed
    whole.deploy(vpc_cidr="10.0.0.0/16")
    assert whole.provision(action="plan").output["outcome"] == "nothing_to_change"


# ------------------------------------------------------------------ nobody decides, and nobody looks


def test_no_answer_in_time_ends_the_run_with_nothing_applied(whole: Whole) -> None:
    whole.deploy(context={"approval": "always", "approval_timeout_seconds": "60"})
    before = whole.environment.terraform_state()["serial"]
    ended = whole.environment.wait(whole.start(replace=[HARMLESS]), 300)
    assert (ended.status, ended.error) == ("FAILED", "ApprovalTimedOut")
    assert whole.environment.terraform_state()["serial"] == before


def test_the_schedule_reports_rules_of_security_groups_that_somebody_changed_by_hand(whole: Whole) -> None:
    # Given a rule that Terraform made and somebody took away
    ec2 = whole.aws.client("ec2")
    opened, closed = (security_group(whole, part) for part in ("database", "load-balancer"))
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [closed]}])
    ingress = [each for each in rules["SecurityGroupRules"] if not each["IsEgress"]]
    ec2.revoke_security_group_ingress(
        GroupId=closed, SecurityGroupRuleIds=[each["SecurityGroupRuleId"] for each in ingress]
    )
    # And one that somebody added
    ec2.authorize_security_group_ingress(
        GroupId=opened,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 5432,
                "ToPort": 5432,
                "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "just for a moment"}],
            }
        ],
    )
    # When the schedule looks
    whole.deploy(context={"approval": "never", "drift_schedule": "rate(1 minute)"})
    message = whole.topic.message(
        "aws_vpc_security_group_ingress_rule", "tcp 5432 from 0.0.0.0/0", seconds=240
    )
    whole.deploy(context={"approval": "never"})
    # Then people are told both, and how to take back what Terraform does not know
    assert "aws_security_group" in message
    eventually(lambda: not whole.runs_at_work(), 120)
    (remedy,) = [line for line in message.splitlines() if "revoke-security-group-ingress" in line]
    typed(whole.aws, remedy[remedy.index("aws ec2") :])
    # And afterwards nothing differs any more
    assert whole.provision().output["outcome"] == "provisioned"
    assert whole.provision(action="plan", drift=True).output["outcome"] == "nothing_to_change"


def security_group(whole: Whole, part: str) -> str:
    """Return the id of the environment's security group of this part."""
    groups = whole.aws.client("ec2").describe_security_groups()["SecurityGroups"]
    names = {each["GroupName"]: str(each["GroupId"]) for each in groups}
    (found,) = [
        names[name] for name in names if name.startswith("know-me-whole-") and name.endswith(f"-{part}")
    ]
    return found


def test_where_nobody_is_ever_asked_a_replacement_is_applied(whole: Whole) -> None:
    execution = whole.provision(replace=[HARMLESS])
    assert execution.output["outcome"] == "provisioned"
    assert "plan/approval-request.json" not in whole.environment.run_files(execution.name)


# ------------------------------------------------------------------ to nothing


def test_destroy_asks_and_leaves_nothing_but_what_is_kept_on_purpose(whole: Whole) -> None:
    whole.deploy()
    arn = whole.start(action="destroy")
    approve_by_link(whole, arn)
    assert whole.environment.succeed(arn).output["outcome"] == "destroyed"
    assert whole.kinds() == set()
    left = {each for each in inventory(whole.aws) - whole.before if each[0] != "keys pending deletion"}
    assert left <= RETAINED, left
