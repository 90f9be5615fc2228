"""Run the states of a definition: the Amazon States Language with JSONata or JSONPath.

True: every state type, variables and their scopes, Retry and Catch, time limits and heartbeats, the 256 KiB
limit, the history's events. A
failing branch of a Parallel or iteration of a Map stops its siblings and the `.sync` jobs they wait for.
One thread per execution, branch and
iteration; a Pass state takes well below a millisecond.
As in AWS a task that times out leaves its `.sync` job running: only StopExecution and a failing sibling
stop it.

Rules: https://states-language.net and
https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html
"""

import datetime
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from localaws.stepfunctions import integrations
from localaws.stepfunctions.errors import (
    DATA_LIMIT_EXCEEDED,
    HEARTBEAT_TIMEOUT,
    NO_CHOICE_MATCHED,
    QUERY_EVALUATION_ERROR,
    RUNTIME,
    TIMEOUT,
    StateError,
    Stopped,
    matches,
)
from localaws.stepfunctions.history import History
from localaws.stepfunctions.integrations import REQUEST_RESPONSE, TASK_TOKEN, Clients, PendingTask, Resource
from localaws.stepfunctions.languages import LANGUAGES
from localaws.stepfunctions.query import Query
from localaws.stepfunctions.scope import Scope, in_thread

MAXIMUM_BYTES = 262_144
"""Service quota of a payload: 256 KiB."""
NO_DETAILS = {"truncated": False}


@dataclass(frozen=True)
class Environment:
    """What all states of one execution share.

    Attributes
    ----------
    history:
        Where events go.
    clients:
        Role ARN → clients with its credentials.
    role_arn:
        Role of the state machine.
    tokens:
        Task tokens of the server.
    context:
        `Execution` and `StateMachine` of the context object.
    log:
        Tells what went wrong while stopping a job.
    map_runs:
        Called with the description of each distributed map that starts.
    """

    history: History
    clients: Callable[[str], Clients]
    role_arn: str
    region: str
    tokens: integrations.TaskTokens
    context: Mapping[str, Any]
    log: Callable[[str], None]
    map_runs: Callable[[Any], None]


@dataclass(frozen=True)
class Frame:
    """One level of a definition: the top, a branch or an iteration.

    Attributes
    ----------
    definition:
        `StartAt` and `States`.
    language:
        Query language that states use unless they say otherwise.
    variables:
        Variables by name; those of outer levels included.
    context:
        Additions to the context object (`Map` in an iteration).
    """

    environment: Environment
    definition: Mapping[str, Any]
    language: str
    scope: Scope
    variables: dict[str, Any]
    context: Mapping[str, Any]

    def below(self, definition: Mapping[str, Any], scope: Scope, **context: Any) -> "Frame":
        """Return the frame of a branch or an iteration: it reads outer variables and assigns its own."""
        return replace(
            self,
            definition=definition,
            scope=scope,
            variables=dict(self.variables),
            context={**self.context, **context},
        )


