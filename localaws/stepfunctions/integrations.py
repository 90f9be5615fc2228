"""What a Task can call: Lambda, the optimised integrations and `aws-sdk:` for every other service.

True: requests, results and error names in the spelling of AWS, temporary credentials of the state machine's
role for every
call, `.sync` jobs that are stopped when their state is stopped, task tokens with heartbeats. A resource
that is not in the tables
is refused by name when the state machine is created.
Not exact: `.sync` looks with the role's credentials instead of waiting for an event, and so notices an end
a tenth of the time late that the job took, a second at most; `SdkHttpMetadata` has the status only.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from localaws.s3.access import copy_source
from localaws.stepfunctions import naming
from localaws.stepfunctions.errors import TASK_FAILED, StateError

REQUEST_RESPONSE, SYNC, SYNC_2, TASK_TOKEN = "", ".sync", ".sync:2", ".waitForTaskToken"
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two looks at a job."""

Clients = Callable[[str], Any]
"""Service name of botocore → client with the credentials of the state machine's role."""


@dataclass(frozen=True)
class Integration:
    """One action of an optimised integration.

    Parameters
    ----------
    service:
        botocore's name.
    patterns:
        What may follow the action in the resource.
    error_prefix:
        First part of the error name.
    documents:
        Fields that may be given as JSON documents and are sent as text, as paths: `Entries.Detail`.
    finish:
        Turns the answer into the result of the state; may raise StateError.
    """

    service: str
    patterns: tuple[str, ...]
    error_prefix: str
    documents: tuple[str, ...] = ()
    finish: Callable[[dict[str, Any]], Any] | None = None


def _lambda_result(result: dict[str, Any]) -> dict[str, Any]:
    payload = result.get("Payload") or "null"
    try:
        result["Payload"] = json.loads(payload)
    except ValueError:
        result["Payload"] = payload
    if "FunctionError" in result:
        raise lambda_error(result["Payload"])
    return result


def lambda_error(payload: Any) -> StateError:
    """Return the error of a function that failed: the class of the exception, and the payload as the
    cause."""
    error = payload.get("errorType") if isinstance(payload, dict) else None
    return StateError(
        error or "Lambda.Unknown", json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    )


