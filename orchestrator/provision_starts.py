"""What starts `provision` without a person: a bundle that arrives, and the schedule that looks for drift."""

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from orchestrator.event_starts import ExecutionStart, delivery, undelivered_queue
from orchestrator.names import Names

BUNDLES = "bundles/"

DRIFT_INPUT = {"action": "plan", "drift": True}


class ProvisionStarts(Construct):
    """Rules for bundles and for drift; both leave what they could not deliver in one queue.

    Parameters
    ----------
    start_bundle : lambda_.Function
        The step that looks at a bundle and starts `provision` with it.
    provision : sfn.IStateMachine
    drift_schedule : str
        EventBridge's expression; empty: nobody looks for drift.
    """

    def __init__(
        self,
        scope: Construct,
        identifier: str,
        names: Names,
        *,
        start_bundle: lambda_.Function,
        provision: sfn.IStateMachine,
        drift_schedule: str,
    ) -> None:
        super().__init__(scope, identifier)
        undelivered = undelivered_queue(self, "Undelivered", names.provision_undelivered, of_a_function=True)
        bundles = events.Rule(
            self,
            "Bundles",
            rule_name=names.of("provision-bundle"),
            description=f"Provisions {names.prefix} from a bundle that was put below {BUNDLES}",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [names.artifacts_bucket]},
                    "object": {"key": [{"prefix": BUNDLES}]},
                },
            ),
        )
        bundles.add_target(targets.LambdaFunction(start_bundle, **delivery(undelivered)))
        # The rule's queue has what never reached the function; this is for what failed in it, after retries.
        function = start_bundle.node.default_child
        if not isinstance(function, lambda_.CfnFunction):
            raise TypeError("a function's default child is its resource")
        function.dead_letter_config = lambda_.CfnFunction.DeadLetterConfigProperty(
            target_arn=undelivered.queue_arn
        )
        if drift_schedule:
            ExecutionStart(
                self,
                "Drift",
                names,
                machine="provision",
                state_machine=provision,
                rule_name=names.of("provision-drift"),
                description=f"Compares {names.prefix} with what Terraform describes",
                start_input=DRIFT_INPUT,
                undelivered=undelivered,
                schedule=events.Schedule.expression(drift_schedule),
            )
