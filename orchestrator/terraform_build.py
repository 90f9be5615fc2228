"""The build that runs Terraform, and the bundle that it runs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_cdk import Duration, IgnoreMode, RemovalPolicy
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from orchestrator.names import Names
from orchestrator.permissions import Permission, acknowledge, service_role
from orchestrator.terraform_permissions import terraform_permissions

BUNDLE = ["/*", "!/terraform", "!/codebuild", "!/requirements.txt"]
"""What of the project the bundle holds, as in `.gitignore`: the first line leaves everything out."""

LEFT_OUT = [
    *("__pycache__", "*.pyc", ".terraform", "*.tfstate", "*.tfstate.*", "*.tfplan", "*.tftest.hcl"),
    *("*.auto.tfvars.json", ".*_cache", "tests", "README.md", ".pytest_cache", ".DS_Store"),
]
"""What no asset needs: caches, state, tests and texts."""


@dataclass(frozen=True)
class TerraformBuildProperties:
    """What the build is told."""

    names: Names
    root: Path
    notification_topic_arn: str
    terraform_variables: Mapping[str, Any]
    terraform_backend: Mapping[str, Any]
    log_retention: logs.RetentionDays


class TerraformBuild(Construct):
    """CodeBuild project `know-me-<environment>-terraform` (contracts, section 3)."""

    def __init__(self, scope: Construct, identifier: str, properties: TerraformBuildProperties) -> None:
        super().__init__(scope, identifier)
        names = properties.names
        bundle = assets.Asset(
            self,
            "Bundle",
            path=str(properties.root),
            exclude=[*BUNDLE, *LEFT_OUT],
            ignore_mode=IgnoreMode.GIT,
        )
        bundle_location = f"{bundle.s3_bucket_name}/{bundle.s3_object_key}"
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/codebuild/{names.terraform_build}",
            retention=properties.log_retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        role = service_role(
            self,
            "Role",
            service="codebuild.amazonaws.com",
            description=f"Terraform of {names.prefix}",
            path=names.role_path,
            permissions=[
                Permission(
                    ("logs:CreateLogStream", "logs:PutLogEvents"),
                    (names.arn("logs", f"log-group:/aws/codebuild/{names.terraform_build}:*"),),
                    "Log streams are named by CodeBuild; the group is this project's own",
                ),
                Permission(
                    ("s3:GetObject", "s3:GetObjectVersion"),
                    (names.bucket(bundle.s3_bucket_name, bundle.s3_object_key),),
                ),
                Permission(("s3:GetBucketLocation",), (names.bucket(bundle.s3_bucket_name),)),
                *terraform_permissions(names),
            ],
        )
        variables = {
            "ENVIRONMENT": names.environment,
            "STATE_BUCKET": names.state_bucket,
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
            "GENERATIONS_PARAMETER": names.generations_parameter,
            "BACKEND_CONFIG": json.dumps(dict(properties.terraform_backend), sort_keys=True),
            "TF_VAR_environment": names.environment,
            "TF_VAR_artifacts_bucket": names.artifacts_bucket,
            "TF_VAR_notification_topic_arn": properties.notification_topic_arn,
            "TF_VAR_database_jobs_source": bundle_location,
            **{
                f"TF_VAR_{name}": value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                for name, value in sorted(properties.terraform_variables.items())
            },
        }
        self.project = codebuild.Project(
            self,
            "Project",
            project_name=names.terraform_build,
            description=f"Terraform of {names.prefix}: plan, and apply exactly that plan",
            source=codebuild.Source.s3(bucket=bundle.bucket, path=bundle.s3_object_key),
            build_spec=codebuild.BuildSpec.from_source_filename("codebuild/terraform.buildspec.yml"),
            environment=codebuild.BuildEnvironment(
                build_image=codebuild.LinuxBuildImage.AMAZON_LINUX_2023_5,
                compute_type=codebuild.ComputeType.SMALL,
            ),
            environment_variables={
                name: codebuild.BuildEnvironmentVariable(value=value) for name, value in variables.items()
            },
            role=role.without_policy_updates(),
            # One apply at a time is the lock's to see to; this is the second pair of eyes.
            concurrent_build_limit=1,
            # A downloaded Terraform, for the next build on the same host.
            cache=codebuild.Cache.local(codebuild.LocalCacheMode.CUSTOM),
            timeout=Duration.hours(3),
            queued_timeout=Duration.hours(1),
            logging=codebuild.LoggingOptions(
                cloud_watch=codebuild.CloudWatchLoggingOptions(log_group=log_group)
            ),
            grant_report_group_permissions=False,
        )
        acknowledge(
            self.project,
            "AwsSolutions-CB4",
            "The project has no artifacts, and its cache stays on the build host and holds a public "
            "download: there is nothing that a key would encrypt",
        )
        acknowledge(
            self.project,
            "CloudFormation-Validate::E3050",
            "The template has the role's ARN (Fn::GetAtt); the check takes every reference for its name",
        )
