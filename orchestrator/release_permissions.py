"""What the Terraform build may do for releases: background jobs, deployments, pipeline, images."""

from orchestrator.names import Names
from orchestrator.permissions import Permission

BUILDS = ("api-image", "web", "web-release")
"""Projects of the delivery, without the environment's name."""

CONNECTIONS = "AWS chooses the ids of connections"


def release_permissions(names: Names) -> list[Permission]:
    """Return the statements for the modules background-jobs, deployment and delivery."""
    return [
        *_background_jobs(names),
        *_deployment(names),
        *_pipeline(names),
        *_connections(names),
        *_images(names),
    ]


def _background_jobs(names: Names) -> list[Permission]:
    return [
        Permission(
            (
                "events:DeleteRule",
                "events:DescribeRule",
                "events:ListTagsForResource",
                "events:ListTargetsByRule",
                "events:PutRule",
                "events:PutTargets",
                "events:RemoveTargets",
                "events:TagResource",
                "events:UntagResource",
            ),
            (names.arn("events", f"rule/{names.of('background-jobs')}"),),
        ),
        Permission(
            (
                "sqs:CreateQueue",
                "sqs:DeleteQueue",
                "sqs:GetQueueAttributes",
                "sqs:ListQueueTags",
                "sqs:SetQueueAttributes",
                "sqs:TagQueue",
                "sqs:UntagQueue",
            ),
            (names.arn("sqs", names.of("background-jobs-undelivered")),),
        ),
    ]


def _deployment(names: Names) -> list[Permission]:
    return [
        Permission(
            (
                "codedeploy:CreateApplication",
                "codedeploy:CreateDeploymentGroup",
                "codedeploy:DeleteApplication",
                "codedeploy:DeleteDeploymentGroup",
                "codedeploy:GetApplication",
                "codedeploy:GetDeploymentGroup",
                "codedeploy:ListTagsForResource",
                "codedeploy:TagResource",
                "codedeploy:UntagResource",
                "codedeploy:UpdateApplication",
                "codedeploy:UpdateDeploymentGroup",
            ),
            (names.arn("codedeploy", f"application:{names.api}"), names.deployment_group),
        ),
    ]


def _pipeline(names: Names) -> list[Permission]:
    return [
        Permission(
            (
                "codepipeline:CreatePipeline",
                "codepipeline:DeletePipeline",
                "codepipeline:GetPipeline",
                "codepipeline:ListTagsForResource",
                "codepipeline:TagResource",
                "codepipeline:UntagResource",
                "codepipeline:UpdatePipeline",
            ),
            (names.arn("codepipeline", names.prefix),),
        ),
        Permission(
            (
                "codebuild:BatchGetProjects",
                "codebuild:CreateProject",
                "codebuild:DeleteProject",
                "codebuild:UpdateProject",
            ),
            tuple(names.project(names.of(build)) for build in BUILDS),
        ),
    ]


def _connections(names: Names) -> list[Permission]:
    asked = {"StringEquals": {"aws:RequestTag/Environment": names.environment}}
    there = {"StringEquals": {"aws:ResourceTag/Environment": names.environment}}
    # The service was renamed, and its actions have both names.
    kinds = ("codeconnections", "codestar-connections")
    connections = tuple(names.arn(kind, "connection/*") for kind in kinds)
    return [
        Permission(
            tuple(f"{kind}:{action}" for kind in kinds for action in ("CreateConnection", "TagResource")),
            connections,
            CONNECTIONS,
            asked,
        ),
        Permission(
            tuple(
                f"{kind}:{action}"
                for kind in kinds
                for action in (
                    "DeleteConnection",
                    "GetConnection",
                    "ListTagsForResource",
                    "TagResource",
                    "UntagResource",
                )
            ),
            connections,
            CONNECTIONS,
            there,
        ),
        # A pipeline may be given a connection that another one made: which, the variable `delivery` says.
        *(
            Permission(
                (f"{kind}:PassConnection",),
                (names.arn(kind, "connection/*"),),
                CONNECTIONS,
                {"StringEquals": {f"{kind}:PassedToService": "codepipeline.amazonaws.com"}},
            )
            for kind in kinds
        ),
    ]


def _images(names: Names) -> list[Permission]:
    return [
        Permission(
            (
                "ecr:CreateRepository",
                "ecr:DeleteLifecyclePolicy",
                "ecr:DeleteRepository",
                "ecr:DescribeRepositories",
                "ecr:GetLifecyclePolicy",
                "ecr:ListTagsForResource",
                "ecr:PutImageScanningConfiguration",
                "ecr:PutImageTagMutability",
                "ecr:PutLifecyclePolicy",
                "ecr:TagResource",
                "ecr:UntagResource",
            ),
            (names.arn("ecr", f"repository/{names.api}"),),
        ),
    ]
