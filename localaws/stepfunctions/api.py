"""The API of Step Functions: moto keeps state machines, versions, aliases and tags; executions are ours.

Refused by name: express workflows, RedriveExecution, StartSyncExecution, TestState, activities.
"""

import json
import re
import time
import uuid
from typing import Any, Literal

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions import exceptions, urls
from moto.stepfunctions.models import StateMachine, StepFunctionBackend
from moto.stepfunctions.responses import StepFunctionResponse

from localaws.stepfunctions.errors import StateError
from localaws.stepfunctions.executions import RUNNING, Engine, Execution, Machine
from localaws.stepfunctions.integrations import PendingTask
from localaws.stepfunctions.interpreter import MAXIMUM_BYTES
from localaws.stepfunctions.validation import Diagnostic, validate

NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
"""Names of executions: no white space, wildcards, brackets, control or special characters."""


class InvalidDefinition(AWSError):  # type: ignore[misc]  # noqa: N818
    """The definition is not valid."""

    TYPE = "InvalidDefinition"


class StateMachineAlreadyExists(AWSError):  # type: ignore[misc]  # noqa: N818
    """A state machine of this name differs from the request."""

    TYPE = "StateMachineAlreadyExists"


class NotImplementedHere(AWSError):  # type: ignore[misc]  # noqa: N818
    """The action or kind of resource is not implemented by the local AWS."""

    TYPE = "NotImplementedException"


class TaskTimedOut(AWSError):  # type: ignore[misc]  # noqa: N818
    """The task of the token is closed: answered, timed out, or its execution ended.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
    """

    TYPE = "TaskTimedOut"


class InvalidOutput(AWSError):  # type: ignore[misc]  # noqa: N818
    """The output of SendTaskSuccess is not JSON, or too long."""

    TYPE = "InvalidOutput"


class StateMachines(StepFunctionBackend):  # type: ignore[misc]
    """moto's backend with a validated definition and real executions.

    One backend for state machines made by the API, CloudFormation and Terraform.
    """

    engine: Engine

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.by_arn: dict[str, Execution] = {}

    @property
    def _url_module(self) -> Any:
        # moto derives it from the module of the class, which is ours.
        return urls

    # -- state machines --

    def create_state_machine(
        self,
        name: str,
        definition: str,
        roleArn: str,  # noqa: N803
        **rest: Any,
    ) -> StateMachine:
        """Create one; the same request again returns the first (AWS is idempotent), another is refused."""
        refuse_faults(definition)
        if rest.get("sm_type") == "EXPRESS":
            raise NotImplementedHere("Step Functions: express workflows are not implemented by the local AWS")
        existing = next((machine for machine in self.state_machines if machine.name == name), None)
        if existing is not None and (existing.definition, existing.roleArn) != (definition, roleArn):
            raise StateMachineAlreadyExists(f"State Machine Already Exists: '{existing.arn}'")
        machine: StateMachine = super().create_state_machine(
            name=name, definition=definition, roleArn=roleArn, **rest
        )
        if existing is None:
            machine.revision = str(uuid.uuid4())
        return machine

    def update_state_machine(
        self, arn: str, definition: str | None = None, *args: Any, **rest: Any
    ) -> StateMachine:
        """Change one; executions that run keep the definition they started with."""
        if definition is not None:
            refuse_faults(definition)
        machine: StateMachine = super().update_state_machine(arn, definition, *args, **rest)
        machine.revision = str(uuid.uuid4())
        return machine

    # -- executions --

    def start_execution(self, state_machine_arn: str, name: str | None, execution_input: str) -> Execution:
        """Start an execution; the same name and input as one that runs returns that one."""
        machine = self.describe_state_machine(state_machine_arn)
        name = name or str(uuid.uuid4())
        if not NAME.fullmatch(name):
            raise exceptions.InvalidName(f"Invalid Name: '{name}'")
        if len(execution_input.encode()) > MAXIMUM_BYTES:
            raise exceptions.InvalidExecutionInput(
                "Invalid State Machine Execution Input: the input exceeds the maximum of"
                f" {MAXIMUM_BYTES} bytes"
            )
        try:
            json.loads(execution_input)
        except ValueError as error:
            raise exceptions.InvalidExecutionInput(
                f"Invalid State Machine Execution Input: '{error}'"
            ) from error
        arn = f"{machine.arn.split(':stateMachine:')[0]}:execution:{machine.name}:{name}"
        execution = Execution(
            arn=arn,
            name=name,
            machine=Machine(machine.arn, machine.name, machine.definition, machine.roleArn),
            input=execution_input,
        )
        # setdefault is atomic: of two requests with one name, one starts the execution
        existing = self.by_arn.setdefault(arn, execution)
        if existing is execution:
            self.engine.start(execution, self.region_name)
        elif existing.status != RUNNING or existing.input != execution_input:
            raise exceptions.ExecutionAlreadyExists(f"Execution Already Exists: '{arn}'")
        return existing

    def execution(self, arn: str) -> Execution:
        """Return an execution by its ARN."""
        self._validate_execution_arn(arn)
        if arn not in self.by_arn:
            raise exceptions.ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
        return self.by_arn[arn]


