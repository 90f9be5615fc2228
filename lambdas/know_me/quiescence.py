"""Quiesce and resume: everything that can write, recorded before it is touched, stopped, and started again.

What was recorded is the only truth: quiesce and resume read it, so both can be repeated, also when the
manifest has changed since.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel

from know_me.aws import error_code
from know_me.errors import QuiesceTimedOut, ResumeFailed
from know_me.manifest import Deployment, Manifest
from know_me.wording import listed

REASON = "Know Me migration"

SUSPENSIONS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
SCHEDULE_FIELDS = (
    "ActionAfterCompletion",
    "Description",
    "EndDate",
    "FlexibleTimeWindow",
    "GroupName",
    "KmsKeyArn",
    "Name",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "State",
    "Target",
)
"""Everything UpdateSchedule takes: what is left out it would set back to the default."""


class RecordedService(BaseModel):
    """An ECS service and how many tasks it should run."""

    cluster: str
    name: str
    desired_count: int


class RecordedTarget(BaseModel):
    """A scalable target and what of its scaling was suspended."""

    service_namespace: str
    resource_id: str
    scalable_dimension: str
    suspended_state: dict[str, bool]


class RecordedRule(BaseModel):
    """An EventBridge rule and whether it was enabled."""

    name: str
    event_bus_name: str
    state: str


class RecordedSchedule(BaseModel):
    """A schedule and whether it was enabled."""

    name: str
    group_name: str
    state: str


class RecordedTransition(BaseModel):
    """The way into a stage of a pipeline."""

    stage: str
    enabled: bool


class RecordedPipeline(BaseModel):
    """A pipeline and which of its transitions were open."""

    name: str
    transitions: list[RecordedTransition]


class Quiesced(BaseModel):
    """`quiesced.json`: what ran before the run touched it."""

    recorded_at: str
    services: list[RecordedService]
    scalable_targets: list[RecordedTarget]
    rules: list[RecordedRule]
    schedules: list[RecordedSchedule]
    pipelines: list[RecordedPipeline]
    deployments: list[Deployment] = []


class Clients:
    """The AWS clients that quiescing needs."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.ecs = client("ecs")
        self.autoscaling = client("application-autoscaling")
        self.events = client("events")
        self.scheduler = client("scheduler")
        self.codepipeline = client("codepipeline")


# ---------------------------------------------------------------- record


def record(aws: Clients, manifest: Manifest, recorded_at: str) -> Quiesced:
    """Return what runs now, of all that the manifest lists."""
    return Quiesced(
        recorded_at=recorded_at,
        services=[
            RecordedService(
                cluster=service.cluster,
                name=service.name,
                desired_count=_service(aws.ecs, service.cluster, service.name)["desiredCount"],
            )
            for service in manifest.services
        ],
        scalable_targets=[
            RecordedTarget(
                service_namespace=target.service_namespace,
                resource_id=target.resource_id,
                scalable_dimension=target.scalable_dimension,
                suspended_state=_suspended_state(
                    aws.autoscaling, target.service_namespace, target.resource_id, target.scalable_dimension
                ),
            )
            for target in manifest.scalable_targets
        ],
        rules=[
            RecordedRule(
                name=rule.name,
                event_bus_name=rule.event_bus_name,
                state=aws.events.describe_rule(Name=rule.name, EventBusName=rule.event_bus_name)["State"],
            )
            for rule in manifest.rules
        ],
        schedules=[
            RecordedSchedule(
                name=schedule.name,
                group_name=schedule.group_name,
                state=aws.scheduler.get_schedule(Name=schedule.name, GroupName=schedule.group_name)["State"],
            )
            for schedule in manifest.schedules
        ],
        pipelines=[
            RecordedPipeline(
                name=pipeline.name,
                transitions=_transitions(aws.codepipeline, pipeline.name, pipeline.stages),
            )
            for pipeline in manifest.pipelines
        ],
        deployments=manifest.deployments,
    )