def _events_result(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("FailedEntryCount"):
        raise StateError("EventBridge.FailedEntry", json.dumps(result))
    return result


OPTIMISED: Mapping[tuple[str, str], Integration] = {
    ("lambda", "invoke"): Integration(
        "lambda", (REQUEST_RESPONSE, TASK_TOKEN), "Lambda", ("Payload",), _lambda_result
    ),
    ("codebuild", "startBuild"): Integration("codebuild", (REQUEST_RESPONSE, SYNC), "CodeBuild"),
    ("codebuild", "stopBuild"): Integration("codebuild", (REQUEST_RESPONSE,), "CodeBuild"),
    ("codebuild", "batchGetBuilds"): Integration("codebuild", (REQUEST_RESPONSE,), "CodeBuild"),
    ("states", "startExecution"): Integration(
        "stepfunctions", (REQUEST_RESPONSE, SYNC, SYNC_2, TASK_TOKEN), "StepFunctions", ("Input",)
    ),
    ("dynamodb", "getItem"): Integration("dynamodb", (REQUEST_RESPONSE,), "DynamoDB"),
    ("dynamodb", "putItem"): Integration("dynamodb", (REQUEST_RESPONSE,), "DynamoDB"),
    ("dynamodb", "updateItem"): Integration("dynamodb", (REQUEST_RESPONSE,), "DynamoDB"),
    ("dynamodb", "deleteItem"): Integration("dynamodb", (REQUEST_RESPONSE,), "DynamoDB"),
    ("sns", "publish"): Integration("sns", (REQUEST_RESPONSE, TASK_TOKEN), "SNS", ("Message",)),
    ("sqs", "sendMessage"): Integration("sqs", (REQUEST_RESPONSE, TASK_TOKEN), "SQS", ("MessageBody",)),
    ("ecs", "runTask"): Integration("ecs", (REQUEST_RESPONSE, SYNC, TASK_TOKEN), "ECS"),
    ("events", "putEvents"): Integration(
        "events", (REQUEST_RESPONSE, TASK_TOKEN), "EventBridge", ("Entries.Detail",), _events_result
    ),
}

LAMBDA_ARN = re.compile(r"arn:[\w-]+:lambda:[\w-]+:\d{12}:function:[\w-]+(:[\w$-]+)?")
INTEGRATION_ARN = re.compile(r"arn:[\w-]+:states:::(?P<rest>.+)")


class UnsupportedResourceError(ValueError):
    """A `Resource` that is not implemented here, or not known to AWS."""


@dataclass(frozen=True)
class Resource:
    """A parsed `Resource` of a Task.

    Attributes
    ----------
    kind, name:
        What the history calls resourceType and resource: `codebuild`, `startBuild.sync`.
    service, operation:
        botocore's names.
    pattern:
        Empty, `.sync`, `.sync:2` or `.waitForTaskToken`.
    optimised:
        The table's entry; None for `aws-sdk:` and for a plain Lambda ARN.
    function:
        ARN of a Lambda function given directly.
    """

    kind: str
    name: str
    service: str
    operation: str
    pattern: str = REQUEST_RESPONSE
    optimised: Integration | None = None
    function: str | None = None

    @property
    def shape(self) -> Any:
        """botocore's model of the action."""
        return naming.operation(self.service, self.operation)

    @property
    def spell(self) -> Callable[[str], str]:
        """How parameters and results are written."""
        return naming.capital if self.optimised else naming.java

    def faults(self, arguments: Any, path: str) -> list[str]:
        """Return what is wrong with the literal part of the arguments, one sentence each."""
        if self.function is not None or not isinstance(arguments, dict):
            return []
        given = dict(arguments)
        for document in self.optimised.documents if self.optimised else ():
            if "." not in document and document in given:
                given[document] = "document"
        return naming.unknown_fields(self.shape.input_shape, given, self.spell, path)


def parse(text: str) -> Resource:
    """Return the parsed resource of a Task.

    Raises
    ------
    UnsupportedResourceError
        Naming what is not supported.
    """
    if LAMBDA_ARN.fullmatch(text):
        return Resource("lambda", text, "lambda", "Invoke", function=text)
    found = INTEGRATION_ARN.fullmatch(text)
    if found is None:
        raise UnsupportedResourceError(
            f"The resource '{text}' is not a Lambda function or a service integration."
        )
    rest, pattern = found["rest"], REQUEST_RESPONSE
    for suffix in (SYNC_2, SYNC, TASK_TOKEN):
        if rest.endswith(suffix):
            rest, pattern = rest.removesuffix(suffix), suffix
            break
    parts = rest.split(":")
    if len(parts) == 3 and parts[0] == "aws-sdk":
        return _parse_sdk(text, parts[1], parts[2], pattern)
    integration = OPTIMISED.get((parts[0], parts[1])) if len(parts) == 2 else None
    if integration is None:
        raise UnsupportedResourceError(f"The service integration '{text}' is not implemented.")
    if pattern not in integration.patterns:
        raise UnsupportedResourceError(f"The integration pattern '{pattern}' of '{text}' is not implemented.")
    model = naming.operation(integration.service, parts[1])
    return Resource(parts[0], parts[1] + pattern, integration.service, model.name, pattern, integration)


def _parse_sdk(text: str, service: str, action: str, pattern: str) -> Resource:
    boto_service = naming.boto_service(service)
    if boto_service is None:
        raise UnsupportedResourceError(f"The resource '{text}' names no AWS service: '{service}'.")
    model = naming.operation(boto_service, action)
    if model is None or not action[:1].islower():
        raise UnsupportedResourceError(f"The resource '{text}' names no action of {service}: '{action}'.")
    if pattern not in (REQUEST_RESPONSE, TASK_TOKEN):
        raise UnsupportedResourceError(f"The integration pattern '{pattern}' is not offered for '{text}'.")
    return Resource(f"aws-sdk:{service}", action + pattern, boto_service, model.name, pattern)


# -- calls -------------------------------------------------------------------------------------------------


def call(resource: Resource, arguments: Any, clients: Clients) -> Any:
    """Make one call and return the result of the state.

    Raises
    ------
    StateError
        With the error name that AWS gives.
    """
    if resource.function is not None:
        return _call_function(resource.function, arguments, clients)
    shape = resource.shape
    client = clients(resource.service)
    parameters = naming.request(
        shape.input_shape, _documents_as_text(resource, arguments or {}), resource.spell
    )
    if isinstance(parameters.get("CopySource"), str):
        # Step Functions sends it as it is: the state machine encodes it. botocore would do so again.
        names = ("Bucket", "Key", "VersionId")
        given = zip(names, copy_source(parameters["CopySource"]), strict=True)
        parameters["CopySource"] = {name: value for name, value in given if value is not None}
    try:
        answer = getattr(client, xform_name(shape.name))(**parameters)
    except ClientError as error:
        raise _service_error(resource, error) from error
    except BotoCoreError as error:
        raise StateError(_client_error_name(resource), str(error)) from error
    spelt_time = naming.milliseconds if resource.optimised else naming.iso
    result = naming.response(shape.output_shape, answer, resource.spell, spelt_time)
    if resource.optimised:
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)
        identifier = answer.get("ResponseMetadata", {}).get("RequestId") or str(uuid.uuid4())
        result["SdkHttpMetadata"] = {"HttpStatusCode": status}
        result["SdkResponseMetadata"] = {"RequestId": identifier}
        if resource.optimised.finish is not None:
            result = resource.optimised.finish(result)
    return result


