"""Executions: start, finish, stop, time limit, and the events that tell EventBridge.

True: every status and its event on the default bus, unique names, stopping at once. Nothing survives the
server.
"""

import datetime
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from localaws.roles import RoleUnknownError
from localaws.runtime import Runtime
from localaws.stepfunctions import interpreter, maps, naming
from localaws.stepfunctions.errors import TIMEOUT, StateError, Stopped
from localaws.stepfunctions.history import History
from localaws.stepfunctions.integrations import TaskTokens
from localaws.stepfunctions.scope import Scope

RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED = "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"
LAST_EVENTS = {
    SUCCEEDED: ("ExecutionSucceeded", "executionSucceededEventDetails"),
    FAILED: ("ExecutionFailed", "executionFailedEventDetails"),
    TIMED_OUT: ("ExecutionTimedOut", "executionTimedOutEventDetails"),
    ABORTED: ("ExecutionAborted", "executionAbortedEventDetails"),
}

Publish = Callable[[str, str, list[str], dict[str, Any]], None]
"""source, detail type, resources, detail → puts an event on the default bus."""


@dataclass(frozen=True)
class Machine:
    """A state machine as it was when an execution started; later updates do not change it."""

    arn: str
    name: str
    definition: str
    role_arn: str
    revision: str | None = None
    described: Any = None


@dataclass
class Execution:
    """One execution.

    Attributes
    ----------
    arn, name, input:
        As StartExecution was told; `input` is text.
    status, output, error, cause, stop_date:
        How it ended.
    """

    arn: str
    name: str
    machine: Machine
    input: str
    start_date: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    status: str = RUNNING
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    stop_date: datetime.datetime | None = None
    history: History = field(default_factory=History)
    scope: Scope = field(default_factory=Scope)
    map_runs: list[maps.MapRun] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def detail(self) -> dict[str, Any]:
        """Return the detail of its status change event."""
        return {
            "executionArn": self.arn,
            "stateMachineArn": self.machine.arn,
            "name": self.name,
            "status": self.status,
            "startDate": naming.milliseconds(self.start_date),
            "stopDate": naming.milliseconds(self.stop_date) if self.stop_date else None,
            "input": self.input,
            "output": self.output,
            "inputDetails": {"included": True},
            "outputDetails": {"included": True} if self.output is not None else None,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "Redrive is not implemented",
            "error": self.error,
            "cause": self.cause,
        }


class Engine:
    """Runs executions.

    Parameters
    ----------
    runtime:
        Clients, threads and the log.
    publish:
        Where status changes go.
    """

    def __init__(self, runtime: Runtime, publish: Publish) -> None:
        self._runtime = runtime
        self._publish = publish
        self.tokens = TaskTokens()

    def start(self, execution: Execution, region: str) -> None:
        """Start an execution in a thread of its own."""
        self._tell(execution)
        threading.Thread(
            target=self._run, args=(execution, region), name=f"execution {execution.name}", daemon=True
        ).start()

    def stop(self, execution: Execution, error: str | None, cause: str | None) -> None:
        """Abort an execution, and what it waits for; an execution that ended is left as it is."""
        if self._finish(execution, ABORTED, error=error, cause=cause):
            execution.scope.stop()

    def clients(self, region: str) -> Callable[[str], Callable[[str], Any]]:
        """Return role ARN → service → client."""

        def client(role_arn: str, service: str) -> Any:
            try:
                return self._runtime.client(service, role_arn=role_arn, region=region)
            except RoleUnknownError as error:
                raise StateError(
                    "States.Permissions",
                    f"Step Functions is not authorized to assume the provided role {role_arn}: {error}",
                ) from error

        return lambda role_arn: lambda service: client(role_arn, service)

    def _run(self, execution: Execution, region: str) -> None:
        definition = json.loads(execution.machine.definition)
        value = json.loads(execution.input)
        timer = self._limit(execution, definition.get("TimeoutSeconds"))
        environment = interpreter.Environment(
            history=execution.history,
            clients=self.clients(region),
            role_arn=execution.machine.role_arn,
            region=region,
            tokens=self.tokens,
            context={
                "Execution": {
                    "Id": execution.arn,
                    "Input": value,
                    "Name": execution.name,
                    "RoleArn": execution.machine.role_arn,
                    "StartTime": naming.iso(execution.start_date),
                    "RedriveCount": 0,
                },
                "StateMachine": {"Id": execution.machine.arn, "Name": execution.machine.name},
            },
            log=lambda message: self._runtime.log.warning("%s: %s", execution.arn, message),
            map_runs=execution.map_runs.append,
        )
        frame = interpreter.Frame(
            environment, definition, definition.get("QueryLanguage", "JSONPath"), execution.scope, {}, {}
        )
        try:
            first = execution.history.add(
                "ExecutionStarted",
                0,
                "executionStartedEventDetails",
                input=execution.input,
                inputDetails=interpreter.NO_DETAILS,
                roleArn=execution.machine.role_arn,
            )
            output, _ = interpreter.run(frame, value, first)
        except Stopped:
            return
        except StateError as error:
            self._finish(execution, FAILED, error=error.error, cause=error.cause)
        except Exception as error:
            self._runtime.log.exception("the interpreter failed in %s", execution.arn)
            failure = interpreter.as_state_error(error)
            self._finish(execution, FAILED, error=failure.error, cause=failure.cause)
        else:
            self._finish(execution, SUCCEEDED, output=interpreter.dump(output))
        finally:
            if timer is not None:
                timer.cancel()

    def _limit(self, execution: Execution, seconds: int | None) -> threading.Timer | None:
        if seconds is None:
            return None

        def time_out() -> None:
            if self._finish(execution, TIMED_OUT, error=TIMEOUT):
                execution.scope.stop()

        timer = threading.Timer(seconds, time_out)
        timer.daemon = True
        timer.start()
        return timer

    def _finish(
        self,
        execution: Execution,
        status: str,
        *,
        output: str | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> bool:
        """Record the end once; return whether this call did."""
        kind, key = LAST_EVENTS[status]
        with execution.lock:
            if execution.status != RUNNING:
                return False
            details = {"outputDetails": interpreter.NO_DETAILS} if output is not None else {}
            execution.history.close(kind, key, output=output, error=error, cause=cause, **details)
            execution.output, execution.error, execution.cause = output, error, cause
            execution.stop_date = datetime.datetime.now(datetime.UTC)
            execution.status = status
        self._tell(execution)
        return True

    def _tell(self, execution: Execution) -> None:
        self._publish(
            "aws.states", "Step Functions Execution Status Change", [execution.arn], execution.detail()
        )
