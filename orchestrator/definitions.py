"""What a state machine's definition asks for: its substitutions, and the permissions of its tasks.

A role follows from the definition: it may call what a Task calls, on what the Task names, and nothing
else. An integration that is not in `INTEGRATIONS` stops the synthesis.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.names import Names
from orchestrator.permissions import X_RAY, Permission
from orchestrator.steps import (
    COPY_JOBS,
    GENERATIONS,
    MADE_LATER,
    NO_RESOURCE,
    RUN_IDS,
    STEPS,
    report_to_deployment,
    tell_topic,
    use_media_key,
)

_SUBSTITUTION = re.compile(r"\$\{([A-Za-z]+)\}")

STATE_MACHINES = {
    "ProvisionStateMachine": "provision",
    "MoveDatabaseStateMachine": "move-database",
    "MoveMediaStateMachine": "move-media",
    "ReturnStateMachine": "return",
}
"""State machines that another one starts, by the substitution that stands for them."""

NEVER_STOPPED = ("TerraformBuild", "ProvisionStateMachine")
"""What a stopped run leaves to end by itself: Terraform is never killed half way."""

# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy
LOG_DELIVERY = Permission(
    (
        "logs:CreateLogDelivery",
        "logs:GetLogDelivery",
        "logs:UpdateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:DescribeResourcePolicies",
        "logs:DescribeLogGroups",
    ),
    ("*",),
    "Step Functions' log delivery: these actions have no resource that a policy could name",
)


class DefinitionError(Exception):
    """A definition asks for what the stack does not have; the message lists it all."""


@dataclass(frozen=True)
class Task:
    """A Task state: what it calls, and the name of the substitution that says on what."""

    state: str
    resource: str
    target: str | None


@dataclass(frozen=True)
class Definition:
    """A state machine's definition as written."""

    path: Path
    text: str

    @classmethod
    def read(cls, root: Path, name: str) -> "Definition":
        """Read `statemachines/<name>.asl.json`."""
        path = root / "statemachines" / f"{name}.asl.json"
        return cls(path, path.read_text())

    @property
    def substitutions(self) -> set[str]:
        """Names in `${…}`."""
        return set(_SUBSTITUTION.findall(self.text))

    @property
    def name(self) -> str:
        """The name of the state machine, without the environment's."""
        return self.path.name.removesuffix(".asl.json")

    @property
    def tasks(self) -> list[Task]:
        """All Task states, those inside Map and Parallel too."""
        return [
            Task(name, state["Resource"], _target(state.get("Arguments", {})))
            for name, state in states_of(json.loads(self.text))
            if state["Type"] == "Task"
        ]

    def permissions(self, names: Names) -> list[Permission]:
        """Return what the role of the state machine may do.

        Raises
        ------
        DefinitionError
            Tasks use integrations of which nobody said what they need.
        """
        unknown = [task for task in self.tasks if task.resource not in INTEGRATIONS]
        if unknown:
            listed = "\n".join(f"  {task.state}: {task.resource}" for task in unknown)
            raise DefinitionError(
                f"{self.path.name} has tasks whose permissions are unknown:\n{listed}\n"
                "Add the integration to INTEGRATIONS in orchestrator/definitions.py."
            )
        needed = [LOG_DELIVERY, X_RAY]
        needed += self._map_permissions(names)
        for task in self.tasks:
            needed += INTEGRATIONS[task.resource](names, task.target or "")
        return [permission for index, permission in enumerate(needed) if permission not in needed[:index]]

    def _map_permissions(self, names: Names) -> list[Permission]:
        """Return what distributed maps need: they start executions of their own state machine.

        https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
        """
        maps = [
            state
            for _, state in states_of(json.loads(self.text))
            if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
        ]
        needed = []
        if maps:
            children = (names.executions(self.name), names.map_executions(self.name))
            needed = [
                Permission(("states:StartExecution",), (names.state_machine(self.name),)),
                Permission(("states:DescribeExecution", "states:StopExecution"), children, RUN_IDS),
            ]
        if any("ItemReader" in state for state in maps):
            run_folders = names.bucket(names.artifacts_bucket, "runs/*")
            needed.append(Permission(("s3:GetObject",), (run_folders,), RUN_IDS))
        return needed


