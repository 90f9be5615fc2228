"""The steps of the runbooks: one entry per module of `lambdas/`, with what it may do and no more."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.names import Names
from orchestrator.permissions import Permission

Grant = Callable[[Names], tuple[Permission, ...]]

NO_RESOURCE = "The action has no resource that a policy could name (AWS service authorization reference)"
RUN_IDS = "Run ids are made when a run starts: the wildcard stands for them, inside this environment's names"
GENERATIONS = (
    "Generations of the media bucket come and go: the wildcard stands for them, between the environment's "
    "own names and the account"
)
COPY_JOBS = "S3 chooses the ids of Batch Operations jobs; they have no names of ours"
IDS_OF_AWS = "AWS chooses the ids: the condition on the environment's tags takes the place of a name"
NAMES_OF_THE_ENVIRONMENT = "Terraform decides what exists: the wildcard ends the environment's own names"
DESCRIBE_ALL = "Describing cannot be limited to resources (AWS service authorization reference)"
MADE_LATER = "Terraform makes these later: the wildcard ends what starts with the environment's own name"


@dataclass(frozen=True)
class StepDefinition:
    """One Lambda function.

    Parameters
    ----------
    module : str
        `lambdas/<module>.py`, whose `lambda_handler` it runs.
    grants : tuple of callables
        What it may do, for the names of an environment.
    timeout_seconds, memory_mebibytes : int
    """

    module: str
    grants: tuple[Grant, ...] = ()
    timeout_seconds: int = 60
    memory_mebibytes: int = 256

    @property
    def kebab_name(self) -> str:
        """The module's name with hyphens, as resources are called."""
        return self.module.replace("_", "-")

    @property
    def pascal_name(self) -> str:
        """The module's name as logical ids and substitutions write it."""
        return "".join(word.capitalize() for word in self.module.split("_"))

    @property
    def substitution(self) -> str:
        """What stands for the function's ARN in a state machine's definition."""
        return f"{self.pascal_name}Function"

    def permissions(self, names: Names) -> list[Permission]:
        """Return what the function may do in an environment."""
        return [permission for grant in self.grants for permission in grant(names)]


# ------------------------------------------------------------------ SSM, Secrets Manager


def read_manifest(names: Names) -> tuple[Permission, ...]:
    """Read what Terraform says exists."""
    return (Permission(("ssm:GetParameter",), (names.parameter("manifest"),)),)


def read_generations(names: Names) -> tuple[Permission, ...]:
    """Read which generations there are."""
    return (Permission(("ssm:GetParameter",), (names.parameter("generations"),)),)


def change_generations(names: Names) -> tuple[Permission, ...]:
    """Read and write which generations there are."""
    return (Permission(("ssm:GetParameter", "ssm:PutParameter"), (names.parameter("generations"),)),)


def read_bundle(names: Names) -> tuple[Permission, ...]:
    """Read which bundle was applied last."""
    return (Permission(("ssm:GetParameter",), (names.parameter("bundle"),)),)


def _application_secret(*actions: str) -> Grant:
    """Do something with the labels of the application secret, never with a value."""

    def grant(names: Names) -> tuple[Permission, ...]:
        # Secrets Manager ends every ARN with a hyphen and six characters of its own.
        secret = names.arn(
            "secretsmanager", f"secret:know-me/{names.environment}/database/application-??????"
        )
        return (Permission(tuple(f"secretsmanager:{action}" for action in actions), (secret,)),)

    return grant


def read_media_bucket(names: Names) -> tuple[Permission, ...]:
    """Read which bucket tasks are told."""
    return (Permission(("ssm:GetParameter",), (names.parameter("media/bucket"),)),)


see_application_secret = _application_secret("DescribeSecret")


# ------------------------------------------------------------------ run folder, lock


def _run_folder_listing(names: Names) -> Permission:
    # Without it S3 answers AccessDenied, not NoSuchKey, for a document that is not there yet.
    return Permission(
        ("s3:ListBucket",),
        (names.bucket(names.artifacts_bucket),),
        conditions={"StringLike": {"s3:prefix": "runs/*"}},
    )


def read_run_folder(names: Names) -> tuple[Permission, ...]:
    """Read the documents of runs."""
    return (
        Permission(("s3:GetObject",), (names.bucket(names.artifacts_bucket, "runs/*"),), RUN_IDS),
        _run_folder_listing(names),
    )


def use_run_folder(names: Names) -> tuple[Permission, ...]:
    """Read and write the documents of runs."""
    return (
        Permission(
            ("s3:GetObject", "s3:PutObject"), (names.bucket(names.artifacts_bucket, "runs/*"),), RUN_IDS
        ),
        _run_folder_listing(names),
    )