def _service(ecs: Any, cluster: str, name: str) -> dict[str, Any]:
    found = ecs.describe_services(cluster=cluster, services=[name])["services"]
    if not found or found[0].get("status") != "ACTIVE":
        raise LookupError(f"The ECS service {name} in the cluster {cluster} does not exist")
    service: dict[str, Any] = found[0]
    return service


def _suspended_state(autoscaling: Any, namespace: str, resource: str, dimension: str) -> dict[str, bool]:
    found = autoscaling.describe_scalable_targets(
        ServiceNamespace=namespace, ResourceIds=[resource], ScalableDimension=dimension
    )["ScalableTargets"]
    state = found[0].get("SuspendedState", {}) if found else {}
    return {name: bool(state.get(name, False)) for name in SUSPENSIONS}


def _transitions(codepipeline: Any, name: str, stages: Iterable[str]) -> list[RecordedTransition]:
    wanted = set(stages)
    return [
        RecordedTransition(
            stage=stage["stageName"], enabled=stage.get("inboundTransitionState", {}).get("enabled", True)
        )
        for stage in codepipeline.get_pipeline_state(name=name)["stageStates"]
        if stage["stageName"] in wanted
    ]


# ---------------------------------------------------------------- quiesce


def hold(aws: Clients, recorded: Quiesced) -> None:
    """Let nothing new begin: releases, rules, schedules. What is under way goes on. Safe to repeat."""
    for pipeline in recorded.pipelines:
        for transition in pipeline.transitions:
            if transition.enabled:
                aws.codepipeline.disable_stage_transition(
                    pipelineName=pipeline.name,
                    stageName=transition.stage,
                    transitionType="Inbound",
                    reason=REASON,
                )
    for rule in recorded.rules:
        if rule.state != "DISABLED":
            aws.events.disable_rule(Name=rule.name, EventBusName=rule.event_bus_name)
    for schedule in recorded.schedules:
        if schedule.state != "DISABLED":
            _set_schedule(aws.scheduler, schedule, "DISABLED")


def quiesce(aws: Clients, recorded: Quiesced) -> None:
    """Stop everything recorded; what could start tasks again first, the services last. Safe to repeat."""
    for target in recorded.scalable_targets:
        _suspend(aws.autoscaling, target, dict.fromkeys(SUSPENSIONS, True))
    hold(aws, recorded)
    for service in recorded.services:
        aws.ecs.update_service(cluster=service.cluster, service=service.name, desiredCount=0)


def still_running(aws: Clients, recorded: Quiesced) -> list[str]:
    """Return what of the services has not stopped, in words; empty when all is quiet."""
    found = []
    for service in recorded.services:
        # desired status: a task that is stopping has STOPPED
        tasks = tasks_of(aws.ecs, service.cluster, service.name, "RUNNING", "STOPPED")
        alive = [task for task in tasks if task["lastStatus"] != "STOPPED"]
        if alive:
            found.append(f"{len(alive)} task{'s' if len(alive) > 1 else ''} of {service.name}")
    return found


def tasks_of(ecs: Any, cluster: str, service: str, *desired: str) -> Iterator[dict[str, Any]]:
    """Yield the tasks of a service that have one of some desired statuses."""
    arns = [
        arn
        for status in desired
        for arn in ecs.list_tasks(cluster=cluster, serviceName=service, desiredStatus=status)["taskArns"]
    ]
    for start in range(0, len(arns), 100):  # DescribeTasks takes a hundred
        yield from ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + 100])["tasks"]


def refuse_late(running: list[str], *, overdue: bool) -> None:
    """Stop waiting for what does not stop.

    Raises
    ------
    QuiesceTimedOut
        The deadline has passed and something still runs.
    """
    if running and overdue:
        raise QuiesceTimedOut(
            f"Still running after the time allowed: {listed(running)}.",
            "Look at the tasks' stop timeout and at the events of the service, then start again.",
        )


