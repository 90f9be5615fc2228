"""Quiesce and resume: recorded before touched, nothing forgotten, safe to repeat."""

from typing import Any

import pytest
from know_me.errors import QuiesceTimedOut, ResumeFailed
from know_me.manifest import Manifest
from know_me.quiescence import (
    Clients,
    Quiesced,
    hold,
    not_running_yet,
    quiesce,
    record,
    refuse_late,
    refuse_overdue_start,
    resume,
    still_running,
)

from tests.unit.lambdas.conftest import NOW, Stubbed

CLUSTER, SERVICE = "know-me-staging", "know-me-staging-api"
RESOURCE = f"service/{CLUSTER}/{SERVICE}"
ALL = {
    "DynamicScalingInSuspended": True,
    "DynamicScalingOutSuspended": True,
    "ScheduledScalingSuspended": True,
}
AS_BEFORE = {**ALL, "DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": False}
SCHEDULE: dict[str, Any] = {
    "Name": "background-jobs",
    "GroupName": "default",
    "ScheduleExpression": "rate(15 minutes)",
    "ScheduleExpressionTimezone": "Europe/Vienna",
    "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
    "Target": {
        "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:jobs",
        "RoleArn": "arn:aws:iam::123456789012:role/r",
        "Input": "{}",
    },
    "ActionAfterCompletion": "NONE",
    "Description": "Every quarter of an hour",
}
RECORDED = Quiesced.model_validate(
    {
        "recorded_at": "2026-03-01T12:00:00+00:00",
        "services": [{"cluster": CLUSTER, "name": SERVICE, "desired_count": 2}],
        "scalable_targets": [
            {
                "service_namespace": "ecs",
                "resource_id": RESOURCE,
                "scalable_dimension": "ecs:service:DesiredCount",
                "suspended_state": AS_BEFORE,
            }
        ],
        "rules": [{"name": "nightly", "event_bus_name": "default", "state": "ENABLED"}],
        "schedules": [{"name": "background-jobs", "group_name": "default", "state": "ENABLED"}],
        "pipelines": [
            {
                "name": "api",
                "transitions": [{"stage": "Source", "enabled": False}, {"stage": "Deploy", "enabled": True}],
            }
        ],
        "deployments": [{"application": "know-me-staging-api", "deployment_group": "know-me-staging-api"}],
    }
)
ALREADY_OFF = RECORDED.model_copy(
    update={
        "scalable_targets": [],
        "services": [],
        "rules": [item.model_copy(update={"state": "DISABLED"}) for item in RECORDED.rules],
        "schedules": [item.model_copy(update={"state": "DISABLED"}) for item in RECORDED.schedules],
        "pipelines": [],
    }
)


def service(**state: Any) -> dict[str, Any]:
    return {"services": [{"serviceName": SERVICE, "status": "ACTIVE", **state}]}


def expect_scaling(stubbed: Stubbed, state: dict[str, bool]) -> None:
    stubbed.expect(
        "application-autoscaling",
        "register_scalable_target",
        {
            "ServiceNamespace": "ecs",
            "ResourceId": RESOURCE,
            "ScalableDimension": "ecs:service:DesiredCount",
            "SuspendedState": state,
        },
        {},
    )


def expect_schedule(stubbed: Stubbed, before: str, after: str) -> None:
    name = {"Name": "background-jobs", "GroupName": "default"}
    stubbed.expect("scheduler", "get_schedule", name, {**SCHEDULE, "State": before, "CreationDate": NOW})
    stubbed.expect(
        "scheduler", "update_schedule", {**SCHEDULE, "State": after}, {"ScheduleArn": "arn:schedule"}
    )


def test_holding_closes_every_way_in_and_touches_neither_the_app_nor_its_scaling(stubbed: Stubbed) -> None:
    # Given that a release may be under way, when nothing new may begin
    stubbed.expect(
        "codepipeline",
        "disable_stage_transition",
        {
            "pipelineName": "api",
            "stageName": "Deploy",
            "transitionType": "Inbound",
            "reason": "Know Me migration",
        },
        {},
    )
    stubbed.expect("events", "disable_rule", {"Name": "nightly", "EventBusName": "default"}, {})
    expect_schedule(stubbed, "ENABLED", "DISABLED")
    # Then ways in that were open are closed, and ECS and Auto Scaling are not asked for anything
    hold(Clients(stubbed.client), RECORDED)


def test_everything_in_the_manifest_is_recorded_as_it_is(manifest: Manifest, stubbed: Stubbed) -> None:
    stubbed.expect(
        "ecs", "describe_services", {"cluster": CLUSTER, "services": [SERVICE]}, service(desiredCount=2)
    )
    stubbed.expect(
        "application-autoscaling",
        "describe_scalable_targets",
        {
            "ServiceNamespace": "ecs",
            "ResourceIds": [RESOURCE],
            "ScalableDimension": "ecs:service:DesiredCount",
        },
        {
            "ScalableTargets": [
                {
                    "ServiceNamespace": "ecs",
                    "ResourceId": RESOURCE,
                    "ScalableDimension": "ecs:service:DesiredCount",
                    "MinCapacity": 1,
                    "MaxCapacity": 4,
                    "RoleARN": "arn:role",
                    "CreationTime": NOW,
                    "SuspendedState": {"ScheduledScalingSuspended": True},
                }
            ]
        },
    )
    stubbed.expect(
        "events", "describe_rule", {"Name": "nightly", "EventBusName": "default"}, {"State": "ENABLED"}
    )
    stubbed.expect(
        "scheduler",
        "get_schedule",
        {"Name": "background-jobs", "GroupName": "default"},
        {**SCHEDULE, "State": "ENABLED"},
    )
    stubbed.expect(
        "codepipeline",
        "get_pipeline_state",
        {"name": "api"},
        {
            "stageStates": [
                {"stageName": "Source", "inboundTransitionState": {"enabled": False}},
                {"stageName": "Deploy", "inboundTransitionState": {"enabled": True}},
                {"stageName": "Unlisted", "inboundTransitionState": {"enabled": True}},
            ]
        },
    )
    assert record(Clients(stubbed.client), manifest, RECORDED.recorded_at) == RECORDED