def _call_function(arn: str, arguments: Any, clients: Clients) -> Any:
    try:
        answer = clients("lambda").invoke(FunctionName=arn, Payload=json.dumps(arguments).encode())
    except ClientError as error:
        raise StateError(_error_name("Lambda", error), _cause("AWSLambda", error)) from error
    payload = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        raise lambda_error(payload)
    return payload


def _documents_as_text(resource: Resource, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with the documents of an optimised integration turned into text."""
    prepared = dict(arguments)
    for path in resource.optimised.documents if resource.optimised else ():
        head, _, tail = path.partition(".")
        if tail:
            prepared[head] = [
                {**entry, tail: _text(entry[tail])} if tail in entry else entry
                for entry in prepared.get(head, [])
            ]
        elif head in prepared:
            # A Lambda payload is JSON even when it is a string; elsewhere a string is the text itself.
            prepared[head] = json.dumps(prepared[head]) if head == "Payload" else _text(prepared[head])
    return prepared


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _error_name(prefix: str, error: ClientError) -> str:
    code = error.response.get("Error", {}).get("Code", "Unknown").split("#")[-1].split(":")[0]
    return f"{prefix}.{code}" if code.endswith("Exception") else f"{prefix}.{code}Exception"


def _service_error(resource: Resource, error: ClientError) -> StateError:
    code = error.response.get("Error", {}).get("Code", "Unknown").split("#")[-1].split(":")[0]
    if resource.optimised:
        name = _error_name(resource.optimised.error_prefix, error)
        return StateError(name, _cause(resource.optimised.error_prefix, error))
    return StateError(
        naming.sdk_error(resource.service, code),
        _cause(naming.java(str(naming.model(resource.service).service_id)), error),
    )


def _client_error_name(resource: Resource) -> str:
    prefix = (
        resource.optimised.error_prefix
        if resource.optimised
        else naming.java(str(naming.model(resource.service).service_id))
    )
    return f"{prefix}.SdkClientException"


def _cause(service: str, error: ClientError) -> str:
    described, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    return (
        f"{described.get('Message') or described.get('Code')} (Service: {service}, Status Code:"
        f" {metadata.get('HTTPStatusCode')}, Error Code: {described.get('Code')}, Request ID:"
        f" {metadata.get('RequestId') or uuid.uuid4()})"
    )


# -- jobs: .sync -------------------------------------------------------------------------------------------


def pause_after(elapsed: float) -> float:
    """Return how many seconds to wait before the next look at a job that has run for `elapsed` seconds.

    A tenth of that: a short job is noticed at once, and a long one, which is looked at in vain every time but
    the last, costs little.
    """
    return min(max(elapsed / 10, SHORTEST_PAUSE), LONGEST_PAUSE)


class Job(Protocol):
    """What a `.sync` task started."""

    def poll(self) -> Any:
        """Return the result when the job is done, None while it runs; raise StateError when it failed."""

    def stop(self) -> None:
        """Stop it."""


class BuildJob:
    """A CodeBuild build."""

    def __init__(self, started: dict[str, Any], clients: Clients) -> None:
        self._client = clients("codebuild")
        self._identifier = started["Build"]["Id"]

    def poll(self) -> Any:
        """Return `{"Build": …}` when it succeeded; any other end is States.TaskFailed with the build as the
        cause."""
        build = self._client.batch_get_builds(ids=[self._identifier])["builds"][0]
        if build["buildStatus"] == "IN_PROGRESS":
            return None
        shape = naming.operation("codebuild", "startBuild").output_shape
        result = naming.response(shape, {"build": build}, naming.capital, naming.milliseconds)
        if build["buildStatus"] != "SUCCEEDED":
            raise StateError(TASK_FAILED, json.dumps(result, separators=(",", ":")))
        return result

    def stop(self) -> None:
        """Stop the build."""
        self._client.stop_build(id=self._identifier)


class ExecutionJob:
    """An execution of another state machine."""

    def __init__(self, started: dict[str, Any], clients: Clients, *, output_as_json: bool) -> None:
        self._client = clients("stepfunctions")
        self._arn = started["ExecutionArn"]
        self._output_as_json = output_as_json

    def poll(self) -> Any:
        """Return the description of the child when it succeeded; any other end is States.TaskFailed with it
        as the cause."""
        child = self._client.describe_execution(executionArn=self._arn)
        if child["status"] == "RUNNING":
            return None
        shape = naming.operation("stepfunctions", "describeExecution").output_shape
        result = naming.response(shape, child, naming.capital, naming.milliseconds)
        if child["status"] != "SUCCEEDED":
            raise StateError(TASK_FAILED, json.dumps(result, separators=(",", ":")))
        if self._output_as_json:
            for name in ("Input", "Output"):
                if name in result:
                    result[name] = json.loads(result[name])
        return result

    def stop(self) -> None:
        """Stop the child."""
        self._client.stop_execution(executionArn=self._arn)


class ContainerJob:
    """An ECS task; it succeeded when every container exited with 0.

    A task that ECS did not place is `AmazonECS.Unknown`, though RunTask answered:
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html.
    """

    def __init__(self, started: dict[str, Any], clients: Clients) -> None:
        if started.get("Failures") or not started.get("Tasks"):
            raise StateError("AmazonECS.Unknown", json.dumps(started, separators=(",", ":")))
        self._client = clients("ecs")
        task = started["Tasks"][0]
        self._cluster, self._arn = task["ClusterArn"], task["TaskArn"]

    def poll(self) -> Any:
        """Return the task when it stopped with exit codes 0; States.TaskFailed with the task as the cause
        otherwise."""
        task = self._client.describe_tasks(cluster=self._cluster, tasks=[self._arn])["tasks"][0]
        if task.get("lastStatus") != "STOPPED":
            return None
        shape = naming.operation("ecs", "describeTasks").output_shape.members["tasks"].member
        result = naming.response(shape, task, naming.capital, naming.milliseconds)
        codes = [container.get("exitCode") for container in task.get("containers", [])]
        if not codes or any(code != 0 for code in codes):
            raise StateError(TASK_FAILED, json.dumps(result, separators=(",", ":")))
        return result

    def stop(self) -> None:
        """Stop the task."""
        self._client.stop_task(
            cluster=self._cluster, task=self._arn, reason="The state machine execution was stopped."
        )


def job_of(resource: Resource, started: dict[str, Any], clients: Clients) -> Job:
    """Return the job that a `.sync` task started."""
    if resource.kind == "codebuild":
        return BuildJob(started, clients)
    if resource.kind == "ecs":
        return ContainerJob(started, clients)
    return ExecutionJob(started, clients, output_as_json=resource.pattern == SYNC_2)


# -- task tokens -------------------------------------------------------------------------------------------


@dataclass
class PendingTask:
    """A task that waits for SendTaskSuccess or SendTaskFailure."""

    outcome: "Future[Any]" = field(default_factory=Future)
    beat_at: float = field(default_factory=time.monotonic)


class TaskTokens:
    """Tokens handed out and not answered yet, and those that are over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[str, PendingTask] = {}
        self._over: set[str] = set()

    def issue(self) -> tuple[str, PendingTask]:
        """Return a new token and what waits for it."""
        token, pending = uuid.uuid4().hex + uuid.uuid4().hex, PendingTask()
        with self._lock:
            self._pending[token] = pending
        return token, pending

    def find(self, token: str) -> PendingTask | Literal["over"] | None:
        """Return what waits, `over` when its task was answered, timed out or stopped, None for an unknown
        token."""
        with self._lock:
            return self._found(token)

    def _found(self, token: str) -> PendingTask | Literal["over"] | None:
        return self._pending.get(token) or ("over" if token in self._over else None)

    def answer(self, token: str, outcome: Any) -> PendingTask | Literal["over"] | None:
        """Complete a task with its output, or with a StateError; returns what `find` returned before."""
        with self._lock:
            pending = self._found(token)
            if not isinstance(pending, PendingTask):
                return pending
            del self._pending[token]
            self._over.add(token)
        if isinstance(outcome, StateError):
            pending.outcome.set_exception(outcome)
        else:
            pending.outcome.set_result(outcome)
        return pending

    def retire(self, token: str) -> None:
        """Forget a token whose task is over."""
        with self._lock:
            if self._pending.pop(token, None) is not None:
                self._over.add(token)
