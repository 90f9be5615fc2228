"""The safety net: a migration that ended badly is returned, whoever or whatever ended it."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from orchestrator.names import Names
from orchestrator.permissions import Permission, acknowledge, service_role

ENDED_BADLY = ["FAILED", "TIMED_OUT", "ABORTED"]


class ReturnSafetyNet(Construct):
    """A rule that starts `return` for a `migrate` execution that failed, timed out or was stopped.

    The execution's name is the run id. What cannot be delivered within a day stays in a queue for two weeks.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        names: Names,
        *,
        migrate: sfn.StateMachine,
        return_: sfn.StateMachine,
    ) -> None:
        super().__init__(scope, identifier)
        undelivered = sqs.Queue(
            self,
            "Undelivered",
            queue_name=names.of("return-undelivered"),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )
        acknowledge(
            undelivered,
            "AwsSolutions-SQS3",
            "It is a dead-letter queue itself, of an EventBridge target, which cdk-nag does not look at",
        )
        role = service_role(
            self,
            "Role",
            service="events.amazonaws.com",
            description=f"Starts return of {names.prefix}",
            path=names.role_path,
            permissions=[Permission(("states:StartExecution",), (names.state_machine("return"),))],
        )
        rule = events.Rule(
            self,
            "Rule",
            rule_name=names.of("return-after-failure"),
            description=f"Returns {names.prefix} when a migration fails, times out or is stopped by hand",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": ENDED_BADLY, "stateMachineArn": [migrate.state_machine_arn]},
            ),
        )
        rule.add_target(
            targets.SfnStateMachine(
                return_,
                input=events.RuleTargetInput.from_object(
                    {"run_id": events.EventField.from_path("$.detail.name")}
                ),
                role=role.without_policy_updates(),
                dead_letter_queue=undelivered,
                retry_attempts=185,
                max_event_age=Duration.hours(24),
            )
        )