def dump(value: Any) -> str:
    """Return JSON as the history shows it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def limited(value: Any, name: str) -> str:
    """Return `dump(value)`.

    Raises
    ------
    StateError
        States.DataLimitExceeded above 256 KiB.
    """
    text = dump(value)
    if len(text) * 4 > MAXIMUM_BYTES and len(text.encode()) > MAXIMUM_BYTES:
        raise StateError(
            DATA_LIMIT_EXCEEDED,
            f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes"
            " service limit.",
        )
    return text


def run(frame: Frame, value: Any, previous: int) -> tuple[Any, int]:
    """Run a level from its first state to its end.

    Returns
    -------
    tuple[Any, int]
        The output and the id of the last event.

    Raises
    ------
    StateError
        Nothing caught it.
    Stopped
        The scope was stopped.
    """
    name: str | None = frame.definition["StartAt"]
    while name is not None:
        frame.scope.check()
        step = State(frame, name, value, previous)
        value, name = step.run()
        previous = step.event
    return value, previous


class State:
    """One visit of a state.

    Parameters
    ----------
    frame:
        The level that the state belongs to.
    name:
        Its name.
    value:
        Its raw input.
    previous:
        Id of the event before it.
    """

    def __init__(self, frame: Frame, name: str, value: Any, previous: int) -> None:
        self.frame = frame
        self.environment = frame.environment
        self.name = name
        self.definition: Mapping[str, Any] = frame.definition["States"][name]
        self.kind: str = self.definition["Type"]
        self.value = value
        self.event = previous
        self.entered = 0
        self.retries = 0
        self.entered_at = now()
        self.language = self.definition.get("QueryLanguage", frame.language)

    @property
    def context(self) -> dict[str, Any]:
        """The context object, `$states.context`."""
        return {
            **self.environment.context,
            **self.frame.context,
            "State": {"Name": self.name, "EnteredTime": self.entered_at, "RetryCount": self.retries},
        }

    def query(self, **states: Any) -> Query:
        """Return what evaluates the fields of this state; `states` are additions to `$states`."""
        return LANGUAGES[self.language](
            self.value, {**self.context, **states.pop("context", {})}, states, self.frame.variables
        )

    def record(self, kind: str, key: str | None = None, **details: Any) -> None:
        """Add an event that follows this state's last one."""
        self.event = self.environment.history.add(kind, self.event, key, **details)

    def run(self) -> tuple[Any, str | None]:
        """Run the state, with its retries; return its output and the name of the next state."""
        self.record(
            f"{self.kind}StateEntered",
            "stateEnteredEventDetails",
            name=self.name,
            input=dump(self.value),
            inputDetails=NO_DETAILS,
        )
        self.entered = self.event
        attempts: dict[int, int] = {}
        while True:
            try:
                return self._run_once()
            except Stopped:
                if self.kind in ("Task", "Wait", "Parallel", "Map"):
                    self.record(f"{self.kind}StateAborted")
                raise
            except StateError as failure:
                error = self._located(failure)
                if self.kind not in ("Task", "Parallel", "Map"):
                    raise error from failure
                delay = self._retry_delay(error, attempts)
                if delay is None:
                    return self._catch(error)
                self.retries += 1
                self.frame.scope.wait(delay)

    def _located(self, error: StateError) -> StateError:
        """Return the error with the place in its cause, when no event of the history says it."""
        if error.reported:
            return error
        if error.error == QUERY_EVALUATION_ERROR:
            self.record(
                "EvaluationFailed",
                "evaluationFailedEventDetails",
                error=error.error,
                cause=error.cause,
                location=error.location,
                state=self.name,
            )
        return StateError(
            error.error,
            f"An error occurred while executing the state '{self.name}' (entered at the event id"
            f" #{self.entered}). {error.cause}",
            reported=True,
            location=error.location,
        )

    def _retry_delay(self, error: StateError, attempts: dict[int, int]) -> float | None:
        for index, retrier in enumerate(self.definition.get("Retry", [])):
            if not matches(retrier["ErrorEquals"], error.error):
                continue
            made = attempts.get(index, 0)
            if made >= retrier.get("MaxAttempts", 3):
                return None
            attempts[index] = made + 1
            delay = float(retrier.get("IntervalSeconds", 1)) * float(retrier.get("BackoffRate", 2.0)) ** made
            delay = min(delay, float(retrier.get("MaxDelaySeconds", delay)))
            if retrier.get("JitterStrategy") == "FULL":
                delay = random.uniform(0, delay)  # noqa: S311 (no secret)
            return delay
        return None

    def _catch(self, error: StateError) -> tuple[Any, str | None]:
        for catcher in self.definition.get("Catch", []):
            if matches(catcher["ErrorEquals"], error.error):
                query = self.query(errorOutput=error.output())
                output = query.catch(catcher, error.output())
                self._leave(output, query.assign(catcher))
                return output, catcher["Next"]
        raise error

    def _leave(self, output: Any, assigned: dict[str, Any]) -> None:
        text = limited(output, self.name)
        self.frame.variables.update(assigned)
        self.record(
            f"{self.kind}StateExited",
            "stateExitedEventDetails",
            name=self.name,
            output=text,
            outputDetails=NO_DETAILS,
            assignedVariables={name: dump(value) for name, value in assigned.items()} or None,
            assignedVariablesDetails=NO_DETAILS if assigned else None,
        )

    def _run_once(self) -> tuple[Any, str | None]:
        if self.kind == "Fail":
            query = self.query()
            raise StateError(
                query.text(self.definition, "Error"), query.text(self.definition, "Cause"), reported=True
            )
        if self.kind == "Choice":
            return self._choose()
        if self.kind in ("Pass", "Succeed"):
            query = self.query()
            output, assigned = query.passed(self.definition)
        elif self.kind == "Wait":
            query = self.query()
            self.frame.scope.wait(query.wait_seconds(self.definition))
            output, assigned = query.passed(self.definition)
        else:
            result = RUNNERS[self.kind](self)
            query = self.query(result=result)
            output, assigned = query.finished(self.definition, result)
        self._leave(output, assigned)
        return output, None if self.kind == "Succeed" or self.definition.get("End") else self.definition[
            "Next"
        ]

    def _choose(self) -> tuple[Any, str | None]:
        query = self.query()
        for index, rule in enumerate(self.definition["Choices"]):
            if query.condition(rule, f"Choices[{index}]"):
                output, assigned = query.chosen(self.definition, rule)
                self._leave(output, assigned)
                return output, rule["Next"]
        if "Default" not in self.definition:
            raise StateError(NO_CHOICE_MATCHED, "None of the choice rules matched and there is no Default.")
        output, assigned = query.passed(self.definition)
        self._leave(output, assigned)
        return output, self.definition["Default"]