def refuse_faults(definition: str) -> None:
    """Raise InvalidDefinition with every error of a definition."""
    faults = [fault for fault in validate(definition) if fault.severity == "ERROR"]
    if faults:
        raise InvalidDefinition("Invalid State Machine Definition: '" + ", ".join(map(str, faults)) + "'")


class Response(StepFunctionResponse):  # type: ignore[misc]
    """The actions that moto lacks or answers wrongly."""

    @property
    def backend(self) -> StateMachines:
        """The state machines of the caller's account and region."""
        from moto.stepfunctions.models import stepfunctions_backends

        return stepfunctions_backends[self.current_account][self.region]  # type: ignore[no-any-return]

    @property
    def stepfunction_backend(self) -> StateMachines:
        """What moto's own actions use."""
        return self.backend

    # -- state machines --

    def validate_state_machine_definition(self) -> ActionResult:
        """ValidateStateMachineDefinition: every diagnostic at once."""
        found = validate(self._get_param("definition"))
        most = int(self._get_param("maxResults") or 100)
        errors = [fault for fault in found if fault.severity == "ERROR"]
        shown = found if self._get_param("severity") == "WARNING" else errors
        return ActionResult(
            {
                "result": "FAIL" if errors else "OK",
                "diagnostics": [_diagnostic(fault) for fault in shown[:most]],
                "truncated": len(shown) > most,
            }
        )

    def update_state_machine(self) -> ActionResult:
        """UpdateStateMachine, with the revision."""
        answer = super().update_state_machine()
        machine = self.backend.describe_state_machine(self._get_param("stateMachineArn"))
        answer.result["revisionId"] = getattr(machine, "revision", None)
        return answer

    def describe_state_machine(self) -> ActionResult:
        """DescribeStateMachine, with the revision."""
        answer = super().describe_state_machine()
        machine = self.backend.describe_state_machine(self._get_param("stateMachineArn"))
        answer.result["revisionId"] = getattr(machine, "revision", None)
        return answer

    def describe_state_machine_for_execution(self) -> ActionResult:
        """DescribeStateMachineForExecution: the definition that the execution runs, not the newest."""
        execution = self.backend.execution(self._get_param("executionArn"))
        machine = execution.machine
        return ActionResult(
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "definition": machine.definition,
                "roleArn": machine.role_arn,
                "updateDate": execution.start_date,
            }
        )

    # -- executions --

    def start_execution(self) -> ActionResult:
        """StartExecution."""
        execution = self.backend.start_execution(
            self._get_param("stateMachineArn"),
            self._get_param("name"),
            self._get_param("input", if_none="{}"),
        )
        return ActionResult({"executionArn": execution.arn, "startDate": execution.start_date})

    def stop_execution(self) -> ActionResult:
        """StopExecution; stopping one that ended changes nothing."""
        execution = self.backend.execution(self._get_param("executionArn"))
        self.backend.engine.stop(execution, self._get_param("error"), self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    def describe_execution(self) -> ActionResult:
        """DescribeExecution."""
        execution = self.backend.execution(self._get_param("executionArn"))
        described: dict[str, Any] = {
            **_summary(execution),
            "input": execution.input,
            "inputDetails": {"included": True},
            "redriveStatus": "NOT_REDRIVABLE",
            "redriveStatusReason": "Redrive is not implemented by the local AWS",
            "output": execution.output,
            "error": execution.error,
            "cause": execution.cause,
        }
        if execution.output is not None:
            described["outputDetails"] = {"included": True}
        return ActionResult({key: value for key, value in described.items() if value is not None})

    def list_executions(self) -> ActionResult:
        """ListExecutions: the newest first, by status, in pages."""
        arn, wanted = self._get_param("stateMachineArn"), self._get_param("statusFilter")
        self.backend.describe_state_machine(arn)
        found = [
            execution
            for execution in list(self.backend.by_arn.values())
            if execution.machine.arn == arn and wanted in (None, execution.status)
        ]
        found.sort(key=lambda execution: execution.start_date, reverse=True)
        page, token = self._page(found, 100)
        return ActionResult({"executions": [_summary(execution) for execution in page], **token})

    def get_execution_history(self) -> ActionResult:
        """GetExecutionHistory: in pages, in reverse, without data when asked."""
        events = self.backend.execution(self._get_param("executionArn")).history.events()
        if self._get_param("reverseOrder"):
            events.reverse()
        if self._get_param("includeExecutionData") is False:
            events = [_without_data(event) for event in events]
        page, token = self._page(events, 100)
        return ActionResult({"events": page, **token})

    def _page(self, found: list[Any], usual: int) -> tuple[list[Any], dict[str, str]]:
        size = int(self._get_param("maxResults") or 0) or usual
        token = self._get_param("nextToken")
        if token is not None and not str(token).isdigit():
            raise exceptions.InvalidToken("the pagination token is not valid")
        start = int(token or 0)
        following = {"nextToken": str(start + size)} if start + size < len(found) else {}
        return found[start : start + size], following

    # -- task tokens --

    def send_task_success(self) -> ActionResult:
        """SendTaskSuccess."""
        try:
            output = json.loads(self._get_param("output"))
        except ValueError as error:
            raise InvalidOutput(f"Invalid Output: '{error}'") from error
        if len(self._get_param("output").encode()) > MAXIMUM_BYTES:
            raise InvalidOutput(f"Invalid Output: it exceeds the maximum of {MAXIMUM_BYTES} bytes")
        return self._answer(output)

    def send_task_failure(self) -> ActionResult:
        """SendTaskFailure."""
        return self._answer(StateError(self._get_param("error"), self._get_param("cause")))

    def send_task_heartbeat(self) -> ActionResult:
        """SendTaskHeartbeat."""
        pending = _pending(self.backend.engine.tokens.find(self._get_param("taskToken")))
        pending.beat_at = time.monotonic()
        return EmptyResult()

    def _answer(self, outcome: Any) -> ActionResult:
        _pending(self.backend.engine.tokens.answer(self._get_param("taskToken"), outcome))
        return EmptyResult()

    # -- map runs --

    def list_map_runs(self) -> ActionResult:
        """ListMapRuns of an execution."""
        execution = self.backend.execution(self._get_param("executionArn"))
        page, token = self._page([run.summary() for run in execution.map_runs], 100)
        return ActionResult({"mapRuns": page, **token})

    def describe_map_run(self) -> ActionResult:
        """DescribeMapRun."""
        arn = self._get_param("mapRunArn")
        for execution in list(self.backend.by_arn.values()):
            for run in execution.map_runs:
                if run.arn == arn:
                    return ActionResult(run.describe())
        raise exceptions.ResourceNotFound(arn)


def _refusal(action: str) -> Any:
    def refuse(self: Response) -> ActionResult:  # noqa: ARG001
        raise NotImplementedHere(f"Step Functions: {action} is not implemented by the local AWS")

    refuse.__doc__ = f"Refuse {action} by name."
    return refuse


REFUSED = {
    "redrive_execution": "RedriveExecution",
    "start_sync_execution": "StartSyncExecution",
    "test_state": "TestState",
    "get_activity_task": "GetActivityTask",
    "create_activity": "CreateActivity",
    "update_map_run": "UpdateMapRun",
}
for _method, _action in REFUSED.items():
    setattr(Response, _method, _refusal(_action))


def _summary(execution: Execution) -> dict[str, Any]:
    summary = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine.arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "redriveCount": 0,
    }
    if execution.stop_date is not None:
        summary["stopDate"] = execution.stop_date
    return summary


DATA = {"input", "output", "parameters", "cause", "error", "assignedVariables"}


def _without_data(event: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {name: item for name, item in value.items() if name not in DATA}
        if isinstance(value, dict)
        else value
        for key, value in event.items()
    }


def _diagnostic(fault: Diagnostic) -> dict[str, str]:
    return {
        "severity": fault.severity,
        "code": fault.code,
        "message": fault.message,
        "location": fault.location,
    }


def _pending(found: PendingTask | Literal["over"] | None) -> PendingTask:
    if isinstance(found, PendingTask):
        return found
    if found == "over":
        raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")
    raise exceptions.InvalidToken("Invalid Token: 'Invalid token'")
