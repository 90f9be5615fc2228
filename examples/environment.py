"""Deploy an environment and work with it, by the means that a person has: cdk, Step Functions, ECS, RDS, S3.

The demo and the tests of whole migrations share this. Nothing in here reaches into the local AWS.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from examples.api.media import MEDIA_PREFIX
from examples.commands import PROJECT, CommandFailedError, run
from examples.database_access import (
    certificate_bundle_url,
    connection_string,
    connection_string_of_secret,
    secret_value,
)
from examples.executions import Execution, Executions

API_IMAGE = "know-me/api:demo"
FILE_COLUMNS = [{"table": "public.know_me_photo", "column": "file", "prefix": MEDIA_PREFIX}]
"""The columns of the API's schema that hold paths of files in the media bucket."""
DELIVERY = {"api": {"repository": "know-me/api"}, "web": {"repository": "know-me/web-app"}}
"""What the pipeline of an environment follows, once somebody has approved its connection."""

_POLL_SECONDS = 0.5


class EnvironmentFailedError(Exception):
    """Something about the environment is not as it must be; the message says what and where to look."""


@dataclass
class KnowMeEnvironment:
    """One environment of Know Me.

    Parameters
    ----------
    name
        For example ``staging``.
    directory
        Where logs and synthesised templates go.
    listener_port
        Of its load balancer.
    engine_version
        Major version of PostgreSQL; None for the newest that RDS offers here.
    terraform_variables
        More variables of Terraform, or other values of those set here.
    single_copy_limit_bytes
        Larger objects are copied in parts; None for S3's own limit.
    context
        More context of the CDK app, or other values of that set here.
    """

    name: str
    directory: Path
    listener_port: int = 8080
    engine_version: str | None = None
    terraform_variables: dict[str, Any] = field(default_factory=dict)
    single_copy_limit_bytes: int | None = None
    context: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # One attempt: a person wants the error of the moment, and a test the fault that it ordered.
        config = Config(retries={"total_max_attempts": 2}, max_pool_connections=20)
        names = (
            "s3",
            "ssm",
            "ecs",
            "rds",
            "secretsmanager",
            "stepfunctions",
            "logs",
            "codebuild",
            "codepipeline",
            "dynamodb",
            "events",
        )
        self.clients: dict[str, Any] = {name: boto3.client(name, config=config) for name in names}
        identity = boto3.client("sts").get_caller_identity()
        self.account = str(identity["Account"])
        self.region = str(self.clients["s3"].meta.region_name)
        partition = identity["Arn"].split(":")[1]
        self.executions = Executions(
            self.clients["stepfunctions"],
            f"arn:{partition}:states:{self.region}:{self.account}:stateMachine:{self.stack}-",
        )

    @property
    def stack(self) -> str:
        """Name of the orchestrator's stack."""
        return f"know-me-{self.name}"

    @property
    def artifacts_bucket(self) -> str:
        """Bucket of the run folders."""
        return f"{self.stack}-artifacts-{self.account}"

    # ------------------------------------------------------------ deploying

    def bootstrap(self) -> None:
        """Prepare account and region for the CDK; once is enough for all environments, again does no harm."""
        # Outside the project there is no app: bootstrapping does not need the template.
        self._cdk("bootstrap", f"aws://{self.account}/{self.region}", directory=self._home())

    def deploy(self) -> None:
        """Deploy the orchestrator with the CDK; changes nothing when nothing changed."""
        context = [
            option for name, value in self._context().items() for option in ("--context", f"{name}={value}")
        ]
        output = f"--output={self.directory / 'cdk.out'}"
        self._cdk("deploy", self.stack, "--require-approval=never", "--progress=events", output, *context)

    def _home(self) -> Path:
        # The CDK CLI keeps accounts under HOME: another account's would be mistaken for ours.
        home = self.directory / "home"
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _cdk(self, *arguments: str, directory: Path = PROJECT) -> None:
        cdk = str(PROJECT / "node_modules" / ".bin" / "cdk")
        variables = {
            "HOME": str(self._home()),
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "CDK_DEFAULT_ACCOUNT": self.account,
            "CDK_DEFAULT_REGION": self.region,
        }
        command = [cdk, *arguments, "--no-notices", "--no-version-reporting"]
        run(command, log=self.directory / "cdk.log", environment=variables, directory=directory)

    def _context(self) -> dict[str, str]:
        terraform_variables = {
            "api_image": API_IMAGE,
            "api_listener_port": self.listener_port,
            "api_test_listener_port": self.listener_port + 1000,
            "database_engine_version": self.engine_version or self.newest_engine_version(),
            "database_instance_class": "db.t4g.micro",
            "database_certificate_bundle_url": certificate_bundle_url(),
            "database_jobs_compute_type": "BUILD_GENERAL1_SMALL",
            "media_jobs_compute_type": "BUILD_GENERAL1_SMALL",
            "media_file_columns": FILE_COLUMNS,
            "s3_use_path_style": True,
            "secret_recovery_days": 0,
            "delivery": DELIVERY,
            # Nobody waits for a canary here, nor keeps the old tasks for a while.
            "release_traffic_shift": "CodeDeployDefault.ECSAllAtOnce",
            "release_termination_wait_minutes": 0,
            **self.terraform_variables,
        }
        limit = self.single_copy_limit_bytes
        return {
            "environment": self.name,
            "python_runtime": f"{sys.version_info.major}.{sys.version_info.minor}",
            "terraform_variables": json.dumps(terraform_variables),
            # A look for drift holds the lock for a moment, in which a migration of the demo would be refused.
            "drift_schedule": "",
            "terraform_backend": json.dumps({"use_path_style": True}),
            **({"single_copy_limit_bytes": str(limit)} if limit else {}),
            **self.context,
        }

    def newest_engine_version(self) -> str:
        """Return the newest major version of PostgreSQL that RDS offers."""
        pages = self.clients["rds"].get_paginator("describe_db_engine_versions").paginate(Engine="postgres")
        majors = {
            int(found["EngineVersion"].split(".")[0]) for page in pages for found in page["DBEngineVersions"]
        }
        return str(max(majors))

    def is_provisioned(self) -> bool:
        """Whether Terraform has made its infrastructure."""
        try:
            self.manifest()
        except (EnvironmentFailedError, ClientError):
            return False
        return True

    # ------------------------------------------------------------ running

    def wait(
        self, arn: str, timeout_seconds: float, seen: Callable[[Execution], None] | None = None
    ) -> Execution:
        """Wait until an execution ends.

        Parameters
        ----------
        arn
            Of the execution.
        timeout_seconds
            Afterwards this gives up; the execution goes on.
        seen
            Called with every look at it.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            execution = self.executions.describe(arn)
            if seen:
                seen(execution)
            if not execution.is_running:
                return execution
            if time.monotonic() > deadline:
                raise EnvironmentFailedError(f"{arn} did not end within {timeout_seconds:.0f} s.")
            time.sleep(_POLL_SECONDS)

    def succeed(self, arn: str, timeout_seconds: float = 900) -> Execution:
        """Wait until an execution ends well.

        Raises
        ------
        EnvironmentFailedError
            It ended otherwise; the message is its cause.
        """
        execution = self.wait(arn, timeout_seconds)
        if execution.status != "SUCCEEDED":
            raise EnvironmentFailedError(
                f"{execution.name} ended {execution.status}: {execution.error}: {execution.cause}"
            )
        return execution

    def planned_changes(self) -> int:
        """Run `provision` with ``{}`` and return how many changes Terraform planned."""
        execution = self.succeed(self.executions.start("provision"))
        summary = self.run_document(execution.name, "plan/summary.json")
        return sum(int(summary[kind]) for kind in ("create", "update", "replace", "delete"))

    # ------------------------------------------------------------ looking

    def manifest(self) -> dict[str, Any]:
        """Return the manifest that Terraform published."""
        value = self._parameter("manifest")
        document = dict(json.loads(value))
        if not document.get("database"):
            raise EnvironmentFailedError(f"The manifest of {self.name} names no database yet.")
        return document

    def generations(self) -> dict[str, Any]:
        """Return the document that names the generations and the active one."""
        return dict(json.loads(self._parameter("generations")))

    def _parameter(self, name: str) -> str:
        answer = self.clients["ssm"].get_parameter(Name=f"/know-me/{self.name}/{name}")
        return str(answer["Parameter"]["Value"])

    def active(self) -> str:
        """Return the name of the active database generation."""
        return str(self.manifest()["database"]["active"])

    def generation(self, name: str | None = None) -> dict[str, Any]:
        """Return what the manifest says about a database generation; the active one when none is named."""
        database = self.manifest()["database"]
        return dict(database["generations"][name or database["active"]])

    def active_media(self) -> str:
        """Return the name of the active media generation."""
        return str(self.manifest()["media"]["active"])

    def media_bucket(self, name: str | None = None) -> str:
        """Return the name of a media generation's bucket; the active one's when none is named."""
        media = self.manifest()["media"]
        return str(media["generations"][name or media["active"]]["bucket"])

    def application_connection_string(self, name: str | None = None) -> str:
        """Return how the application role reaches a generation."""
        generation = self.generation(name)
        return connection_string_of_secret(
            generation["application_secret_arn"],
            self.clients["secretsmanager"],
            label=generation["application_secret_label"],
        )

    def master_connection_string(self, name: str | None = None) -> str:
        """Return how the master user reaches a generation."""
        generation = self.generation(name)
        return connection_string(
            secret_value(generation["master_secret_arn"], self.clients["secretsmanager"]),
            host=generation["endpoint"],
            port=generation["port"],
            dbname=generation["database_name"],
        )

    def run_document(self, run_id: str, name: str) -> Any:
        """Return a JSON document of a run folder."""
        return json.loads(self.run_file(run_id, name))

    def run_file(self, run_id: str, name: str) -> bytes:
        """Return a file of a run folder.

        Raises
        ------
        EnvironmentFailedError
            It is not there.
        """
        key = f"runs/{run_id}/{name}"
        try:
            return bytes(self.clients["s3"].get_object(Bucket=self.artifacts_bucket, Key=key)["Body"].read())
        except self.clients["s3"].exceptions.NoSuchKey as error:
            raise EnvironmentFailedError(f"s3://{self.artifacts_bucket}/{key} is not there.") from error

    def run_files(self, run_id: str) -> list[str]:
        """Return the names of the files in a run folder."""
        prefix = f"runs/{run_id}/"
        pages = (
            self.clients["s3"]
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.artifacts_bucket, Prefix=prefix)
        )
        return [item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", [])]

    def terraform_state(self) -> dict[str, Any]:
        """Return Terraform's state as it is stored."""
        key = f"environments/{self.name}/terraform.tfstate"
        bucket = f"{self.stack}-state-{self.account}"
        return dict(json.loads(self.clients["s3"].get_object(Bucket=bucket, Key=key)["Body"].read()))

    def instances_in_terraform(self) -> set[str]:
        """Return the identifiers of the RDS instances in Terraform's state."""
        return self._in_terraform("aws_db_instance", "identifier")

    def buckets_in_terraform(self) -> set[str]:
        """Return the names of the buckets in Terraform's state."""
        return self._in_terraform("aws_s3_bucket", "bucket")

    def _in_terraform(self, kind: str, attribute: str) -> set[str]:
        return {
            str(instance["attributes"][attribute])
            for resource in self.terraform_state()["resources"]
            if resource["type"] == kind and resource["mode"] == "managed"
            for instance in resource["instances"]
        }

    # ------------------------------------------------------------ the API

    @property
    def api_url(self) -> str:
        """Where the load balancer answers, without a slash at the end."""
        return str(self.manifest()["health_check_url"]).removesuffix("/status/")

    def run_api_command(self, command: str, timeout_seconds: float = 120) -> None:
        """Run a command of the API's image as an ECS task, with the network of its service.

        Raises
        ------
        EnvironmentFailedError
            The task did not end with exit code 0.
        """
        ecs, service = self.clients["ecs"], self.manifest()["services"][0]
        (described,) = ecs.describe_services(cluster=service["cluster"], services=[service["name"]])[
            "services"
        ]
        answer = ecs.run_task(
            cluster=service["cluster"],
            taskDefinition=service["task_definition_family"],
            launchType="FARGATE",
            networkConfiguration=described["networkConfiguration"],
            overrides={"containerOverrides": [{"name": service["container"], "command": [command]}]},
        )
        if answer["failures"]:
            raise EnvironmentFailedError(f"ECS did not start `{command}`: {answer['failures']}")
        arn = answer["tasks"][0]["taskArn"]
        deadline = time.monotonic() + timeout_seconds
        while True:
            (task,) = ecs.describe_tasks(cluster=service["cluster"], tasks=[arn])["tasks"]
            if task["lastStatus"] == "STOPPED":
                break
            if time.monotonic() > deadline:
                raise EnvironmentFailedError(f"`{command}` did not end within {timeout_seconds:.0f} s: {arn}")
            time.sleep(_POLL_SECONDS)
        container = next(item for item in task["containers"] if item["name"] == service["container"])
        if container.get("exitCode") != 0:
            code = container.get("exitCode")
            raise EnvironmentFailedError(
                f"`{command}` ended with exit code {code} ({task.get('stoppedReason')}); "
                f"log: group /{self.stack}/api, stream …/{arn.rsplit('/', 1)[-1]}"
            )

    def task_definition(self) -> str:
        """Return the ARN of the task definition that the service runs."""
        service = self.manifest()["services"][0]
        (described,) = self.clients["ecs"].describe_services(
            cluster=service["cluster"], services=[service["name"]]
        )["services"]
        primary = (item for item in described.get("taskSets", []) if item["status"] == "PRIMARY")
        return str(next(primary, described)["taskDefinition"])

    def led_to(self) -> tuple[set[str], str]:
        """Return the labels of the secret's version, and the bucket, that a task finds when it starts."""
        answer = self.clients["secretsmanager"].get_secret_value(
            SecretId=self.generation()["application_secret_arn"]
        )
        return set(answer["VersionStages"]), self._parameter("media/bucket")

    def wait_until_healthy(self, timeout_seconds: float = 120) -> None:
        """Wait until the API answers 200 through the load balancer.

        Raises
        ------
        EnvironmentFailedError
            It did not; the message is the last answer.
        """
        url = str(self.manifest()["health_check_url"])
        deadline = time.monotonic() + timeout_seconds
        while (answer := health(url)) != "200":
            if time.monotonic() > deadline:
                raise EnvironmentFailedError(
                    f"{url} did not answer 200 within {timeout_seconds:.0f} s, last: {answer}"
                )
            time.sleep(_POLL_SECONDS)

    def ways_to_start(self) -> dict[str, bool]:
        """Return what starts anything by itself, and whether it may now: stages of pipelines, and rules."""
        manifest, pipelines, rules = self.manifest(), self.clients["codepipeline"], self.clients["events"]
        states = {
            pipeline["name"]: pipelines.get_pipeline_state(name=pipeline["name"])["stageStates"]
            for pipeline in manifest["pipelines"]
        }
        transitions = {
            f"{pipeline}/{state['stageName']}": bool(state["inboundTransitionState"]["enabled"])
            for pipeline, found in states.items()
            for state in found
            if "inboundTransitionState" in state
        }
        enabled = {
            rule["name"]: rules.describe_rule(Name=rule["name"])["State"] == "ENABLED"
            for rule in manifest["rules"]
        }
        return transitions | enabled

    def running_tasks(self) -> int:
        """Return how many tasks of the API's service run."""
        service = self.manifest()["services"][0]
        (described,) = self.clients["ecs"].describe_services(
            cluster=service["cluster"], services=[service["name"]]
        )["services"]
        return int(described["runningCount"])


def health(url: str) -> str:
    """Return the status code that a health check sees, or why there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - http(s) from the manifest
            return str(response.status)
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(200).decode(errors='replace')}"
    except OSError as error:
        return str(error)


def start_with_cli(state_machine_arn: str, log: Path, document: str = "{}") -> tuple[str, str]:
    """Start an execution with the AWS CLI; return its ARN and the command as a person would type it."""
    arguments = [
        "stepfunctions",
        "start-execution",
        "--state-machine-arn",
        state_machine_arn,
        "--input",
        document,
    ]
    program = Path(sys.executable).parent / "aws"
    printed = run([program, *arguments, "--output", "json"], log=log)
    shown = " ".join(f"'{word}'" if set(word) & set("{} ") else word for word in ["aws", *arguments])
    try:
        return str(json.loads(printed)["executionArn"]), shown
    except (ValueError, KeyError) as error:
        raise CommandFailedError(f"The AWS CLI printed no execution ARN: {printed!r}") from error
