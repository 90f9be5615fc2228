"""The safety nets: what ended badly is followed up, whoever or whatever ended it.

A migration is returned; a schema migration that could not report to CodeDeploy is reported.
"""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from orchestrator.event_starts import ExecutionStart, delivery, undelivered_queue
from orchestrator.names import Names

ENDED_BADLY = ["FAILED", "TIMED_OUT", "ABORTED"]


class ReturnSafetyNet(ExecutionStart):
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
        super().__init__(
            scope,
            identifier,
            names,
            machine="return",
            state_machine=return_,
            rule_name=names.of("return-after-failure"),
            description=f"Returns {names.prefix} when a migration fails, times out or is stopped by hand",
            start_input={"run_id": events.EventField.from_path("$.detail.name")},
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": ENDED_BADLY, "stateMachineArn": [migrate.state_machine_arn]},
            ),
        )


class ReleaseSafetyNet(Construct):
    """A rule that tells CodeDeploy about a schema migration that was ended from outside.

    The state machine reports by itself how the schema migration ended, unless it is stopped by hand or times
    out as a whole: then CodeDeploy would wait an hour for its hook.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        names: Names,
        *,
        schema_migration: sfn.StateMachine,
        report: lambda_.Function,
    ) -> None:
        super().__init__(scope, identifier)
        rule = events.Rule(
            self,
            "Rule",
            rule_name=names.of("schema-migration-lost"),
            description=f"Reports a schema migration of {names.prefix} that was ended from outside",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": ENDED_BADLY, "stateMachineArn": [schema_migration.state_machine_arn]},
            ),
        )
        rule.add_target(
            targets.LambdaFunction(
                report,
                # As long as CodeDeploy waits for its hook.
                **delivery(
                    undelivered_queue(self, "Undelivered", names.of("schema-migration-undelivered")),
                    patience=Duration.hours(1),
                ),
            )
        )
