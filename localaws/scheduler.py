"""EventBridge Scheduler: schedules that fire.

True: `rate()`, `cron()` and `at()` in a time zone, start and end date, the role of the target, retries and
dead-letter queue, templated targets
(Step Functions, Lambda, SNS, SQS, CodeBuild, CodePipeline, ECS, event buses) and universal targets
(`aws-sdk:<service>:<action>`),
deletion after completion. What was created is read back unchanged.
Not exact: a flexible time window is not used, the schedule fires at its start.
"""

import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore import xform_name

from localaws.events import TARGETS, Delivery
from localaws.runtime import Runtime
from localaws.schedules import Clock, Due, ScheduleExpressionError, parse
from localaws.stepfunctions import naming

UNIVERSAL = "arn:aws:scheduler:::aws-sdk:"


def call_action(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    """Call the action of a universal target with the input as its parameters, spelt as the API does."""
    del target
    service, action = arn.removeprefix(UNIVERSAL).split(":")
    boto_service = naming.boto_service(service)
    operation = naming.operation(boto_service, action) if boto_service else None
    if boto_service is None or operation is None:
        raise ValueError(f"{arn} names no action of an AWS service")
    spell = naming.java
    members = {
        name.lower(): name for name in (operation.input_shape.members if operation.input_shape else {})
    }
    parameters = naming.request(operation.input_shape, json.loads(body or "{}"), spell)
    clients(boto_service).__getattribute__(xform_name(operation.name))(
        **{members.get(key.lower(), key): value for key, value in parameters.items()}
    )


def put_event(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    """Put an event on a bus: source and detail type are parameters of the target, the input is the detail."""
    parameters = target["EventBridgeParameters"]
    clients("events").put_events(
        Entries=[
            {
                "Source": parameters["Source"],
                "DetailType": parameters["DetailType"],
                "Detail": body,
                "EventBusName": arn,
            }
        ]
    )


def body_of(schedule: Any, execution: str, now: datetime.datetime) -> str:
    """Return the input of a target with the context attributes of AWS replaced."""
    text = schedule.target.get("Input") or "{}"
    moment = now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for name, value in {
        "schedule-arn": schedule.arn,
        "scheduled-time": moment,
        "execution-id": execution,
        "attempt-number": "1",
    }.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return str(text)


def is_due(schedule: Any, now: datetime.datetime) -> bool:
    """Return whether a schedule is enabled and between its start and its end."""
    moment = now.timestamp()
    start, end = schedule.start_date, schedule.end_date
    return (
        schedule.state == "ENABLED"
        and (start is None or float(start) <= moment)
        and (end is None or moment < float(end))
    )


def install(runtime: Runtime) -> None:
    """Make EventBridge Scheduler real: called once, before the server answers its first request."""
    from moto.scheduler import exceptions, models, urls

    delivery = Delivery(runtime)

    class Schedules(models.EventBridgeSchedulerBackend):  # type: ignore[misc]
        """moto's backend that refuses what could not fire and keeps what is not given."""

        @property
        def _url_module(self) -> Any:
            return urls

        def create_schedule(self, **given: Any) -> Any:
            """Refuse bad expressions and targets; unset fields get AWS's defaults."""
            _check(given["schedule_expression"], given["schedule_expression_timezone"], given["target"])
            self.get_schedule_group(given["group_name"])
            given["action_after_completion"] = given.get("action_after_completion") or "NONE"
            return super().create_schedule(**given)

        def update_schedule(self, **given: Any) -> Any:
            """Replace a schedule whole, as AWS does: what is not given gets its default."""
            _check(given["schedule_expression"], given["schedule_expression_timezone"], given["target"])
            given["state"] = given.get("state") or "ENABLED"
            return super().update_schedule(**given)

    def _check(expression: str, zone: str | None, target: dict[str, Any]) -> None:
        try:
            parse(expression, zone or "UTC")
        except ScheduleExpressionError as error:
            raise exceptions.ValidationException(
                f"Invalid Schedule Expression {expression}. {error}"
            ) from error
        arn, service = target["Arn"], target["Arn"].split(":")[2]
        if arn.startswith(UNIVERSAL):
            parts = arn.removeprefix(UNIVERSAL).split(":")
            boto_service = naming.boto_service(parts[0])
            if len(parts) != 2 or boto_service is None or naming.operation(boto_service, parts[1]) is None:
                raise exceptions.ValidationException(f"{arn} names no action of an AWS service")
        elif service not in TARGETS:
            raise exceptions.ValidationException(
                f"Targets of the service {service} are not implemented: {arn}"
            )

    models.scheduler_backends.backend = Schedules
    clock = Clock(runtime, "schedules")

    def firing(schedule: Any, group: Any, region: str) -> Callable[[], None]:
        def fire() -> None:
            now = datetime.datetime.now(datetime.UTC)
            arn = schedule.target["Arn"]
            call = None
            if arn.startswith(UNIVERSAL):
                call = call_action
            elif arn.split(":")[2] == "events":
                call = put_event
            body = body_of(schedule, f"{schedule.name}-{int(now.timestamp())}", now)
            delivery.submit(schedule.target, body, schedule.arn, region, call)
            once = schedule.schedule_expression.startswith("at(")
            if once and schedule.action_after_completion == "DELETE":
                group.schedules.pop(schedule.name, None)

        return fire

    def schedules() -> Due:
        now = datetime.datetime.now(datetime.UTC)
        return [
            (
                schedule,
                schedule.schedule_expression,
                schedule.schedule_expression_timezone,
                firing(schedule, group, region),
            )
            for _, region, backend in list(models.scheduler_backends.iter_backends())
            for group in list(backend.schedule_groups.values())
            for schedule in list(group.schedules.values())
            if is_due(schedule, now)
        ]

    clock.start(schedules)
