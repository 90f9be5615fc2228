"""The safety net: a migration that ended badly is returned, whoever or whatever ended it."""

from aws_cdk import aws_events as events
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from orchestrator.event_starts import ExecutionStart
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