def _approvals(*actions: str) -> Grant:
    def grant(names: Names) -> tuple[Permission, ...]:
        table = names.arn("dynamodb", f"table/{names.approvals_table}")
        return (Permission(tuple(f"dynamodb:{action}" for action in actions), (table,)),)

    return grant


def read_approval_key(names: Names) -> tuple[Permission, ...]:
    """Read the key that signs links."""
    secret = names.arn("secretsmanager", f"secret:{names.approval_key}-??????")
    return (Permission(("secretsmanager:GetSecretValue",), (secret,)),)


def read_approval_url(names: Names) -> tuple[Permission, ...]:
    """Read where plans are decided."""
    return (Permission(("ssm:GetParameter",), (names.parameter("approval-url"),)),)


def answer_provision(names: Names) -> tuple[Permission, ...]:
    """Tell a run of `provision` that waits what was decided."""
    return (Permission(("states:SendTaskSuccess",), (names.state_machine("provision"),)),)


def describe_provision(names: Names) -> tuple[Permission, ...]:
    """See whether runs of `provision` still run."""
    return (Permission(("states:DescribeExecution",), (names.executions("provision"),), RUN_IDS),)


def read_bundles(names: Names) -> tuple[Permission, ...]:
    """Read versions of the bundles that arrive."""
    return (
        Permission(
            ("s3:GetObjectVersion",),
            (names.bucket(names.artifacts_bucket, "bundles/*"),),
            "Whoever puts a bundle there names it",
        ),
    )


def start_provision(names: Names) -> tuple[Permission, ...]:
    """Start `provision`."""
    return (Permission(("states:StartExecution",), (names.state_machine("provision"),)),)


def keep_undelivered(names: Names) -> tuple[Permission, ...]:
    """Keep what failed again and again where people find it."""
    return (Permission(("sqs:SendMessage",), (names.arn("sqs", names.provision_undelivered),)),)


def _lock(*actions: str) -> Grant:
    def grant(names: Names) -> tuple[Permission, ...]:
        table = names.arn("dynamodb", f"table/{names.lock_table}")
        return (Permission(tuple(f"dynamodb:{action}" for action in actions), (table,)),)

    return grant


# ------------------------------------------------------------------ executions, builds


def describe_executions(names: Names) -> tuple[Permission, ...]:
    """See whether executions of the environment run."""
    return (
        Permission(
            ("states:DescribeExecution",),
            (names.arn("states", f"execution:{names.of('*')}"),),
            RUN_IDS,
        ),
    )


def read_executions(names: Names) -> tuple[Permission, ...]:
    """See what happened in executions of the environment."""
    return (
        Permission(
            ("states:DescribeExecution", "states:GetExecutionHistory"),
            (names.arn("states", f"execution:{names.of('*')}"),),
            RUN_IDS,
        ),
    )


def list_executions(*machines: str) -> Grant:
    """List the executions of some state machines."""

    def grant(names: Names) -> tuple[Permission, ...]:
        arns = tuple(names.state_machine(machine) for machine in machines)
        return (Permission(("states:ListExecutions",), arns),)

    return grant


def stop_moving(names: Names) -> tuple[Permission, ...]:
    """Stop the copies of a run."""
    copies = (names.executions("move-database"), names.executions("move-media"))
    return (Permission(("states:StopExecution",), copies, RUN_IDS),)


def see_terraform_builds(names: Names) -> tuple[Permission, ...]:
    """See whether Terraform is at work."""
    return (
        Permission(
            ("codebuild:ListBuildsForProject", "codebuild:BatchGetBuilds"),
            (names.project(names.terraform_build),),
        ),
    )


def see_builds(names: Names) -> tuple[Permission, ...]:
    """See the builds of every project."""
    projects = tuple(
        map(names.project, (names.terraform_build, names.database_jobs_build, names.media_jobs_build))
    )
    return (Permission(("codebuild:ListBuildsForProject", "codebuild:BatchGetBuilds"), projects),)


def stop_jobs(names: Names) -> tuple[Permission, ...]:
    """Stop a database or media job; Terraform is never killed half way."""
    projects = (names.project(names.database_jobs_build), names.project(names.media_jobs_build))
    return (Permission(("codebuild:StopBuild",), projects),)


# ------------------------------------------------------------------ media


