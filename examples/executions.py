"""Read what a run does, and did, from Step Functions: its own states and those of the runs it started."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

RUNBOOKS = ("migrate", "provision", "move-database", "move-media", "return")


@dataclass(frozen=True)
class Visit:
    """One passage through a state."""

    runbook: str
    execution: str
    state: str
    entered: datetime
    left: datetime | None

    @property
    def label(self) -> str:
        """The runbook, and which of its executions in the run: ``move-media-ahead``."""
        return self.runbook + self.execution.rpartition(f"-{self.runbook}")[2].removeprefix(self.execution)

    def seconds(self, now: datetime) -> float:
        """Return how long it lasted, or has lasted by `now`."""
        return ((self.left or now) - self.entered).total_seconds()


@dataclass(frozen=True)
class Execution:
    """How an execution ended, or RUNNING."""

    arn: str
    name: str
    status: str
    started: datetime
    stopped: datetime | None
    error: str | None
    cause: str | None
    output: Any

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status in ("RUNNING", "PENDING_REDRIVE")

    @property
    def seconds(self) -> float:
        """How long it took, or has taken until now."""
        return ((self.stopped or datetime.now(UTC)) - self.started).total_seconds()


class Executions:
    """The executions of one environment.

    Parameters
    ----------
    client
        boto3 client of Step Functions.
    prefix
        ARN of the environment's state machines without the runbook: ``…:stateMachine:know-me-staging-``.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._returned: dict[str, str | None] = {}

    def state_machine_arn(self, runbook: str) -> str:
        """Return the ARN of a runbook."""
        return f"{self._prefix}{runbook}"

    def start(self, runbook: str, document: dict[str, Any] | None = None, name: str | None = None) -> str:
        """Start a runbook and return the execution's ARN."""
        named = {"name": name} if name else {}
        answer = self._client.start_execution(
            stateMachineArn=self.state_machine_arn(runbook), input=json.dumps(document or {}), **named
        )
        return str(answer["executionArn"])

    def describe(self, arn: str) -> Execution:
        """Return the execution as it is now."""
        found = self._client.describe_execution(executionArn=arn)
        output = found.get("output")
        return Execution(
            arn=arn,
            name=found["name"],
            status=found["status"],
            started=found["startDate"],
            stopped=found.get("stopDate"),
            error=found.get("error"),
            cause=found.get("cause"),
            output=json.loads(output) if output else None,
        )

    def of_run(self, run_id: str) -> Iterator[tuple[str, str, str]]:
        """Yield runbook, name and ARN of every execution that belongs to a run, the run itself first."""
        for runbook in RUNBOOKS:
            pages = self._client.get_paginator("list_executions").paginate(
                stateMachineArn=self.state_machine_arn(runbook)
            )
            for page in pages:
                for found in page["executions"]:
                    arn, name = str(found["executionArn"]), str(found["name"])
                    named = name == run_id or name.startswith(f"{run_id}-")
                    if named or (runbook == "return" and self._run_to_return(arn) == run_id):
                        yield runbook, name, arn

    def _run_to_return(self, arn: str) -> str | None:
        """Return the run that a `return` is about: EventBridge and people name executions as they like."""
        if arn not in self._returned:
            text = self._client.describe_execution(executionArn=arn).get("input") or "null"
            document = json.loads(text)
            self._returned[arn] = document.get("run_id") if isinstance(document, dict) else None
        return self._returned[arn]

    def history(self, arn: str) -> list[dict[str, Any]]:
        """Return every event of an execution with its data."""
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=arn, includeExecutionData=True
        )
        return [event for page in pages for event in page["events"]]

    def visits(self, run_id: str) -> list[Visit]:
        """Return every state that a run went through, child executions included, by time."""
        visits = [
            visit
            for runbook, name, arn in self.of_run(run_id)
            for visit in read_visits(runbook, name, self.history(arn))
        ]
        return sorted(visits, key=lambda visit: visit.entered)


def read_visits(runbook: str, execution: str, events: list[dict[str, Any]]) -> list[Visit]:
    """Pair the entered and exited events of a history.

    Branches of a Parallel state and items of a Map state run at the same time; visits of one name are paired
    in the order in which they began. What an execution that ended was still in is left when it ended.
    """
    visits: list[Visit] = []
    open_visits: dict[str, list[int]] = {}
    for event in events:
        kind, at = str(event["type"]), event["timestamp"]
        if kind.endswith("StateEntered"):
            name = event["stateEnteredEventDetails"]["name"]
            open_visits.setdefault(name, []).append(len(visits))
            visits.append(Visit(runbook, execution, name, at, None))
        elif kind.endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            if open_visits.get(name):
                index = open_visits[name].pop(0)
                visits[index] = Visit(runbook, execution, name, visits[index].entered, at)
        elif kind in ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"):
            visits = [
                visit if visit.left else Visit(runbook, execution, visit.state, visit.entered, at)
                for visit in visits
            ]
    return visits