def states_of(machine: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every state of a definition by name, those inside Map and Parallel too."""
    for name, state in machine["States"].items():
        yield name, state
        for inner in [*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])]:
            yield from states_of(inner)


def _target(arguments: Any) -> str | None:
    if isinstance(arguments, str):  # an expression that puts the arguments together names one thing too
        named = re.search(r"'(?:FunctionName|ProjectName|StateMachineArn)': '\$\{([A-Za-z]+)\}'", arguments)
        return named.group(1) if named else None
    for key in ("FunctionName", "ProjectName", "StateMachineArn", "TopicArn"):
        match = _SUBSTITUTION.fullmatch(str(arguments.get(key, ""))) if isinstance(arguments, dict) else None
        if match:
            return match.group(1)
    return None


# ------------------------------------------------------------------ what each integration needs

_FUNCTIONS = {step.substitution: step for step in STEPS}


def _invoke(names: Names, target: str) -> tuple[Permission, ...]:
    function = names.arn("lambda", f"function:{names.of(_FUNCTIONS[target].kebab_name)}")
    return (Permission(("lambda:InvokeFunction",), (function,)),)


# https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html
def _build(names: Names, target: str) -> tuple[Permission, ...]:
    project = names.project(
        {
            "TerraformBuild": names.terraform_build,
            "DatabaseJobsBuild": names.database_jobs_build,
            "MediaJobsBuild": names.media_jobs_build,
        }[target]
    )
    stop = () if target in NEVER_STOPPED else ("codebuild:StopBuild",)
    rule = names.arn("events", "rule/StepFunctionsGetEventForCodeBuildStartBuildRule")
    return (
        Permission(("codebuild:StartBuild", *stop, "codebuild:BatchGetBuilds"), (project,)),
        Permission(("events:PutTargets", "events:PutRule", "events:DescribeRule"), (rule,)),
    )


# https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
def _execution(names: Names, target: str) -> tuple[Permission, ...]:
    machine = STATE_MACHINES[target]
    stop = () if target in NEVER_STOPPED else ("states:StopExecution",)
    rule = names.arn("events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule")
    return (
        Permission(("states:StartExecution",), (names.state_machine(machine),)),
        Permission(("states:DescribeExecution", *stop), (names.executions(machine),), RUN_IDS),
        Permission(("events:PutTargets", "events:PutRule", "events:DescribeRule"), (rule,)),
    )


# https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html#ecs-iam
# A task runs as the task definition says, with two roles that whoever starts it must be allowed to pass.
def _run_task(names: Names, _target: str) -> tuple[Permission, ...]:
    rule = names.arn("events", "rule/StepFunctionsGetEventsForECSTaskRule")
    return (
        Permission(
            ("ecs:RunTask",),
            (names.arn("ecs", f"task-definition/{names.api}:*"),),
            "Every release is another revision of the family",
            {"ArnEquals": {"ecs:cluster": names.cluster}},
        ),
        Permission(
            ("ecs:StopTask", "ecs:DescribeTasks"),
            (names.arn("ecs", f"task/{names.prefix}/*"),),
            "ECS chooses the ids of tasks",
        ),
        Permission(
            ("iam:PassRole",),
            (names.role(names.of("api-task")), names.role(names.of("api-execution"))),
            conditions={"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
        Permission(("events:PutTargets", "events:PutRule", "events:DescribeRule"), (rule,)),
    )


def _report_to_deployment(names: Names, _target: str) -> tuple[Permission, ...]:
    return report_to_deployment(names)


def _publish(names: Names, _target: str) -> tuple[Permission, ...]:
    return tell_topic(names)


def _create_snapshot(names: Names, _target: str) -> tuple[Permission, ...]:
    return (
        Permission(
            ("rds:CreateDBSnapshot", "rds:AddTagsToResource"),
            (names.arn("rds", f"db:{names.of('*')}"), names.arn("rds", f"snapshot:{names.of('*')}")),
            MADE_LATER,
        ),
    )


def _describe_snapshots(names: Names, _target: str) -> tuple[Permission, ...]:
    return (
        Permission(
            ("rds:DescribeDBSnapshots",),
            (names.arn("rds", f"db:{names.of('*')}"), names.arn("rds", f"snapshot:{names.of('*')}")),
            MADE_LATER,
        ),
    )


def _services(action: str) -> Callable[[Names, str], tuple[Permission, ...]]:
    def grant(names: Names, _target: str) -> tuple[Permission, ...]:
        services = names.arn("ecs", f"service/{names.prefix}*/{names.of('*')}")
        return (Permission((f"ecs:{action}",), (services,), MADE_LATER),)

    return grant


# CreateJob and ListJobs have no resource, the others have the job:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
def _create_copy_job(names: Names, _target: str) -> tuple[Permission, ...]:
    return (
        Permission(
            ("s3:CreateJob",),
            ("*",),
            f"{NO_RESOURCE}; the condition limits it to copying",
            {"StringEquals": {"s3:RequestJobOperation": "S3PutObjectCopy"}},
        ),
        Permission(
            ("iam:PassRole",),
            (names.role(names.of("media-copy")),),
            conditions={"StringEquals": {"iam:PassedToService": "batchoperations.s3.amazonaws.com"}},
        ),
    )


def _see_copy_job(names: Names, _target: str) -> tuple[Permission, ...]:
    return (Permission(("s3:DescribeJob",), (names.arn("s3", "job/*"),), COPY_JOBS),)


def _cancel_copy_job(names: Names, _target: str) -> tuple[Permission, ...]:
    return (
        Permission(
            ("s3:UpdateJobStatus",),
            (names.arn("s3", "job/*"),),
            f"{COPY_JOBS}; the condition limits it to copying",
            {"StringEquals": {"s3:ExistingJobOperation": "S3PutObjectCopy"}},
        ),
    )


def _list_copy_jobs(_names: Names, _target: str) -> tuple[Permission, ...]:
    return (Permission(("s3:ListJobs",), ("*",), NO_RESOURCE),)


def _changes_rules(action: str) -> Callable[[Names, str], tuple[Permission, ...]]:
    def grant(names: Names, _target: str) -> tuple[Permission, ...]:
        rules = names.arn("events", f"rule/{names.of('media-*-changes')}")
        return (Permission((f"events:{action}",), (rules,), GENERATIONS),)

    return grant


def _copy_parts(names: Names, _target: str) -> tuple[Permission, ...]:
    objects = names.bucket(names.media_buckets, "*")
    return (Permission(("s3:GetObject", "s3:PutObject"), (objects,), GENERATIONS), *use_media_key(names))


def _remember_bundle(names: Names, _target: str) -> tuple[Permission, ...]:
    return (Permission(("ssm:PutParameter",), (names.parameter("bundle"),)),)


INTEGRATIONS: Mapping[str, Callable[[Names, str], tuple[Permission, ...]]] = {
    "arn:aws:states:::lambda:invoke": _invoke,
    "arn:aws:states:::lambda:invoke.waitForTaskToken": _invoke,
    "arn:aws:states:::codebuild:startBuild.sync": _build,
    "arn:aws:states:::states:startExecution.sync:2": _execution,
    "arn:aws:states:::ecs:runTask.sync": _run_task,
    "arn:aws:states:::sns:publish": _publish,
    "arn:aws:states:::aws-sdk:codedeploy:putLifecycleEventHookExecutionStatus": _report_to_deployment,
    "arn:aws:states:::aws-sdk:ecs:describeServices": _services("DescribeServices"),
    "arn:aws:states:::aws-sdk:ecs:updateService": _services("UpdateService"),
    "arn:aws:states:::aws-sdk:eventbridge:enableRule": _changes_rules("EnableRule"),
    "arn:aws:states:::aws-sdk:eventbridge:disableRule": _changes_rules("DisableRule"),
    "arn:aws:states:::aws-sdk:s3:uploadPartCopy": _copy_parts,
    "arn:aws:states:::aws-sdk:s3control:createJob": _create_copy_job,
    "arn:aws:states:::aws-sdk:s3control:describeJob": _see_copy_job,
    "arn:aws:states:::aws-sdk:s3control:updateJobStatus": _cancel_copy_job,
    "arn:aws:states:::aws-sdk:s3control:listJobs": _list_copy_jobs,
    "arn:aws:states:::aws-sdk:ssm:putParameter": _remember_bundle,
    "arn:aws:states:::aws-sdk:rds:createDBSnapshot": _create_snapshot,
    "arn:aws:states:::aws-sdk:rds:describeDBSnapshots": _describe_snapshots,
}
"""Service integration → the permissions that AWS's documentation asks for, on what the task names."""
