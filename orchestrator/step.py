"""A step of a runbook: one Lambda function with a role and a log group of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from orchestrator.names import Names
from orchestrator.permissions import X_RAY, Permission, acknowledge, service_role
from orchestrator.steps import StepDefinition


@dataclass(frozen=True)
class StepProperties:
    """What all steps of an environment share."""

    names: Names
    code: lambda_.Code
    layer: lambda_.ILayerVersion
    runtime: lambda_.Runtime
    architecture: lambda_.Architecture
    variables: Mapping[str, str]
    log_retention: logs.RetentionDays


class Step(Construct):
    """One step."""

    def __init__(
        self, scope: Construct, identifier: str, definition: StepDefinition, properties: StepProperties
    ) -> None:
        super().__init__(scope, identifier)
        names = properties.names
        function_name = names.of(definition.kebab_name)
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/lambda/{function_name}",
            retention=properties.log_retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        write_logs = Permission(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (names.arn("logs", f"log-group:/aws/lambda/{function_name}:*"),),
            "Log streams are named by Lambda; the group is this function's own",
        )
        role = service_role(
            self,
            "Role",
            service="lambda.amazonaws.com",
            description=f"Step {definition.kebab_name} of {names.prefix}",
            path=names.role_path,
            permissions=[write_logs, X_RAY, *definition.permissions(names)],
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=function_name,
            description=f"Step {definition.kebab_name} of {names.prefix}",
            code=properties.code,
            handler=f"{definition.module}.lambda_handler",
            runtime=properties.runtime,
            architecture=properties.architecture,
            layers=[properties.layer],
            role=role.without_policy_updates(),
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
            timeout=Duration.seconds(definition.timeout_seconds),
            memory_size=definition.memory_mebibytes,
            environment={**properties.variables, "POWERTOOLS_SERVICE_NAME": definition.kebab_name},
        )
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            "The runtime is a setting, because the layer is built for it: a newer one is taken on purpose, "
            "when every library has a wheel for it",
        )
