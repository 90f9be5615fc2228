"""The delivery as Terraform describes it, run: a push is built, migrated, released, and the web app after it.

The pipeline, its builds with the real buildspecs and the image repository are those of the module `delivery`.
`docker` is the stand-in of `examples/build_image`.
"""

import io
import json
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import LocalAWS
from tests.local.releases import World, opened
from tests.local.repositories import begin, commit
from tests.local.waiting import eventually

pytestmark = pytest.mark.local

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "delivery"
NAME = f"know-me-{ENVIRONMENT}"
ACCOUNT = "123456789012"
CONFIGURATION = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.100" }
  }
}

provider "aws" {
  region            = "us-east-1"
  s3_use_path_style = true
}

variable "module" { type = any }

resource "aws_kms_key" "environment" {
  deletion_window_in_days = 7
}

module "delivery" {
  source = "./modules/delivery"

  name                           = var.module.name
  connection_arn                 = null
  connection_provider            = "GitHub"
  api_repository                 = var.module.api_repository
  api_branch                     = "main"
  api_paths                      = ["src/**", "Dockerfile"]
  tools_location                 = var.module.tools_location
  web                            = var.module.web
  deployment                     = var.module.deployment
  deployment_config_name         = "CodeDeployDefault.ECSAllAtOnce"
  hook_function                  = var.module.hook_function
  task_definition_parameter_name = var.module.task_definition_parameter_name
  task_definition_family         = var.module.task_definition_family
  container_name                 = "api"
  container_port                 = 8000
  subnet_ids                     = var.module.subnet_ids
  security_group_ids             = var.module.security_group_ids
  task_role_arn                  = var.module.role_arn
  execution_role_arn             = var.module.role_arn
  build_image                    = "aws/codebuild/amazonlinux-x86_64-standard:5.0"
  build_compute_type             = "BUILD_GENERAL1_SMALL"
  images_kept                    = 50
  deletion_protection            = false
  log_retention_days             = 7
  kms_key_arn                    = aws_kms_key.environment.arn
}

