"""Executions of state machines: whether they run, what they said, what happened in them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel

from know_me.aws import error_code


class Execution(BaseModel):
    """What Step Functions says about an execution."""

    arn: str
    name: str
    status: str
    started_at: datetime
    stopped_at: datetime | None = None
    error: str | None = None
    cause: str | None = None


def describe_execution(states: Any, arn: str) -> Execution | None:
    """Describe an execution; None when there is (or was for 90 days) none of this name."""
    try:
        found = states.describe_execution(executionArn=arn)
    except ClientError as error:
        if error_code(error) == "ExecutionDoesNotExist":
            return None
        raise
    return Execution(
        arn=found["executionArn"],
        name=found["name"],
        status=found["status"],
        started_at=found["startDate"],
        stopped_at=found.get("stopDate"),
        error=found.get("error"),
        cause=found.get("cause"),
    )


def execution_status(states: Any, arn: str) -> str | None:
    """Return `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED` or None: no such name."""
    execution = describe_execution(states, arn)
    return None if execution is None else execution.status


def running_executions(states: Any, state_machine_arn: str) -> Iterator[dict[str, Any]]:
    """Yield what runs of a state machine as `{"executionArn", "name", …}`."""
    token: dict[str, str] = {}
    while True:
        page = states.list_executions(stateMachineArn=state_machine_arn, statusFilter="RUNNING", **token)
        yield from page["executions"]
        if "nextToken" not in page:
            return
        token = {"nextToken": page["nextToken"]}


def history(states: Any, arn: str, *, newest_first: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the events of an execution."""
    token: dict[str, str] = {}
    while True:
        page = states.get_execution_history(
            executionArn=arn, reverseOrder=newest_first, maxResults=1000, includeExecutionData=True, **token
        )
        yield from page["events"]
        if "nextToken" not in page:
            return
        token = {"nextToken": page["nextToken"]}
