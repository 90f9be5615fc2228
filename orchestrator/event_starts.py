"""Executions that events and schedules start, and the queue of what could not be delivered."""

from collections.abc import Mapping
from typing import Any, TypedDict

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from orchestrator.names import Names
from orchestrator.permissions import Permission, acknowledge, service_role


class Delivery(TypedDict):
    """How EventBridge tries to reach a target, and where it leaves what it could not deliver."""

    dead_letter_queue: sqs.IQueue
    retry_attempts: int
    max_event_age: Duration


def delivery(undelivered: sqs.IQueue, *, patience: Duration | None = None) -> Delivery:
    """Return as much as EventBridge tries: for a day, or as long as `patience`, as often as it can."""
    return {
        "dead_letter_queue": undelivered,
        "retry_attempts": 185,
        "max_event_age": patience or Duration.hours(24),
    }


def undelivered_queue(
    scope: Construct, identifier: str, queue_name: str, *, of_a_function: bool = False
) -> sqs.Queue:
    """Make a queue that keeps for two weeks what could not be delivered.

    Parameters
    ----------
    of_a_function : bool
        A function has it as its dead-letter queue as well: cdk-nag then knows that it is one.
    """
    queue = sqs.Queue(
        scope,
        identifier,
        queue_name=queue_name,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=Duration.days(14),
    )
    if not of_a_function:
        acknowledge(
            queue,
            "AwsSolutions-SQS3",
            "It is a dead-letter queue itself, of an EventBridge target, which cdk-nag does not look at",
        )
    return queue


class ExecutionStart(Construct):
    """A rule that starts a state machine, with a role that may do that and nothing else.

    Parameters
    ----------
    machine : str
        Name of the state machine, without the environment's.
    state_machine : sfn.IStateMachine
    rule_name, description : str
        Of the rule.
    start_input : mapping
        Input of the execution; values may be fields of the event.
    undelivered : sqs.IQueue
    event_pattern, schedule
        When: one of the two.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        names: Names,
        *,
        machine: str,
        state_machine: sfn.IStateMachine,
        rule_name: str,
        description: str,
        start_input: Mapping[str, Any],
        undelivered: sqs.IQueue | None = None,
        event_pattern: events.EventPattern | None = None,
        schedule: events.Schedule | None = None,
    ) -> None:
        super().__init__(scope, identifier)
        queue = undelivered or undelivered_queue(self, "Undelivered", names.of(f"{machine}-undelivered"))
        role = service_role(
            self,
            "Role",
            service="events.amazonaws.com",
            description=f"Starts {machine} of {names.prefix}",
            path=names.role_path,
            permissions=[Permission(("states:StartExecution",), (names.state_machine(machine),))],
        )
        rule = events.Rule(
            self,
            "Rule",
            rule_name=rule_name,
            description=description,
            event_pattern=event_pattern,
            schedule=schedule,
        )
        rule.add_target(
            targets.SfnStateMachine(
                state_machine,
                input=events.RuleTargetInput.from_object(dict(start_input)),
                role=role.without_policy_updates(),
                **delivery(queue),
            )
        )