output "connection_arn" { value = module.delivery.connection_arn }
output "pipeline" { value = module.delivery.pipeline }
output "repository_url" { value = module.delivery.repository_url }
"""


@dataclass
class Delivery:
    """The applied module, and the two repositories that it builds."""

    world: World
    api: Path
    web: Path
    outputs: dict[str, Any]

    def push(self, repository: str) -> None:
        """Tell the provider of the repositories that something was pushed."""
        self.world.aws.control("POST", "codeconnections/pushes", {"repository": repository})

    def executions(self) -> list[dict[str, Any]]:
        """Return the executions of the pipeline, the latest first."""
        found: list[dict[str, Any]] = self.world.aws.client("codepipeline").list_pipeline_executions(
            pipelineName=NAME
        )["pipelineExecutionSummaries"]
        return found

    def ended(self, number: int) -> dict[str, Any]:
        """Wait until there are so many executions and the latest has ended; return it."""

        def over() -> dict[str, Any] | None:
            found = self.executions()
            if len(found) < number or found[0]["status"] in ("InProgress", "Stopping"):
                return None
            return found[0]

        found: dict[str, Any] = eventually(over, seconds=240)
        return found

    def why(self) -> str:
        """Return what the actions of the pipeline say, for a test that fails."""
        found = self.world.aws.client("codepipeline").list_action_executions(pipelineName=NAME)
        return json.dumps(found["actionExecutionDetails"][:6], default=str, indent=1)


@pytest.fixture(scope="module")
def delivery(local_aws: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    with opened(local_aws, ENVIRONMENT) as world:
        directory = tmp_path_factory.mktemp("delivery")
        api, web = directory / "api", directory / "web"
        begin(api, web)
        outputs = _applied(world, directory)
        try:
            aws = world.aws
            aws.control("POST", "codeconnections/connections", {"connection": outputs["connection_arn"]})
            for name, path in (("api", api), ("web", web)):
                aws.control(
                    "POST", "codeconnections/repositories", {"name": f"know-me/{name}", "path": str(path)}
                )
            yield Delivery(world, api, web, outputs)
        finally:
            _terraform(world.aws, directory, "destroy", "-auto-approve")


def _terraform(aws: LocalAWS, directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=directory / "terraform",
        env=aws.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return done.stdout


def _applied(world: World, directory: Path) -> dict[str, Any]:
    aws, root = world.aws, directory / "terraform"
    s3 = aws.client("s3")
    for bucket in (f"{NAME}-assets", f"{NAME}-web-{ACCOUNT}"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=f"{NAME}-assets", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=f"{NAME}-assets", Key="tools/bundle.zip", Body=_bundle())
    parameter = f"/know-me/{ENVIRONMENT}/api/task-definition"
    aws.client("ssm").put_parameter(Name=parameter, Value=world.define("described"), Type="String")
    network = world.network["awsvpcConfiguration"]
    module = {
        "name": NAME,
        "api_repository": "know-me/api",
        "tools_location": f"{NAME}-assets/tools/bundle.zip",
        "web": {
            "repository": "know-me/web",
            "branch": "main",
            "paths": [],
            "api_url": "https://api.example.com",
            "api_url_variable": "REACT_APP_API_URL",
            "output_directory": "build",
            "bucket": f"{NAME}-web-{ACCOUNT}",
            "bucket_arn": f"arn:aws:s3:::{NAME}-web-{ACCOUNT}",
        },
        "deployment": {"application": world.api, "deployment_group": world.api},
        "hook_function": f"{NAME}-start-schema-migration",
        "task_definition_parameter_name": parameter,
        "task_definition_family": world.api,
        "subnet_ids": network["subnets"],
        "security_group_ids": network["securityGroups"],
        "role_arn": world.role,
    }
    shutil.copytree(ROOT / "terraform" / "modules" / "delivery", root / "modules" / "delivery")
    (root / "main.tf").write_text(CONFIGURATION)
    (root / "terraform.tfvars.json").write_text(json.dumps({"module": module}))
    _terraform(aws, directory, "init", "-input=false")
    _terraform(aws, directory, "apply", "-input=false", "-auto-approve")
    outputs = json.loads(_terraform(aws, directory, "output", "-json"))
    return {name: each["value"] for name, each in outputs.items()}


def _bundle() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.write(ROOT / "requirements.txt", "requirements.txt")
        for path in sorted((ROOT / "codebuild").rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                opened.write(path, path.relative_to(ROOT))
    return buffer.getvalue()


def test_a_push_is_built_migrated_and_released_and_the_web_app_after_it(delivery: Delivery) -> None:
    world = delivery.world
    # Given the first execution, which ended when nobody had approved the connection
    assert delivery.ended(1)["status"] == "Failed"
    # When somebody pushes to the API
    head = commit(delivery.api, "Change", src__app_dot_py="2\n")
    delivery.push("know-me/api")
    # Then it is released
    assert delivery.ended(2)["status"] == "Succeeded", delivery.why()
    image = f"{delivery.outputs['repository_url']}:{head}"
    definition = world.aws.client("ecs").describe_task_definition(
        taskDefinition=world.service()["taskDefinition"]
    )["taskDefinition"]
    assert definition["containerDefinitions"][0]["image"] == image
    # And with nothing else changed: the release says what Terraform described
    variables = {each["name"]: each["value"] for each in definition["containerDefinitions"][0]["environment"]}
    assert variables["RELEASE"] == "described"
    eventually(lambda: world.serving() == "described")
    # And its schema was migrated first, with that image
    (deployment,) = world.aws.client("codedeploy").list_deployments(
        applicationName=world.api, deploymentGroupName=world.api
    )["deployments"]
    assert world.execution("schema-migration", deployment)["status"] == "SUCCEEDED"
    # And the web app knows the API, and its pages are asked for each time
    s3, bucket = world.aws.client("s3"), f"{NAME}-web-{ACCOUNT}"
    page = s3.get_object(Bucket=bucket, Key="index.html")
    (found,) = s3.list_objects_v2(Bucket=bucket, Prefix="static/js/")["Contents"]
    script = s3.get_object(Bucket=bucket, Key=found["Key"])
    assert page["CacheControl"] == "public, max-age=0, must-revalidate"
    assert script["CacheControl"] == "public, max-age=31536000, immutable"
    assert script["Body"].read() == b"fetch('https://api.example.com')"


def test_a_push_that_changes_nothing_of_the_api_starts_nothing(delivery: Delivery) -> None:
    before = len(delivery.executions())
    commit(delivery.api, "Write", README="words\n")
    delivery.push("know-me/api")
    time.sleep(3)
    assert len(delivery.executions()) == before


def test_a_commit_that_was_built_is_released_again_from_its_image(delivery: Delivery) -> None:
    # Given a commit whose image is in the repository, where a tag cannot be changed
    number = len(delivery.executions())
    # When the web app alone is pushed
    commit(delivery.web, "Change", page="words\n")
    delivery.push("know-me/web")
    # Then the image of the API's commit is taken when it is there, and built when it is not: both end well
    assert delivery.ended(number + 1)["status"] == "Succeeded", delivery.why()
    number += 1
    # And when the same commits are released once more, nothing is pushed a second time
    delivery.world.aws.client("codepipeline").start_pipeline_execution(name=NAME)
    assert delivery.ended(number + 1)["status"] == "Succeeded", delivery.why()


def test_the_pipeline_in_the_manifest_has_every_stage_but_the_source(delivery: Delivery) -> None:
    assert delivery.outputs["pipeline"] == {"name": NAME, "stages": ["Build", "Release"]}
    found = delivery.world.aws.client("codepipeline").get_pipeline_state(name=NAME)
    assert {stage["stageName"] for stage in found["stageStates"]} == {"Source", "Build", "Release"}