def now() -> str:
    """Return this moment as the context object has it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- Task --------------------------------------------------------------------------------------------------


def run_task(state: State) -> Any:
    """Run a Task state once and return its result."""
    return TaskRun(state).run()


class TaskRun:
    """One attempt of a Task: its events, limits and, for `.sync` and `.waitForTaskToken`, its waiting."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.environment = state.environment
        self.scope = state.frame.scope
        self.resource: Resource = integrations.parse(state.definition["Resource"])
        self.token: str | None = None
        self.pending: PendingTask | None = None
        if self.resource.pattern == TASK_TOKEN:
            self.token, self.pending = self.environment.tokens.issue()
        context = {"Task": {"Token": self.token}} if self.token else {}
        query = state.query(context=context)
        definition = state.definition
        self.timeout = query.seconds(definition, "TimeoutSeconds")
        self.heartbeat = query.seconds(definition, "HeartbeatSeconds")
        role = query.credentials(definition) or self.environment.role_arn
        self.clients = self.environment.clients(role)
        self.arguments = query.arguments(definition)
        self.deadline = None if self.timeout is None else time.monotonic() + self.timeout

    def run(self) -> Any:
        """Make the call and wait for its end."""
        self._event("Scheduled", **self._scheduled())
        self._event("Started")
        try:
            try:
                result = self._run()
            except TimeoutError:
                raise StateError(TIMEOUT) from None
            limited(result, self.state.name)
        except StateError as error:
            raise self._failed(error) from error
        finally:
            if self.token is not None:
                self.environment.tokens.retire(self.token)
        self._event("Succeeded", output=dump(result), outputDetails=NO_DETAILS)
        return result

    def _run(self) -> Any:
        future = in_thread(
            f"task {self.state.name}", integrations.call, self.resource, self.arguments, self.clients
        )
        synchronous = self.resource.pattern not in (REQUEST_RESPONSE, TASK_TOKEN)
        try:
            answer = self.scope.result(future, self.deadline)
        except Stopped:
            if synchronous:
                # The call may still start a job: stop that one too.
                future.add_done_callback(self._stop_late_job)
            raise
        if self.pending is not None:
            self._event("Submitted", output=dump(answer), outputDetails=NO_DETAILS)
            return self._wait_for_token(self.pending)
        if synchronous:
            self._event("Submitted", output=dump(answer), outputDetails=NO_DETAILS)
            return self._wait_for_job(integrations.job_of(self.resource, answer, self.clients))
        return answer

    def _wait_for_job(self, job: integrations.Job) -> Any:
        # In the background: a job that takes long to stop must not delay the stopping of its siblings.
        handle = self.scope.on_stop(lambda: self._stop_in_background(job))
        try:
            begun = time.monotonic()
            while True:
                self.scope.check()
                result = job.poll()
                if result is not None:
                    return result
                pause = integrations.pause_after(time.monotonic() - begun)
                left = pause if self.deadline is None else min(pause, self.deadline - time.monotonic())
                if left <= 0:
                    raise TimeoutError
                self.scope.wait(left)
        finally:
            self.scope.forget(handle)

    def _stop_late_job(self, future: "Future[Any]") -> None:
        if future.exception() is None:
            self._stop(integrations.job_of(self.resource, future.result(), self.clients))

    def _stop_in_background(self, job: integrations.Job) -> None:
        in_thread(f"stop {self.state.name}", self._stop, job)

    def _stop(self, job: integrations.Job) -> None:
        try:
            job.stop()
        except Exception as error:  # best effort, as in AWS; the job may have ended by itself
            self.environment.log(f"could not stop what '{self.state.name}' started: {error}")

    def _wait_for_token(self, pending: PendingTask) -> Any:
        pending.beat_at = time.monotonic()
        while True:
            beat = None if self.heartbeat is None else pending.beat_at + self.heartbeat
            limits = [limit for limit in (self.deadline, beat) if limit is not None]
            try:
                return self.scope.result(pending.outcome, min(limits) if limits else None)
            except TimeoutError:
                if self.deadline is not None and time.monotonic() >= self.deadline:
                    raise
                if self.heartbeat is not None and time.monotonic() >= pending.beat_at + self.heartbeat:
                    raise StateError(HEARTBEAT_TIMEOUT) from None

    # -- events --

    def _event(self, what: str, **details: Any) -> None:
        if self.resource.function is not None:
            key = None if what == "Started" else f"lambdaFunction{what}EventDetails"
            self.state.record(f"LambdaFunction{what}", key, **details)
            return
        key = f"task{what}EventDetails"
        self.state.record(
            f"Task{what}",
            key,
            resourceType=self.resource.kind,
            resource=self.resource.name,
            **details,
        )

    def _scheduled(self) -> dict[str, Any]:
        if self.resource.function is not None:
            return {
                "resource": self.resource.function,
                "input": dump(self.arguments),
                "inputDetails": NO_DETAILS,
                "timeoutInSeconds": self.timeout,
            }
        return {
            "region": self.environment.region,
            "parameters": dump(self.arguments),
            "timeoutInSeconds": self.timeout,
            "heartbeatInSeconds": self.heartbeat,
        }

    def _failed(self, error: StateError) -> StateError:
        if error.error == DATA_LIMIT_EXCEEDED:
            return error
        timed_out = error.error in (TIMEOUT, HEARTBEAT_TIMEOUT)
        self._event("TimedOut" if timed_out else "Failed", error=error.error, cause=error.cause)
        return StateError(error.error, error.cause, reported=True)


