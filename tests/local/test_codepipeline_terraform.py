"""A pipeline, its connection, builds and image repository, by plain terraform: complete, without drift."""

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import LocalAWS

pytestmark = pytest.mark.local

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

variable "name" { type = string }
variable "branches" { type = list(string) }
variable "tags" { type = map(string) }

resource "aws_s3_bucket" "artifacts" {
  bucket        = "${var.name}-artifacts"
  force_destroy = true
}

resource "aws_kms_key" "artifacts" {
  deletion_window_in_days = 7
}

resource "aws_iam_role" "delivery" {
  name = var.name
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = ["codepipeline.amazonaws.com", "codebuild.amazonaws.com"] }
    }]
  })
}

resource "aws_ecr_repository" "image" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
  image_scanning_configuration { scan_on_push = true }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.artifacts.arn
  }
  tags = var.tags
}

resource "aws_ecr_lifecycle_policy" "image" {
  repository = aws_ecr_repository.image.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep thirty"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_ecr_repository_policy" "image" {
  repository = aws_ecr_repository.image.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Pull"
      Effect    = "Allow"
      Principal = { AWS = aws_iam_role.delivery.arn }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    }]
  })
}

resource "aws_codestarconnections_connection" "older" {
  name          = "${var.name}-older"
  provider_type = "GitHub"
  tags          = var.tags
}

resource "aws_codeconnections_connection" "source" {
  name          = var.name
  provider_type = "GitHub"
  tags          = var.tags
}

resource "aws_codebuild_project" "image" {
  name         = var.name
  service_role = aws_iam_role.delivery.arn
  source {
    type      = "CODEPIPELINE"
    buildspec = "buildspec.yml"
  }
  artifacts { type = "CODEPIPELINE" }
  environment {
    type         = "LINUX_CONTAINER"
    image        = "aws/codebuild/standard:7.0"
    compute_type = "BUILD_GENERAL1_SMALL"
  }
}

resource "aws_codepipeline" "delivery" {
  name           = var.name
  role_arn       = aws_iam_role.delivery.arn
  pipeline_type  = "V2"
  execution_mode = "QUEUED"
  tags           = var.tags

  artifact_store {
    type     = "S3"
    location = aws_s3_bucket.artifacts.bucket
    encryption_key {
      type = "KMS"
      id   = aws_kms_key.artifacts.arn
    }
  }

  variable {
    name          = "Level"
    default_value = "low"
  }

  trigger {
    provider_type = "CodeStarSourceConnection"
    git_configuration {
      source_action_name = "Source"
      push {
        branches { includes = var.branches }
        file_paths {
          includes = ["api/**"]
          excludes = ["**/*.md"]
        }
      }
    }
  }

  stage {
    name = "Source"
    action {
      name             = "Source"
      category         = "Source"
      owner            = "AWS"
      provider         = "CodeStarSourceConnection"
      version          = "1"
      namespace        = "Source"
      output_artifacts = ["Code"]
      configuration = {
        ConnectionArn        = aws_codeconnections_connection.source.arn
        FullRepositoryId     = "know-me/app"
        BranchName           = "main"
        OutputArtifactFormat = "CODE_ZIP"
        DetectChanges        = "true"
      }
    }
  }

  stage {
    name = "Build"
    action {
      name             = "Image"
      category         = "Build"
      owner            = "AWS"
      provider         = "CodeBuild"
      version          = "1"
      namespace        = "Image"
      input_artifacts  = ["Code"]
      output_artifacts = ["Image"]
      configuration = {
        ProjectName          = aws_codebuild_project.image.name
        EnvironmentVariables = jsonencode([{ name = "COMMIT", value = "#{Source.CommitId}" }])
      }
    }
  }

  stage {
    name = "Release"
    on_failure { result = "ROLLBACK" }
    action {
      name            = "Api"
      category        = "Deploy"
      owner           = "AWS"
      provider        = "CodeDeployToECS"
      version         = "1"
      input_artifacts = ["Image"]
      configuration = {
        ApplicationName                = "app"
        DeploymentGroupName            = "app"
        TaskDefinitionTemplateArtifact = "Image"
        AppSpecTemplateArtifact        = "Image"
        Image1ArtifactName             = "Image"
        Image1ContainerName            = "IMAGE1_NAME"
      }
    }
  }
}
"""

Terraform = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def name() -> str:
    """The name of everything."""
    return f"delivery-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def terraform(
    local_aws: LocalAWS, name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terraform]:
    """Runs terraform in a directory with the configuration, applied; destroyed afterwards."""
    directory: Path = tmp_path_factory.mktemp("terraform")
    (directory / "main.tf").write_text(CONFIGURATION)

    def run(*arguments: str, accept: tuple[int, ...] = (0,), **variables: Any) -> Any:
        given = {"name": name, "branches": ["main"], "tags": {"Environment": "test"}, **variables}
        (directory / "terraform.tfvars.json").write_text(json.dumps(given))
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=directory,
            env=local_aws.environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode in accept, done.stdout[-3000:] + done.stderr
        return done

    run("init", "-input=false")
    try:
        run("apply", "-no-color", "-input=false", "-auto-approve")
        yield run
    finally:
        run("destroy", "-no-color", "-input=false", "-auto-approve")


def test_what_was_applied_is_read_back_without_drift(
    terraform: Terraform, local_aws: LocalAWS, name: str
) -> None:
    planned = terraform("plan", "-no-color", "-input=false", "-detailed-exitcode", accept=(0, 2))
    assert planned.returncode == 0, planned.stdout
    found = local_aws.client("codepipeline").get_pipeline(name=name)["pipeline"]
    assert (found["pipelineType"], found["executionMode"]) == ("V2", "QUEUED")
    assert found["stages"][2]["onFailure"]["result"] == "ROLLBACK"


def test_a_change_is_made_in_place_and_read_back(
    terraform: Terraform, local_aws: LocalAWS, name: str
) -> None:
    changed = {"branches": ["main", "release/*"], "tags": {"Environment": "test", "More": "yes"}}
    applied = terraform("apply", "-no-color", "-input=false", "-auto-approve", **changed)
    assert "0 added" in applied.stdout
    assert "0 destroyed" in applied.stdout
    planned = terraform("plan", "-no-color", "-input=false", "-detailed-exitcode", accept=(0, 2), **changed)
    assert planned.returncode == 0, planned.stdout
    client = local_aws.client("codepipeline")
    found = client.get_pipeline(name=name)
    (push,) = found["pipeline"]["triggers"][0]["gitConfiguration"]["push"]
    assert push["branches"]["includes"] == ["main", "release/*"]
    tags = client.list_tags_for_resource(resourceArn=found["metadata"]["pipelineArn"])["tags"]
    assert {"key": "More", "value": "yes"} in tags


def test_the_first_execution_waits_for_the_approval_of_the_connection(
    terraform: Terraform, local_aws: LocalAWS, name: str
) -> None:
    client = local_aws.client("codepipeline")
    executions = client.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
    assert [execution["status"] for execution in executions] == ["Failed"]
    state = client.get_pipeline_state(name=name)["stageStates"][0]["actionStates"][0]
    assert state["latestExecution"]["errorDetails"]["code"] in ("PermissionError", "ConfigurationError")
    with pytest.raises(ClientError, match="InvalidStructureException"):
        client.update_pipeline(pipeline={**client.get_pipeline(name=name)["pipeline"], "stages": []})