# ---------------------------------------------------------------- resume


def resume(aws: Clients, recorded: Quiesced) -> None:
    """Bring everything recorded back to what it was; the services first. Safe to repeat.

    Everything is tried; what failed is named at the end: one fault leaves as little as possible stopped.

    Raises
    ------
    ResumeFailed
        AWS refused something.
    """
    refused = []
    for subject, action in _resumptions(aws, recorded):
        try:
            action()
        except ClientError as error:
            refused.append(f"{subject} ({error_code(error)}: {error.response['Error'].get('Message', '')})")
    if refused:
        raise ResumeFailed(
            f"Could not be started again: {listed(refused)}.",
            "Start it by hand; quiesced.json in the run folder says what ran before.",
        )


def _resumptions(aws: Clients, recorded: Quiesced) -> Iterator[tuple[str, Callable[[], Any]]]:
    for service in recorded.services:
        yield (
            f"the service {service.name}",
            partial(
                aws.ecs.update_service,
                cluster=service.cluster,
                service=service.name,
                desiredCount=service.desired_count,
            ),
        )
    for target in recorded.scalable_targets:
        yield (
            f"the scaling of {target.resource_id}",
            partial(_suspend, aws.autoscaling, target, target.suspended_state),
        )
    for rule in recorded.rules:
        if rule.state != "DISABLED":
            yield (
                f"the rule {rule.name}",
                partial(aws.events.enable_rule, Name=rule.name, EventBusName=rule.event_bus_name),
            )
    for schedule in recorded.schedules:
        if schedule.state != "DISABLED":
            yield (
                f"the schedule {schedule.name}",
                partial(_set_schedule, aws.scheduler, schedule, schedule.state),
            )
    for pipeline in recorded.pipelines:
        for transition in pipeline.transitions:
            if transition.enabled:
                yield (
                    f"the way into the stage {transition.stage} of the pipeline {pipeline.name}",
                    partial(
                        aws.codepipeline.enable_stage_transition,
                        pipelineName=pipeline.name,
                        stageName=transition.stage,
                        transitionType="Inbound",
                    ),
                )


def not_running_yet(aws: Clients, recorded: Quiesced) -> list[str]:
    """Return which services do not yet run what they should, in words; empty when all do."""
    found = []
    for service in recorded.services:
        now = _service(aws.ecs, service.cluster, service.name)
        wanted, running = max(now["desiredCount"], service.desired_count), now["runningCount"]
        deployments = [item for item in now.get("deployments", []) if item["status"] != "INACTIVE"]
        if running < wanted or now["pendingCount"] or len(deployments) > 1:
            found.append(f"{service.name} runs {running} of {wanted} tasks")
    return found


def refuse_overdue_start(waiting: list[str], *, overdue: bool) -> None:
    """Stop waiting for what does not start.

    Raises
    ------
    ResumeFailed
        The deadline has passed and a service does not run.
    """
    if waiting and overdue:
        raise ResumeFailed(
            f"Not running after the time allowed: {listed(waiting)}.",
            "Look at the events of the service and at the logs of its stopped tasks.",
        )


# ---------------------------------------------------------------- both ways


def _suspend(autoscaling: Any, target: RecordedTarget, state: dict[str, bool]) -> None:
    autoscaling.register_scalable_target(
        ServiceNamespace=target.service_namespace,
        ResourceId=target.resource_id,
        ScalableDimension=target.scalable_dimension,
        SuspendedState=state,
    )


def _set_schedule(scheduler: Any, schedule: RecordedSchedule, state: str) -> None:
    """Change only the state: UpdateSchedule replaces the whole schedule, so the rest is given back to it."""
    current = scheduler.get_schedule(Name=schedule.name, GroupName=schedule.group_name)
    if current["State"] == state:
        return
    kept = {field: current[field] for field in SCHEDULE_FIELDS if field in current}
    scheduler.update_schedule(**{**kept, "State": state})