def _media(*, buckets: tuple[str, ...] = (), objects: tuple[str, ...] = ()) -> Grant:
    """Do something with the media buckets of every generation, and with what is in them."""

    def grant(names: Names) -> tuple[Permission, ...]:
        on_buckets = Permission(
            tuple(f"s3:{action}" for action in buckets), (names.bucket(names.media_buckets),), GENERATIONS
        )
        on_objects = Permission(
            tuple(f"s3:{action}" for action in objects),
            (names.bucket(names.media_buckets, "*"),),
            GENERATIONS,
        )
        return tuple(permission for permission in (on_buckets, on_objects) if permission.actions)

    return grant


def use_media_key(names: Names) -> tuple[Permission, ...]:
    """Copy objects that are encrypted with the environment's key (`media_encryption = "aws:kms"`).

    A copy in parts decrypts the parts of its target as well:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
    """
    return (
        Permission(
            ("kms:Decrypt", "kms:GenerateDataKey"),
            (names.arn("kms", "key/*"),),
            IDS_OF_AWS,
            {
                "StringEquals": {
                    "kms:ViaService": f"s3.{names.region}.amazonaws.com",
                    "aws:ResourceTag/Environment": names.environment,
                }
            },
        ),
    )


# ------------------------------------------------------------------ what runs


def _services(names: Names) -> str:
    return names.arn("ecs", f"service/{names.prefix}*/{names.of('*')}")


def see_services(names: Names) -> tuple[Permission, ...]:
    """See the environment's ECS services."""
    return (Permission(("ecs:DescribeServices",), (_services(names),), MADE_LATER),)


def see_task_definitions(_names: Names) -> tuple[Permission, ...]:
    """See with which settings the services run."""
    return (Permission(("ecs:DescribeTaskDefinition",), ("*",), NO_RESOURCE),)


def see_tasks(names: Names) -> tuple[Permission, ...]:
    """See the tasks of the environment's clusters."""
    cluster = names.arn("ecs", f"cluster/{names.prefix}*")
    return (
        Permission(
            ("ecs:ListTasks",),
            ("*",),
            "ecs:ListTasks is limited by its cluster, a condition, not by a resource",
            {"ArnLike": {"ecs:cluster": cluster}},
        ),
        Permission(("ecs:DescribeTasks",), (names.arn("ecs", f"task/{names.prefix}*/*"),), MADE_LATER),
    )


def see_pipelines(names: Names) -> tuple[Permission, ...]:
    """See what the environment's pipelines do; one is called like the environment itself."""
    return (
        Permission(
            ("codepipeline:GetPipelineState",), (names.arn("codepipeline", f"{names.prefix}*"),), MADE_LATER
        ),
    )


def see_what_runs(names: Names) -> tuple[Permission, ...]:
    """See everything that can write: services, autoscaling, rules, schedules, pipelines."""
    return (
        *see_services(names),
        Permission(("application-autoscaling:DescribeScalableTargets",), ("*",), NO_RESOURCE),
        Permission(("events:DescribeRule",), (names.arn("events", f"rule/{names.of('*')}"),), MADE_LATER),
        Permission(
            ("scheduler:GetSchedule",), (names.arn("scheduler", f"schedule/*/{names.of('*')}"),), MADE_LATER
        ),
        *see_pipelines(names),
    )


