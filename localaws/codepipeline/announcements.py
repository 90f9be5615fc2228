"""Events of pipelines: https://docs.aws.amazon.com/codepipeline/latest/userguide/detect-state-changes-cloudwatch-events.html."""

import time
from typing import Any

from localaws.codepipeline.records import ActionRun, Execution
from localaws.events import publisher
from localaws.runtime import Runtime

SOURCE = "aws.codepipeline"


def _time(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03}Z"


class Announcer:
    """Puts the events of executions on the default bus.

    Parameters
    ----------
    runtime:
        Of the server.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def pipeline(self, execution: Execution, state: str) -> None:
        """Say that an execution is in another state (`STARTED`, `SUCCEEDED`, …)."""
        trigger = {
            "trigger-type": execution.trigger["triggerType"],
            "trigger-detail": execution.trigger["triggerDetail"],
        }
        self._publish("Pipeline", execution, {"state": state, "execution-trigger": trigger})

    def stage(self, execution: Execution, stage: str, state: str) -> None:
        """Say that a stage is in another state."""
        self._publish("Stage", execution, {"stage": stage, "state": state})

    def action(self, execution: Execution, run: ActionRun, state: str) -> None:
        """Say that an action is in another state."""
        result = {
            "external-execution-id": run.external_id,
            "external-execution-url": run.external_url,
            "external-execution-summary": run.error[1] if run.error else run.summary,
        }
        if run.error:
            result["error-code"] = run.error[0]
        detail = {
            "stage": run.stage,
            "action": run.name,
            "action-execution-id": run.identifier,
            "state": state,
            "region": run.region,
            "type": dict(run.declaration["actionTypeId"]),
            "input-artifacts": [artifact.described() for artifact in run.inputs],
            "output-artifacts": [artifact.described() for artifact in run.outputs],
        }
        if state != "STARTED":
            detail["execution-result"] = {name: value for name, value in result.items() if value}
        self._publish("Action", execution, detail)

    def _publish(self, kind: str, execution: Execution, detail: dict[str, Any]) -> None:
        full = {
            "pipeline": execution.pipeline,
            "execution-id": execution.identifier,
            "start-time": _time(execution.started),
            "version": float(execution.version),
            "pipeline-execution-attempt": float(execution.attempt),
            **detail,
        }
        region = execution.pipeline_arn.split(":")[3]
        try:
            publisher(self._runtime, region)(
                SOURCE, f"CodePipeline {kind} Execution State Change", [execution.pipeline_arn], full
            )
        except Exception:
            # A rule that cannot be served must not end an execution.
            self._runtime.log.exception("event of %s", execution.identifier)
