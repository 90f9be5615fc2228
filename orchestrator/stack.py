"""The stack of one environment."""

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import AssetHashType, CfnOutput, IgnoreMode, Stack, Tags
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from orchestrator.approval import Approval
from orchestrator.definitions import STATE_MACHINES
from orchestrator.layer import LayerContents
from orchestrator.names import Names
from orchestrator.notifications import Notifications
from orchestrator.provision_starts import ProvisionStarts
from orchestrator.runbook import Runbook, RunbookProperties
from orchestrator.safety_net import ReleaseSafetyNet, ReturnSafetyNet
from orchestrator.settings import RETENTIONS, Settings
from orchestrator.step import Step, StepProperties
from orchestrator.steps import STEPS
from orchestrator.storage import RunStorage
from orchestrator.terraform_build import LEFT_OUT, TerraformBuild, TerraformBuildProperties

RUNBOOKS = (
    "provision",
    "move-database",
    "move-media",
    "return",
    "migrate",
    "schema-migration",
    "background-jobs",
)


@dataclass(frozen=True)
class OrchestratorProperties:
    """What the stack is made of."""

    root: Path
    settings: Settings
    layer: LayerContents


class OrchestratorStack(Stack):
    """Everything that the runbooks of an environment are (contracts, section 1)."""

    def __init__(self, scope: Construct, properties: OrchestratorProperties) -> None:
        settings = properties.settings
        names = Names(settings.environment)
        super().__init__(
            scope,
            names.prefix,
            description=f"Deploys Know Me {settings.environment} and migrates its stores",
            analytics_reporting=False,
        )
        Tags.of(self).add("Project", "know-me")
        Tags.of(self).add("Environment", settings.environment)
        log_retention = logs.RetentionDays[RETENTIONS[settings.log_retention_days]]

        storage = RunStorage(self, "Storage", names)
        topic = Notifications(self, "Notifications", names).topic
        TerraformBuild(
            self,
            "Terraform",
            TerraformBuildProperties(
                names=names,
                root=properties.root,
                notification_topic_arn=topic.topic_arn,
                terraform_variables=settings.terraform_variables,
                terraform_backend=settings.terraform_backend,
                log_retention=log_retention,
            ),
        )
        steps = self._steps(properties, names, topic.topic_arn, log_retention)
        runbooks = self._runbooks(properties, names, topic.topic_arn, steps, log_retention)
        ReturnSafetyNet(
            self,
            "ReturnSafetyNet",
            names,
            migrate=runbooks["migrate"].state_machine,
            return_=runbooks["return"].state_machine,
        )
        ReleaseSafetyNet(
            self,
            "ReleaseSafetyNet",
            names,
            schema_migration=runbooks["schema-migration"].state_machine,
            report=steps["ReportLostSchemaMigrationFunction"].function,
        )
        Approval(self, "Approval", names, decide=steps["DecideApprovalFunction"].function)
        ProvisionStarts(
            self,
            "ProvisionStarts",
            names,
            start_bundle=steps["StartBundleProvisionFunction"].function,
            provision=runbooks["provision"].state_machine,
            drift_schedule=settings.drift_schedule,
        )
        CfnOutput(self, "ArtifactsBucket", value=storage.artifacts.bucket_name)
        CfnOutput(self, "NotificationTopic", value=topic.topic_arn)
        for name in RUNBOOKS:
            CfnOutput(
                self,
                f"{_pascal(name)}StateMachine",
                value=runbooks[name].state_machine.state_machine_arn,
                description=f"What `aws stepfunctions start-execution` starts for {name}",
            )

    def _steps(
        self,
        properties: OrchestratorProperties,
        names: Names,
        topic_arn: str,
        log_retention: logs.RetentionDays,
    ) -> dict[str, Step]:
        settings = properties.settings
        runtime = lambda_.Runtime(f"python{settings.python_runtime}", lambda_.RuntimeFamily.PYTHON)
        architecture = {
            "x86_64": lambda_.Architecture.X86_64,
            "arm64": lambda_.Architecture.ARM_64,
        }[settings.architecture]
        shared = StepProperties(
            names=names,
            code=lambda_.Code.from_asset(
                str(properties.root / "lambdas"),
                exclude=[*LEFT_OUT, "requirements.in"],
                ignore_mode=IgnoreMode.GIT,
            ),
            layer=lambda_.LayerVersion(
                self,
                "Libraries",
                layer_version_name=names.of("libraries"),
                description="Libraries of the steps, pinned by requirements.txt",
                code=lambda_.Code.from_asset(
                    str(properties.layer.directory),
                    asset_hash=properties.layer.digest,
                    asset_hash_type=AssetHashType.CUSTOM,
                ),
                compatible_runtimes=[runtime],
                compatible_architectures=[architecture],
            ),
            runtime=runtime,
            architecture=architecture,
            variables={
                "ENVIRONMENT": names.environment,
                "ARTIFACTS_BUCKET": names.artifacts_bucket,
                "LOCK_TABLE": names.lock_table,
                "NOTIFICATION_TOPIC_ARN": topic_arn,
                "STATE_MACHINE_ARN_PREFIX": names.state_machine(""),
                "EXECUTION_ARN_PREFIX": names.arn("states", f"execution:{names.of('')}"),
                "DATABASE_JOBS_BUILD": names.database_jobs_build,
                "MEDIA_JOBS_BUILD": names.media_jobs_build,
                "TERRAFORM_BUILD": names.terraform_build,
                "SINGLE_COPY_LIMIT_BYTES": str(settings.single_copy_limit_bytes),
                "APPROVAL_MODE": settings.approval_mode,
                "APPROVAL_TIMEOUT_SECONDS": str(settings.approval_timeout_seconds),
                "POWERTOOLS_METRICS_NAMESPACE": "KnowMe",
                "LOG_LEVEL": "INFO",
            },
            log_retention=log_retention,
        )
        return {step.substitution: Step(self, step.pascal_name, step, shared) for step in STEPS}

    def _runbooks(
        self,
        properties: OrchestratorProperties,
        names: Names,
        topic_arn: str,
        steps: dict[str, Step],
        log_retention: logs.RetentionDays,
    ) -> dict[str, Runbook]:
        shared = RunbookProperties(
            names=names,
            root=properties.root,
            substitutions={
                **{substitution: step.function.function_arn for substitution, step in steps.items()},
                **{key: names.state_machine(name) for key, name in STATE_MACHINES.items()},
                "Environment": names.environment,
                "ArtifactsBucket": names.artifacts_bucket,
                "LockTable": names.lock_table,
                "TerraformBuild": names.terraform_build,
                "DatabaseJobsBuild": names.database_jobs_build,
                "MediaJobsBuild": names.media_jobs_build,
                "AccountId": names.account,
                "NotificationTopic": topic_arn,
            },
            log_retention=log_retention,
        )
        return {name: Runbook(self, f"{_pascal(name)}Runbook", name, shared) for name in RUNBOOKS}


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))
