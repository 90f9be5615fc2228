"""Runs executions: each in a thread of its own, from gate to gate, the actions of a stage in threads too."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from localaws.codepipeline.actions import ACTION_TYPES
from localaws.codepipeline.actions.work import Abandoned, Result, Work
from localaws.codepipeline.announcements import Announcer
from localaws.codepipeline.errors import ActionFailed, PipelineError
from localaws.codepipeline.pipelines import Pipeline
from localaws.codepipeline.records import (
    ABANDONED,
    FAILED,
    IN_PROGRESS,
    STOPPED,
    STOPPING,
    SUCCEEDED,
    SUPERSEDED,
    ActionRun,
    Execution,
)
from localaws.codepipeline.store import Store
from localaws.codepipeline.variables import VariableError, resolve
from localaws.roles import RoleUnknownError
from localaws.runtime import Runtime

CONCURRENT_EXECUTIONS = 50
"""Quota of executions that a pipeline of the modes QUEUED and PARALLEL has under way."""

Trigger = Mapping[str, str]
Asked = Mapping[str, tuple[str | None, str | None]]


class _Ended(Exception):  # noqa: N818 - not an error
    """The execution goes no further."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Engine:
    """Starts, stops and retries executions.

    Parameters
    ----------
    runtime:
        Of the server.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._announce = Announcer(runtime)
        self._down = threading.Event()

    # ------------------------------------------------------------------ from outside

    def start(
        self, pipeline: Pipeline, trigger: Trigger, variables: Mapping[str, str], asked: Asked
    ) -> Execution:
        """Start an execution of the pipeline as it is declared now.

        Raises
        ------
        PipelineError
            Too many are under way.
        """
        with pipeline.condition:
            definition = pipeline.copy()
            under_way = [known for known in pipeline.executions.values() if not known.over]
            limited = definition["executionMode"] in ("QUEUED", "PARALLEL")
            if limited and len(under_way) >= CONCURRENT_EXECUTIONS:
                raise PipelineError(
                    "ConcurrentPipelineExecutionsLimitExceededException",
                    f"The pipeline {pipeline.name} has {CONCURRENT_EXECUTIONS} executions under way: "
                    "that is the limit.",
                )
            execution = Execution(
                pipeline.name,
                pipeline.arn,
                definition,
                definition["version"],
                trigger,
                pipeline.stage_names(),
                variables,
                asked,
            )
            self._begin(pipeline, execution)
        return execution

    def roll_back(self, pipeline: Pipeline, stage: str, target: Execution, trigger: Trigger) -> Execution:
        """Start an execution of one stage with the artifacts that an earlier execution had there."""
        with pipeline.condition:
            execution = Execution(
                pipeline.name,
                pipeline.arn,
                target.definition,
                target.version,
                trigger,
                (stage,),
                target.variables,
                rollback_of=target.identifier,
                artifacts=dict(target.artifacts),
                namespaces=dict(target.namespaces),
                revisions=list(target.revisions),
            )
            self._begin(pipeline, execution)
        return execution

    def _begin(self, pipeline: Pipeline, execution: Execution) -> None:
        pipeline.executions[execution.identifier] = execution
        self._announce.pipeline(execution, "STARTED")
        self._join(pipeline, execution, execution.stages[0])
        self._thread(pipeline, execution, 0, frozenset())

    def stop(self, pipeline: Pipeline, execution: Execution, *, abandon: bool, reason: str) -> None:
        """Stop an execution: after the actions in progress, or at once.

        Raises
        ------
        PipelineError
            It is over, or stopping already.
        """
        with pipeline.condition:
            if execution.over:
                raise PipelineError(
                    "PipelineExecutionNotStoppableException",
                    f"The execution {execution.identifier} is {execution.status}: there is nothing to stop.",
                )
            if execution.stopping and not abandon:
                raise PipelineError(
                    "DuplicatedStopRequestException",
                    f"The execution {execution.identifier} is stopping already; it can be abandoned.",
                )
            first = not execution.stopping
            execution.stop_reason = reason
            execution.status = STOPPING
            execution.updated = time.time()
            if abandon:
                execution.abandoned.set()
            pipeline.condition.notify_all()
        if first:
            self._announce.pipeline(execution, "STOPPING")

    def retry(self, pipeline: Pipeline, execution: Execution, stage: str, *, everything: bool) -> None:
        """Run the failed stage of an execution again: all its actions, or those that failed.

        Raises
        ------
        PipelineError
            The stage did not fail, or another execution went through it since.
        """
        with pipeline.condition:
            if stage not in execution.stages:
                raise PipelineError("StageNotFoundException", f"There is no stage {stage}.")
            if not execution.over or execution.stage_status.get(stage) not in (FAILED, STOPPED):
                status = execution.stage_status.get(stage, "not reached")
                raise PipelineError(
                    "StageNotRetryableException",
                    f"Only a stage that failed can be retried; {stage} of {execution.identifier}: {status}.",
                )
            latest = pipeline.gate(stage).latest
            if latest is not execution and execution.mode != "PARALLEL":
                raise PipelineError(
                    "NotLatestPipelineExecutionException",
                    f"Another execution went through the stage {stage} since: start a new one.",
                )
            execution.attempt += 1
            execution.status, execution.summary, execution.stop_reason = IN_PROGRESS, "", None
            execution.abandoned.clear()
            execution.updated = time.time()
            self._join(pipeline, execution, stage)
            done = frozenset() if everything else self._succeeded(execution, stage)
            self._thread(pipeline, execution, execution.stages.index(stage), done)
        self._announce.pipeline(execution, "RESUMED")

    def transition(
        self, pipeline: Pipeline, stage: str, *, enabled: bool, reason: str, changed_by: str
    ) -> None:
        """Open or close the entrance of a stage.

        Raises
        ------
        PipelineError
            There is no such stage, or it is the first.
        """
        with pipeline.condition:
            names = pipeline.stage_names()
            if stage not in names:
                raise PipelineError(
                    "StageNotFoundException", f"The pipeline {pipeline.name} has no stage {stage}."
                )
            if stage == names[0]:
                raise PipelineError(
                    "ValidationException", f"{stage} is the first stage: no transition leads into it."
                )
            gate = pipeline.gate(stage)
            gate.enabled, gate.reason = enabled, reason
            gate.changed_by, gate.changed_at = changed_by, time.time()
            pipeline.condition.notify_all()

    def shut_down(self) -> None:
        """End every thread soon."""
        self._down.set()

    # ------------------------------------------------------------------ an execution

    def _thread(self, pipeline: Pipeline, execution: Execution, start: int, done: frozenset[str]) -> None:
        self._runtime.background(
            f"{pipeline.name} {execution.identifier}", self._run, pipeline, execution, start, done
        )

    def _run(self, pipeline: Pipeline, execution: Execution, start: int, done: frozenset[str]) -> None:
        """Go through the stages from `start`; of the first one leave out the actions that are `done`."""
        try:
            for position in range(start, len(execution.stages)):
                stage = execution.stages[position]
                following = execution.stages[position + 1 : position + 2]
                self._enter(pipeline, execution, stage)
                self._stage(pipeline, execution, stage, done)
                done = frozenset()
                self._leave(pipeline, execution, stage, SUCCEEDED, following[0] if following else None)
            self._end(pipeline, execution, SUCCEEDED)
        except _Ended as ended:
            if ended.status != ABANDONED or not self._down.is_set():
                self._end(pipeline, execution, ended.status)

    @staticmethod
    def _join(pipeline: Pipeline, execution: Execution, stage: str) -> None:
        """Take the last place before the entrance of a stage; who waits there is superseded in that mode."""
        gate = pipeline.gate(stage)
        if execution.mode == "SUPERSEDED":
            for other in gate.waiting:
                other.status = SUPERSEDED
            gate.waiting.clear()
        gate.waiting.append(execution)
        pipeline.condition.notify_all()

    def _enter(self, pipeline: Pipeline, execution: Execution, stage: str) -> None:
        """Wait at the entrance of a stage until it is this execution's turn."""
        gate = pipeline.gate(stage)
        with pipeline.condition:
            while True:
                if execution.status == SUPERSEDED:
                    raise _Ended(SUPERSEDED)
                if execution.stopping or self._down.is_set():
                    gate.waiting.remove(execution)
                    pipeline.condition.notify_all()
                    raise _Ended(STOPPED if execution.stopping else ABANDONED)
                if gate.open_for(execution):
                    break
                pipeline.condition.wait(1.0)
            gate.waiting.remove(execution)
            gate.inside = None if execution.mode == "PARALLEL" else execution
            gate.latest = execution
            resumed = stage in execution.stage_status
            execution.stage_status[stage] = IN_PROGRESS
            execution.updated = time.time()
        self._announce.stage(execution, stage, "RESUMED" if resumed else "STARTED")

    def _leave(
        self, pipeline: Pipeline, execution: Execution, stage: str, status: str, following: str | None
    ) -> None:
        """Make room in a stage, and stand before the next one: both at once, so that nobody overtakes."""
        with pipeline.condition:
            execution.stage_status[stage] = status
            execution.updated = time.time()
            gate = pipeline.gate(stage)
            if gate.inside is execution:
                gate.inside = None
            if following is not None:
                self._join(pipeline, execution, following)
            pipeline.condition.notify_all()
        self._announce.stage(execution, stage, status.upper())

    def _end(self, pipeline: Pipeline, execution: Execution, status: str) -> None:
        with pipeline.condition:
            execution.status = status
            execution.updated = time.time()
            if status == STOPPED:
                execution.summary = execution.stop_reason or ""
            pipeline.condition.notify_all()
        self._announce.pipeline(execution, status.upper())

    # ------------------------------------------------------------------ a stage

    @staticmethod
    def _succeeded(execution: Execution, stage: str) -> frozenset[str]:
        return frozenset(
            action["name"]
            for action in execution.stage(stage)["actions"]
            if (run := execution.latest_run(stage, action["name"])) and run.status == SUCCEEDED
        )

    def _stage(self, pipeline: Pipeline, execution: Execution, stage: str, done: frozenset[str]) -> None:
        """Run the actions of a stage that are not done.

        Raises
        ------
        _Ended
            One failed, or the execution was stopped; the stage has been left.
        """
        failed = self._actions(execution, stage, done)
        failure = execution.stage(stage).get("onFailure") or {}
        if failed and failure.get("result") == "RETRY" and stage not in execution.retried:
            execution.retried.add(stage)
            mode = (failure.get("retryConfiguration") or {}).get("retryMode", "ALL_ACTIONS")
            again = self._succeeded(execution, stage) if mode == "FAILED_ACTIONS" else frozenset()
            failed = self._actions(execution, stage, again)
        if execution.stopping:
            self._leave(pipeline, execution, stage, STOPPED, None)
            raise _Ended(STOPPED)
        if self._down.is_set():
            raise _Ended(ABANDONED)
        if failed:
            self._leave(pipeline, execution, stage, FAILED, None)
            if failure.get("result") == "ROLLBACK" and execution.rollback_of is None:
                self._roll_back_after_failure(pipeline, execution, stage)
            raise _Ended(FAILED)

    def _roll_back_after_failure(self, pipeline: Pipeline, execution: Execution, stage: str) -> None:
        target = last_success(pipeline, stage, execution)
        if target is None:
            self._runtime.log.warning(
                "%s: nothing to roll %s back to: no execution succeeded there before", pipeline.name, stage
            )
            return
        detail = {"triggerType": "AutomatedRollback", "triggerDetail": execution.identifier}
        self.roll_back(pipeline, stage, target, detail)

    def _actions(self, execution: Execution, stage: str, done: frozenset[str]) -> bool:
        """Run the actions in their order, those of one order at the same time; return whether one failed."""
        actions = [action for action in execution.stage(stage)["actions"] if action["name"] not in done]
        for order in sorted({action["runOrder"] for action in actions}):
            if execution.stopping or self._down.is_set():
                return False
            runs = [
                self._new_run(execution, stage, action) for action in actions if action["runOrder"] == order
            ]
            threads = [
                threading.Thread(target=self._action, args=(execution, run), name=run.name, daemon=True)
                for run in runs
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if any(run.status == FAILED for run in runs):
                return True
        return False

    @staticmethod
    def _new_run(execution: Execution, stage: str, action: Mapping[str, Any]) -> ActionRun:
        run = ActionRun(
            stage,
            action,
            str(action.get("roleArn") or execution.definition["roleArn"]),
            str(action.get("region") or execution.pipeline_arn.split(":")[3]),
        )
        execution.runs.append(run)
        return run

    # ------------------------------------------------------------------ an action

    def _action(self, execution: Execution, run: ActionRun) -> None:
        """Run an action to its end; never raises."""
        self._announce.action(execution, run, "STARTED")
        status = FAILED
        try:
            result = self._work(execution, run)
            self._keep(execution, run, result)
            status = SUCCEEDED
        except Abandoned:
            status = ABANDONED
        except (ActionFailed, VariableError) as error:
            run.error = (getattr(error, "code", "ConfigurationError"), str(error))
        except ClientError as error:
            said = error.response["Error"]
            denied = said["Code"].startswith(("AccessDenied", "UnrecognizedClient"))
            kind = "PermissionError" if denied else "ConfigurationError"
            run.error = (kind, f"{error.operation_name}: {said['Code']}: {said.get('Message', '')}")
        except PipelineError as error:
            run.error = ("ConfigurationError", str(error.message))
        except RoleUnknownError as error:
            run.error = ("PermissionError", str(error))
        except Exception as error:
            self._runtime.log.exception("action %s of %s", run.name, execution.pipeline)
            run.error = ("InternalError", f"Internal error of the local AWS: {type(error).__name__}: {error}")
        run.status = status
        run.updated = time.time()
        self._announce.action(execution, run, status.upper())

    def _work(self, execution: Execution, run: ActionRun) -> Result:
        namespaces = execution.all_namespaces()
        run.configuration = {
            key: resolve(value, namespaces) for key, value in run.declaration["configuration"].items()
        }
        names = [artifact["name"] for artifact in run.declaration["inputArtifacts"]]
        lost = [name for name in names if name not in execution.artifacts]
        if lost:
            raise ActionFailed(
                "ConfigurationError", f"The artifact {', '.join(lost)} was declared, and nobody wrote it."
            )
        run.inputs = tuple(execution.artifacts[name] for name in names)

        def client(service: str) -> Any:
            return self._runtime.client(service, run.role_arn, run.region, execution.pipeline[:64])

        def pause(seconds: float) -> bool:
            return execution.abandoned.wait(seconds) or self._down.is_set()

        store = Store(execution.definition["artifactStore"], execution.pipeline, client("s3"))
        kind = run.declaration["actionTypeId"]
        return ACTION_TYPES[kind["category"], kind["provider"]].run(
            Work(execution, run, client, store, pause)
        )

    @staticmethod
    def _keep(execution: Execution, run: ActionRun, result: Result) -> None:
        run.outputs, run.variables = result.artifacts, result.variables
        execution.artifacts |= {artifact.name: artifact for artifact in result.artifacts}
        if namespace := run.declaration.get("namespace"):
            execution.namespaces[namespace] = result.variables
        if result.revision is not None:
            kept = [known for known in execution.revisions if known.action != result.revision.action]
            execution.revisions = [*kept, result.revision]


def last_success(pipeline: Pipeline, stage: str, but: Execution | None = None) -> Execution | None:
    """Return the latest execution that went well through a stage, other than `but`."""
    found = [
        execution
        for execution in pipeline.executions.values()
        if execution is not but
        and execution.stage_status.get(stage) == SUCCEEDED
        and not execution.rollback_of
    ]
    return found[-1] if found else None