def test_quiesce_stops_the_services_last(stubbed: Stubbed) -> None:
    expect_scaling(stubbed, ALL)
    stubbed.expect(
        "codepipeline",
        "disable_stage_transition",
        {
            "pipelineName": "api",
            "stageName": "Deploy",
            "transitionType": "Inbound",
            "reason": "Know Me migration",
        },
        {},
    )
    stubbed.expect("events", "disable_rule", {"Name": "nightly", "EventBusName": "default"}, {})
    expect_schedule(stubbed, "ENABLED", "DISABLED")
    stubbed.expect("ecs", "update_service", {"cluster": CLUSTER, "service": SERVICE, "desiredCount": 0}, {})
    quiesce(Clients(stubbed.client), RECORDED)


def test_resume_brings_back_what_was_recorded_and_every_field_of_a_schedule(stubbed: Stubbed) -> None:
    stubbed.expect("ecs", "update_service", {"cluster": CLUSTER, "service": SERVICE, "desiredCount": 2}, {})
    expect_scaling(stubbed, AS_BEFORE)
    stubbed.expect("events", "enable_rule", {"Name": "nightly", "EventBusName": "default"}, {})
    expect_schedule(stubbed, "DISABLED", "ENABLED")
    stubbed.expect(
        "codepipeline",
        "enable_stage_transition",
        {"pipelineName": "api", "stageName": "Deploy", "transitionType": "Inbound"},
        {},
    )
    resume(Clients(stubbed.client), RECORDED)


def test_what_was_off_before_is_neither_stopped_nor_started(stubbed: Stubbed) -> None:
    # Given rules and schedules that were off, when quiesced and resumed, then AWS is not asked for anything
    quiesce(Clients(stubbed.client), ALREADY_OFF)
    resume(Clients(stubbed.client), ALREADY_OFF)


def test_one_thing_that_cannot_be_started_does_not_keep_the_rest_stopped(stubbed: Stubbed) -> None:
    # Given a service that AWS refuses to start
    stubbed.refuse(
        "ecs",
        "update_service",
        "ServiceNotActiveException",
        {"cluster": CLUSTER, "service": SERVICE, "desiredCount": 2},
    )
    # When all is resumed
    expect_scaling(stubbed, AS_BEFORE)
    stubbed.expect("events", "enable_rule", {"Name": "nightly", "EventBusName": "default"}, {})
    expect_schedule(stubbed, "DISABLED", "ENABLED")
    stubbed.expect(
        "codepipeline",
        "enable_stage_transition",
        {"pipelineName": "api", "stageName": "Deploy", "transitionType": "Inbound"},
        {},
    )
    # Then the rest is started and the failure is named
    with pytest.raises(ResumeFailed, match="the service know-me-staging-api \\(ServiceNotActiveException"):
        resume(Clients(stubbed.client), RECORDED)


def expect_tasks(stubbed: Stubbed, stopping: str) -> None:
    for desired, arns in (("RUNNING", []), ("STOPPED", ["task-1"])):
        stubbed.expect(
            "ecs",
            "list_tasks",
            {"cluster": CLUSTER, "serviceName": SERVICE, "desiredStatus": desired},
            {"taskArns": arns},
        )
    stubbed.expect(
        "ecs",
        "describe_tasks",
        {"cluster": CLUSTER, "tasks": ["task-1"]},
        {"tasks": [{"taskArn": "task-1", "lastStatus": stopping}]},
    )


@pytest.mark.parametrize(
    ("status", "expected"), [("STOPPING", ["1 task of know-me-staging-api"]), ("STOPPED", [])]
)
def test_a_task_that_is_stopping_can_still_write(stubbed: Stubbed, status: str, expected: list[str]) -> None:
    expect_tasks(stubbed, status)
    assert still_running(Clients(stubbed.client), RECORDED) == expected


def test_waiting_ends_at_the_deadline_naming_what_runs() -> None:
    refuse_late(["1 task of api"], overdue=False)
    refuse_late([], overdue=True)
    with pytest.raises(QuiesceTimedOut, match="1 task of api"):
        refuse_late(["1 task of api"], overdue=True)
    with pytest.raises(ResumeFailed, match="api runs 0 of 1 tasks"):
        refuse_overdue_start(["api runs 0 of 1 tasks"], overdue=True)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            {"desiredCount": 2, "runningCount": 2, "pendingCount": 0, "deployments": [{"status": "PRIMARY"}]},
            [],
        ),
        (
            {"desiredCount": 2, "runningCount": 1, "pendingCount": 1},
            ["know-me-staging-api runs 1 of 2 tasks"],
        ),
        (
            {
                "desiredCount": 2,
                "runningCount": 2,
                "pendingCount": 0,
                "deployments": [{"status": "PRIMARY"}, {"status": "ACTIVE"}],
            },
            ["know-me-staging-api runs 2 of 2 tasks"],
        ),
    ],
)
def test_running_means_as_many_as_before_and_no_deployment(
    stubbed: Stubbed, state: dict[str, Any], expected: list[str]
) -> None:
    stubbed.expect("ecs", "describe_services", {"cluster": CLUSTER, "services": [SERVICE]}, service(**state))
    assert not_running_yet(Clients(stubbed.client), RECORDED) == expected