def _switch(*, rule: str, transition: str) -> Grant:
    """Stop or start what can write."""

    def grant(names: Names) -> tuple[Permission, ...]:
        return (
            Permission(("ecs:UpdateService", "ecs:DescribeServices"), (_services(names),), MADE_LATER),
            # Application Auto Scaling looks at the service as the caller does:
            # https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_id-based-policy-examples.html
            Permission(
                ("application-autoscaling:RegisterScalableTarget",),
                (names.arn("application-autoscaling", "scalable-target/*"),),
                "Scalable targets have ids that AWS chooses; the condition limits it to ECS",
                {"StringEquals": {"application-autoscaling:service-namespace": "ecs"}},
            ),
            Permission((f"events:{rule}",), (names.arn("events", f"rule/{names.of('*')}"),), MADE_LATER),
            Permission(
                ("scheduler:GetSchedule", "scheduler:UpdateSchedule"),
                (names.arn("scheduler", f"schedule/*/{names.of('*')}"),),
                MADE_LATER,
            ),
            # A schedule is replaced whole, with the role it runs as.
            Permission(
                ("iam:PassRole",),
                (names.role(names.of("*")),),
                MADE_LATER,
                {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
            ),
            Permission(
                (f"codepipeline:{transition}",),
                (names.arn("codepipeline", f"{names.prefix}*/*"),),
                MADE_LATER,
            ),
        )

    return grant


# ------------------------------------------------------------------ releases


def see_deployments(names: Names) -> tuple[Permission, ...]:
    """See which deployments of the API are under way."""
    return (Permission(("codedeploy:ListDeployments",), (names.deployment_group,)),)


def read_deployments(names: Names) -> tuple[Permission, ...]:
    """See what a deployment brings: GetDeployment gives the hash of its AppSpec, the application the text."""
    return (
        Permission(("codedeploy:GetDeployment",), (names.deployment_group,)),
        Permission(
            ("codedeploy:GetApplicationRevision",), (names.arn("codedeploy", f"application:{names.api}"),)
        ),
    )


def report_to_deployment(names: Names) -> tuple[Permission, ...]:
    """Say how a hook of a deployment ended."""
    return (Permission(("codedeploy:PutLifecycleEventHookExecutionStatus",), (names.deployment_group,)),)


def start_executions(*machines: str) -> Grant:
    """Start some state machines."""

    def grant(names: Names) -> tuple[Permission, ...]:
        arns = tuple(names.state_machine(machine) for machine in machines)
        return (Permission(("states:StartExecution",), arns),)

    return grant


def read_task_logs(names: Names) -> tuple[Permission, ...]:
    """Read the logs of the API's tasks."""
    streams = names.arn("logs", f"log-group:/{names.prefix}/api:log-stream:*")
    return (
        Permission(("logs:GetLogEvents",), (streams,), "Each task has a log stream, named after its own id"),
    )


def check_environment(names: Names) -> tuple[Permission, ...]:
    """See what the preflight of an environment looks at."""
    return (
        *see_what_runs(names),
        *see_deployments(names),
        Permission(
            ("rds:DescribeDBInstances", "rds:DescribePendingMaintenanceActions"),
            (names.arn("rds", f"db:{names.of('*')}"),),
            MADE_LATER,
        ),
        Permission(("rds:DescribeDBEngineVersions",), ("*",), NO_RESOURCE),
        Permission(("cloudwatch:DescribeAlarms",), (names.arn("cloudwatch", "alarm:*"),), MADE_LATER),
        Permission(
            ("codebuild:BatchGetProjects",),
            (names.project(names.database_jobs_build), names.project(names.media_jobs_build)),
        ),
    )


def tell_topic(names: Names) -> tuple[Permission, ...]:
    """Tell people how a run ended."""
    return (Permission(("sns:Publish",), (names.arn("sns", names.of("notifications")),)),)


STEPS = (
    StepDefinition("validate_provision", (change_generations, read_bundle, use_run_folder)),
    # A plan's document has every resource twice and may have megabytes.
    StepDefinition("judge_plan", (read_manifest, use_run_folder), memory_mebibytes=512),
    StepDefinition("validate_migration", (read_manifest, read_generations, use_run_folder)),
    StepDefinition("take_lock", (_lock("GetItem", "PutItem"), describe_executions, see_terraform_builds)),
    StepDefinition("release_lock", (_lock("DeleteItem"),)),
    StepDefinition(
        "preflight_environment",
        (
            read_manifest,
            check_environment,
            see_task_definitions,
            see_application_secret,
            read_media_bucket,
            describe_executions,
            list_executions("provision", "migrate"),
            use_run_folder,
            _media(buckets=("ListBucket", "GetBucketVersioning", "GetBucketNotification")),
        ),
        timeout_seconds=180,
    ),
    StepDefinition("judge_findings", (use_run_folder,)),
    StepDefinition("add_generation", (change_generations, use_run_folder)),
    StepDefinition("find_candidate", (read_manifest,)),
    StepDefinition("record_what_runs", (read_manifest, see_what_runs, use_run_folder), timeout_seconds=120),
    StepDefinition(
        "quiesce",
        (use_run_folder, _switch(rule="DisableRule", transition="DisableStageTransition")),
        timeout_seconds=300,
    ),
    StepDefinition(
        "hold_releases",
        (read_run_folder, _switch(rule="DisableRule", transition="DisableStageTransition")),
        timeout_seconds=300,
    ),
    StepDefinition(
        "check_releases",
        (
            read_run_folder,
            see_deployments,
            see_pipelines,
            list_executions("schema-migration", "background-jobs"),
        ),
    ),
    StepDefinition("check_quiet", (read_run_folder, see_tasks)),
    StepDefinition(
        "stop_media_writes",
        (read_manifest, use_run_folder, _media(buckets=("GetBucketPolicy", "PutBucketPolicy"))),
    ),
    StepDefinition(
        "allow_media_writes",
        (_media(buckets=("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy")),),
    ),
    StepDefinition("plan_media_copy", (use_run_folder, _media(buckets=("ListBucket",))), timeout_seconds=300),
    StepDefinition(
        "judge_copy_job",
        (use_run_folder, _media(buckets=("ListBucket",), objects=("GetObject",))),
        timeout_seconds=900,  # a report has a line for every object
        memory_mebibytes=1024,
    ),
    StepDefinition(
        "begin_large_copy",
        (
            use_run_folder,
            use_media_key,
            _media(
                buckets=("ListBucket", "ListBucketMultipartUploads"),
                objects=(
                    *("GetObject", "GetObjectTagging", "ListMultipartUploadParts"),
                    *("PutObject", "PutObjectTagging", "AbortMultipartUpload"),
                ),
            ),
        ),
        timeout_seconds=300,
    ),
    StepDefinition(
        "complete_large_copy",
        (
            use_run_folder,
            use_media_key,
            _media(
                buckets=("ListBucket",),
                objects=(
                    *("GetObject", "ListMultipartUploadParts"),
                    *("PutObject", "PutObjectTagging", "AbortMultipartUpload"),
                ),
            ),
        ),
        timeout_seconds=300,
    ),
    StepDefinition(
        "abort_large_copy",
        (use_run_folder, _media(buckets=("ListBucket",), objects=("GetObject", "AbortMultipartUpload"))),
        timeout_seconds=300,
    ),
    StepDefinition("summarise_media_copy", (use_run_folder, describe_executions), timeout_seconds=300),
    StepDefinition("activate_generation", (change_generations,)),
    StepDefinition(
        "point_application",
        (
            read_manifest,
            read_media_bucket,
            _application_secret("DescribeSecret", "UpdateSecretVersionStage"),
        ),
    ),
    StepDefinition(
        "resume",
        (read_run_folder, _switch(rule="EnableRule", transition="EnableStageTransition")),
        timeout_seconds=300,
    ),
    StepDefinition("check_running", (read_run_folder, see_services)),
    StepDefinition(
        "smoke_test",
        (
            read_manifest,
            read_media_bucket,
            see_application_secret,
            see_services,
            see_task_definitions,
            see_tasks,
        ),
        timeout_seconds=600,
    ),
    StepDefinition("record_outcome", (use_run_folder,)),
    StepDefinition("explain_failure", (read_executions, see_builds, use_run_folder), timeout_seconds=120),
    StepDefinition(
        "write_report",
        (use_run_folder, read_manifest, read_generations, read_executions, see_builds, tell_topic),
        timeout_seconds=180,
        memory_mebibytes=512,
    ),
    StepDefinition("find_databases_without_role", (read_manifest, see_application_secret)),
    StepDefinition(
        "claim_run",
        (_lock("GetItem", "UpdateItem", "DeleteItem"), describe_executions, read_run_folder),
    ),
    StepDefinition(
        "stop_run",
        (
            describe_executions,
            list_executions("provision"),
            stop_moving,
            see_builds,
            stop_jobs,
        ),
    ),
    StepDefinition(
        "restore_generations", (read_manifest, change_generations, read_run_folder, describe_executions)
    ),
    StepDefinition(
        "check_application_stores",
        (read_manifest, read_media_bucket, see_application_secret, see_services, see_task_definitions),
    ),
    StepDefinition("start_schema_migration", (start_executions("schema-migration"), report_to_deployment)),
    StepDefinition("find_new_image", (_lock("GetItem"), read_manifest, read_deployments, see_services)),
    StepDefinition("find_running_image", (_lock("GetItem"), read_manifest, see_services, see_tasks)),
    StepDefinition("read_task_outcome", (see_tasks, see_task_definitions, read_task_logs)),
    StepDefinition("report_lost_schema_migration", (report_to_deployment, tell_topic)),
    StepDefinition(
        "ask_for_approval",
        (
            use_run_folder,
            _approvals("GetItem", "PutItem", "UpdateItem"),
            read_approval_key,
            read_approval_url,
            answer_provision,
            tell_topic,
        ),
        memory_mebibytes=512,  # a plan as JSON can be long
    ),
    StepDefinition(
        "decide_approval",
        (
            use_run_folder,
            _approvals("GetItem", "UpdateItem"),
            read_approval_key,
            describe_provision,
            answer_provision,
        ),
        timeout_seconds=30,
        memory_mebibytes=512,
    ),
    StepDefinition(
        "start_bundle_provision",
        (read_bundles, start_provision, tell_topic, keep_undelivered),
        timeout_seconds=120,
        memory_mebibytes=512,
    ),
)
"""Every step; a test compares it with `lambdas/` both ways."""
