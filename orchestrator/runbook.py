"""A runbook: a state machine with a role, logs and traces of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from orchestrator.definitions import Definition, DefinitionError
from orchestrator.names import Names
from orchestrator.permissions import service_role


@dataclass(frozen=True)
class RunbookProperties:
    """What all runbooks of an environment share.

    `substitutions` holds everything that a definition may write as `${…}`; each runbook takes what its
    definition uses.
    """

    names: Names
    root: Path
    substitutions: Mapping[str, str]
    log_retention: logs.RetentionDays


class Runbook(Construct):
    """The state machine of `statemachines/<name>.asl.json`."""

    def __init__(self, scope: Construct, identifier: str, name: str, properties: RunbookProperties) -> None:
        super().__init__(scope, identifier)
        names = properties.names
        definition = Definition.read(properties.root, name)
        missing = definition.substitutions - properties.substitutions.keys()
        if missing:
            raise DefinitionError(
                f"{definition.path.name} uses {', '.join(f'${{{one}}}' for one in sorted(missing))}, "
                f"which the stack does not provide; it provides {', '.join(sorted(properties.substitutions))}"
            )
        role = service_role(
            self,
            "Role",
            service="states.amazonaws.com",
            description=f"Runbook {name} of {names.prefix}",
            path=names.role_path,
            permissions=definition.permissions(names),
        )
        log_group = logs.LogGroup(
            self,
            "Logs",
            # The prefix keeps CloudWatch's resource policy short, whatever the number of state machines.
            log_group_name=f"/aws/vendedlogs/states/{names.of(name)}",
            retention=properties.log_retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=names.of(name),
            definition_body=sfn.DefinitionBody.from_file(str(definition.path)),
            definition_substitutions={
                key: properties.substitutions[key] for key in sorted(definition.substitutions)
            },
            role=role.without_policy_updates(),
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True),
            tracing_enabled=True,
        )