# -- Parallel ----------------------------------------------------------------------------------------------


def run_parallel(state: State) -> list[Any]:
    """Run every branch of a Parallel state and return their outputs in order."""
    value = state.query().arguments(state.definition)
    branches = state.definition["Branches"]
    state.record("ParallelStateStarted")
    try:
        outputs, state.event = run_together(
            state.frame.scope,
            lambda scope, index: run(state.frame.below(branches[index], scope), value, state.event),
            count=len(branches),
            concurrency=len(branches),
            name=state.name,
        )
    except StateError as error:
        state.record("ParallelStateFailed", None)
        raise StateError(error.error, error.cause, reported=True) from error
    state.record("ParallelStateSucceeded")
    return outputs


Part = Callable[[Scope, int], tuple[Any, int]]
"""The scope and the number of a branch or an iteration → its output and the id of its last event."""


def run_together(
    scope: Scope, part: Part, *, count: int, concurrency: int, name: str
) -> tuple[list[Any], int]:
    """Run numbered parts in threads; the first failure stops the others and is raised.

    Returns
    -------
    tuple[list[Any], int]
        The outputs in order, and the highest id of an event.
    """
    if count == 0:
        return [], 0
    common = Scope(scope)
    results: list[tuple[Any, int] | None] = [None] * count
    waiting = iter(range(count))
    failures: list[BaseException] = []
    done: Future[None] = Future()
    running = min(concurrency, count)
    lock = threading.Lock()
    left = running

    def work() -> None:
        nonlocal left
        try:
            while True:
                with lock:
                    index = next(waiting, None)
                if index is None or common.stopped:
                    return
                results[index] = part(common, index)
        except BaseException as error:
            with lock:
                failures.append(error)
            common.stop()
        finally:
            with lock:
                left -= 1
                last = left == 0
            if last:
                done.set_result(None)

    for number in range(running):
        in_thread(f"{name} {number}", work)
    try:
        scope.result(done)
    finally:
        common.stop() if scope.stopped else common.close()
    for error in failures:
        if isinstance(error, StateError):
            raise error
    for error in failures:
        raise error
    completed = [result for result in results if result is not None]
    return [output for output, _ in completed], max(event for _, event in completed)


def as_state_error(error: Exception) -> StateError:
    """Return a fault of this program as States.Runtime, so that the execution ends instead of hanging."""
    return StateError(RUNTIME, f"{type(error).__name__}: {error}", reported=True)


RUNNERS: dict[str, Callable[[State], Any]] = {"Task": run_task, "Parallel": run_parallel}
"""What runs a state that can fail and be retried; `maps` adds Map."""
