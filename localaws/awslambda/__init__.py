"""Lambda: the deployed zip and layers, run by AWS's own runtime client (`awslambdaric`).

True: a process per execution environment, warm reuse, as many at once as there are events, reserved
concurrency, timeouts, errors while loading, exits, logs with START, END and REPORT, log tail, asynchronous
invocation with two retries, destinations and dead-letter queue, function URLs, versions, role credentials,
and an interpreter that sees only the runtime, the layers and the function.

Not true: the interpreter is this machine's (another runtime is refused when the function is made), the task
root is not read-only nor at /var/task, layers are not at /opt, /tmp is the machine's (`TMPDIR` is private),
memory and CPU are not limited, retries come after seconds instead of minutes, an environment has its timeout
and ten seconds to load, extensions and SnapStart do not run, and more than `ENVIRONMENTS` events at once are
throttled. Event source mappings are moto's.
"""

import base64
import functools
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction, lambda_backends
from moto.awslambda.responses import LambdaResponse

from localaws.awslambda.environment import ExecutionEnvironment, Outcome, Settings
from localaws.awslambda.packages import INTERPRETER, Packages, prepare_runtime
from localaws.roles import role_exists
from localaws.runtime import Runtime

ENVIRONMENTS = 60
"""Execution environments of a server; AWS's quota is 1000 concurrent executions."""

IDLE_SECONDS = 300.0
RETRY_SECONDS = (1.0, 2.0)
"""Before the two retries of an asynchronous invocation; in AWS one and two minutes."""

REQUEST_ID = "x-amzn-RequestId"

KEPT_SETTINGS = ("LoggingConfig", "DeadLetterConfig", "FileSystemConfigs", "RuntimeManagementConfig")
"""What moto forgets and `GetFunction` must answer."""


class TooManyRequestsError(LambdaClientError):  # type: ignore[misc]
    """Throttled."""

    code = 429

    def __init__(self, message: str) -> None:
        super().__init__("TooManyRequestsException", message)


class Pool:
    """The execution environments of all functions.

    Parameters
    ----------
    runtime:
        Of the server.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        base = runtime.directory / "lambda"
        self._provided = prepare_runtime(base)
        self._packages = Packages(base / "packages")
        self._idle: dict[Settings, list[ExecutionEnvironment]] = {}
        self._busy: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        runtime.background("lambda janitor", self._retire_idle)

    def settings(self, function: LambdaFunction) -> Settings:
        """Return what an environment of the function is made from."""
        backend = lambda_backends[function.account_id][function.region]
        archives = [backend.layers_versions_by_arn(layer["Arn"]).code_bytes for layer in function.layers]
        logging = logging_configuration(function)
        return Settings(
            name=function.function_name,
            arn=function.function_arn,
            version=str(function.version),
            handler=function.handler,
            role=function.role,
            region=function.region,
            memory_megabytes=int(function.memory_size),
            timeout_seconds=float(function.timeout),
            variables=tuple(sorted((name, str(value)) for name, value in function.environment_vars.items())),
            task=self._packages.task(function.code_bytes),
            opt=self._packages.layers(archives),
            runtime=self._provided,
            log_group=logging["LogGroup"],
            log_format=logging["LogFormat"],
            log_level=logging.get("ApplicationLogLevel"),
        )

    def invoke(
        self, function: LambdaFunction, event: bytes, request_id: str, headers: dict[str, str]
    ) -> Outcome:
        """Run one event, in a warm environment when there is one.

        Raises
        ------
        TooManyRequestsError
            The function's reserved concurrency, or what this machine bears, is used up.
        """
        with self._slot(function):
            environment = self._environment(self.settings(function))
            outcome = environment.invoke(event, request_id, headers)
            self._give_back(environment)
            return outcome

    @contextmanager
    def _slot(self, function: LambdaFunction) -> Iterator[None]:
        name = function.function_arn
        reserved = function.reserved_concurrency
        with self._lock:
            if reserved is not None and self._busy.get(name, 0) >= int(reserved):
                raise TooManyRequestsError("Rate Exceeded.")
            if sum(self._busy.values()) >= ENVIRONMENTS:
                raise TooManyRequestsError("Rate Exceeded.")
            self._busy[name] = self._busy.get(name, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._busy[name] -= 1

    def _environment(self, settings: Settings) -> ExecutionEnvironment:
        outdated: list[ExecutionEnvironment] = []
        try:
            with self._lock:
                for key in [key for key in self._idle if key.arn == settings.arn and key != settings]:
                    outdated += self._idle.pop(key)
                warm = self._idle.get(settings, [])
                while warm:
                    environment = warm.pop()
                    if environment.alive:
                        return environment
                    outdated.append(environment)
            logs = self._runtime.client("logs", settings.role, settings.region)
            return ExecutionEnvironment(self._runtime, settings, logs)
        finally:
            if outdated:
                self._runtime.background("outdated functions", self._dispose, outdated)

    def _give_back(self, environment: ExecutionEnvironment) -> None:
        with self._lock:
            if environment.alive and not self._closed.is_set():
                self._idle.setdefault(environment.settings, []).append(environment)
                return
        self._runtime.background("ended function", self._dispose, [environment])

    def retire(self, function_arn: str) -> None:
        """End the idle environments of a function that is gone."""
        with self._lock:
            keys = [key for key in self._idle if key.arn == function_arn]
            environments = [environment for key in keys for environment in self._idle.pop(key)]
        self._dispose(environments)

    def _retire_idle(self) -> None:
        while not self._closed.wait(IDLE_SECONDS / 10):
            limit = time.monotonic() - IDLE_SECONDS
            with self._lock:
                old = [e for warm in self._idle.values() for e in warm if e.last_used < limit]
                self._idle = {
                    key: kept
                    for key, warm in self._idle.items()
                    if (kept := [e for e in warm if e not in old])
                }
            self._dispose(old)

    def close(self) -> None:
        """End every idle environment; busy ones end with the server's processes."""
        self._closed.set()
        with self._lock:
            environments = [environment for warm in self._idle.values() for environment in warm]
            self._idle.clear()
        for environment in environments:
            environment.close()

    @staticmethod
    def _dispose(environments: list[ExecutionEnvironment]) -> None:
        for environment in environments:
            environment.dispose()

    def instances(self) -> list[dict[str, Any]]:
        """Return what `status` shows."""
        with self._lock:
            idle: dict[str, int] = {}
            for settings, warm in self._idle.items():
                idle[settings.name] = idle.get(settings.name, 0) + len(warm)
            busy = {arn.rpartition(":function:")[2]: count for arn, count in self._busy.items() if count}
            names = sorted(idle.keys() | busy.keys())
            return [
                {"function": name, "busy": busy.get(name, 0), "warm": idle.get(name, 0)} for name in names
            ]


def logging_configuration(function: LambdaFunction) -> dict[str, str]:
    """Return a function's LoggingConfig with AWS's defaults."""
    given = getattr(function, "kept_settings", {}).get("LoggingConfig") or {}
    return {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.function_name}", **given}


def check(runtime_name: str | None, package_type: str, role: str | None) -> None:
    """Refuse a function that cannot run here.

    Raises
    ------
    InvalidParameterValueException
        Another interpreter, or a role that does not exist.
    NotImplementedError
        Container images.
    """
    if package_type != "Zip":
        raise NotImplementedError("functions from container images")
    if runtime_name != INTERPRETER:
        raise InvalidParameterValueException(
            f"The runtime {runtime_name} is not available: the local AWS runs functions with this machine's"
            f" interpreter, {INTERPRETER}. Deploy with it (CDK context python_runtime={INTERPRETER[6:]}),"
            f" or start the local AWS with {runtime_name}."
        )
    if role is not None and not role_exists(role):
        raise InvalidParameterValueException(
            f"The role defined for the function cannot be assumed by Lambda: {role} does not exist."
        )


class Asynchronous:
    """Events that nobody waits for: retried twice, then given to a destination or a queue.

    Parameters
    ----------
    runtime, pool:
        Of the server.
    """

    def __init__(self, runtime: Runtime, pool: Pool) -> None:
        self._runtime = runtime
        self._pool = pool

    def accept(self, function: LambdaFunction, event: bytes, headers: dict[str, str]) -> str:
        """Take an event and return its request id."""
        request_id = str(uuid.uuid4())
        self._runtime.background(
            f"event for {function.function_name}", self._run, function, event, request_id, headers
        )
        return request_id

    def _run(self, function: LambdaFunction, event: bytes, request_id: str, headers: dict[str, str]) -> None:
        configuration = function.event_invoke_config[-1].config if function.event_invoke_config else {}
        retries = configuration.get("MaximumRetryAttempts", len(RETRY_SECONDS))
        for attempt in range(retries + 1):
            if attempt:
                time.sleep(RETRY_SECONDS[attempt - 1])
            outcome = self._attempt(function, event, request_id, headers)
            if not outcome.failed:
                break
        destinations = configuration.get("DestinationConfig") or {}
        kind = "OnFailure" if outcome.failed else "OnSuccess"
        if target := (destinations.get(kind) or {}).get("Destination"):
            self._deliver(function, target, self._record(function, event, request_id, outcome, attempt + 1))
        queue = (getattr(function, "kept_settings", {}).get("DeadLetterConfig") or {}).get("TargetArn")
        if outcome.failed and queue:
            self._deliver(function, queue, event.decode())

    def _attempt(
        self, function: LambdaFunction, event: bytes, request_id: str, headers: dict[str, str]
    ) -> Outcome:
        while True:  # a throttled event waits in the queue, up to six hours in AWS
            try:
                return self._pool.invoke(function, event, request_id, headers)
            except TooManyRequestsError:
                time.sleep(RETRY_SECONDS[0])

    @staticmethod
    def _record(
        function: LambdaFunction, event: bytes, request_id: str, outcome: Outcome, attempts: int
    ) -> str:
        return json.dumps(
            {
                "version": "1.0",
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
                "requestContext": {
                    "requestId": request_id,
                    "functionArn": f"{function.function_arn}:$LATEST",
                    "condition": "RetriesExhausted" if outcome.failed else "Success",
                    "approximateInvokeCount": attempts,
                },
                "requestPayload": json.loads(event or b"null"),
                "responseContext": {
                    "statusCode": 200,
                    "executedVersion": "$LATEST",
                    **({"functionError": "Unhandled"} if outcome.failed else {}),
                },
                "responsePayload": json.loads(outcome.payload or b"null"),
            }
        )

    def _deliver(self, function: LambdaFunction, target: str, body: str) -> None:
        service, name = target.split(":")[2], target.rpartition(":")[2]
        client = self._runtime.client(service, function.role, function.region)
        if service == "sqs":
            client.send_message(QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"], MessageBody=body)
        elif service == "sns":
            client.publish(TopicArn=target, Message=body)
        else:
            raise NotImplementedError(f"a destination of an asynchronous invocation in {service}")


def invoke_function(
    pool: Pool, asynchronous: Asynchronous, function: LambdaFunction, body: Any, request: Any, response: Any
) -> bytes:
    """Invoke as the API does: `X-Amz-Invocation-Type` decides, headers of the answer go into `response`."""
    headers = {name.lower(): value for name, value in dict(request).items()}
    event = (body.encode() if isinstance(body, str) else body) or b"{}"
    try:
        json.loads(event)
    except ValueError as error:
        raise LambdaClientError(
            "InvalidRequestContentException", f"Could not parse request body into json: {error}"
        ) from error
    passed = {}
    if context := headers.get("x-amz-client-context"):
        passed["Lambda-Runtime-Client-Context"] = base64.b64decode(context).decode()
    kind = headers.get("x-amz-invocation-type", "RequestResponse")
    if kind == "DryRun":
        return b""
    if kind == "Event":
        response[REQUEST_ID] = asynchronous.accept(function, event, passed)
        return b""
    request_id = str(uuid.uuid4())
    outcome = pool.invoke(function, event, request_id, passed)
    response[REQUEST_ID] = request_id
    response["x-amz-executed-version"] = str(function.version)
    response["x-amz-log-result"] = base64.b64encode(outcome.log).decode()
    if outcome.failed:
        response["x-amz-function-error"] = "Unhandled"
    return outcome.payload


def install(runtime: Runtime) -> None:
    """Run functions for real, keep the settings that moto drops, serve function URLs."""
    from localaws.awslambda.urls import FunctionUrls

    pool = Pool(runtime)
    asynchronous = Asynchronous(runtime, pool)
    runtime.instances["lambda"] = pool.instances
    runtime.on_shutdown(pool.close)

    def invoke(self: LambdaFunction, body: Any, request_headers: Any, response_headers: Any) -> bytes:
        # moto's own callers (SNS, SQS, …) come without headers and wait for the answer.
        return invoke_function(pool, asynchronous, self, body, request_headers, response_headers)

    LambdaFunction.invoke = invoke
    _keep_request_id()
    _keep_settings()
    _retire_deleted(pool)
    FunctionUrls(
        runtime, lambda function, event: pool.invoke(function, event, str(uuid.uuid4()), {})
    ).install()


def _keep_request_id() -> None:
    """Answer with the id that the function was given; moto makes up another one at the end."""
    stock_enrich = LambdaResponse._enrich_response

    def enrich(headers: dict[str, str], body: Any) -> Any:
        own = headers.pop(REQUEST_ID, None)
        headers, body = stock_enrich(headers, body)
        return headers | ({"x-amzn-requestid": own} if own else {}), body

    LambdaResponse._enrich_response = staticmethod(enrich)


def _keep_settings() -> None:
    """Wrap the methods through which a function is made, changed and described."""
    stock_init, stock_update = LambdaFunction.__init__, LambdaFunction.update_configuration
    stock_configuration = LambdaFunction.get_configuration

    @functools.wraps(stock_init)
    def init(self: LambdaFunction, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        check(spec.get("Runtime"), spec.get("PackageType", "Zip"), spec.get("Role"))
        stock_init(self, account_id, spec, *args, **kwargs)
        self.kept_settings = {name: spec[name] for name in KEPT_SETTINGS if spec.get(name)}
        self.revision = str(uuid.uuid4())

    @functools.wraps(stock_update)
    def update(self: LambdaFunction, changes: dict[str, Any]) -> dict[str, Any]:
        check(changes.get("Runtime") or self.run_time, self.package_type, changes.get("Role"))
        self.kept_settings = self.kept_settings | {
            name: changes[name] for name in KEPT_SETTINGS if name in changes
        }
        for name, attribute in (
            ("EphemeralStorage", "ephemeral_storage"),
            ("TracingConfig", "tracing_config"),
            ("KMSKeyArn", "kms_key_arn"),
        ):
            if name in changes:
                setattr(
                    self, attribute, changes[name]["Size"] if name == "EphemeralStorage" else changes[name]
                )
        self.revision = str(uuid.uuid4())
        environment = changes.get("Environment")
        if environment is not None:
            changes = {**changes, "Environment": {"Variables": environment.get("Variables") or {}}}
        stock_update(self, changes)
        described: dict[str, Any] = self.get_configuration()
        return described

    @functools.wraps(stock_configuration)
    def configuration(self: LambdaFunction, on_create: bool = False) -> dict[str, Any]:
        described: dict[str, Any] = stock_configuration(self, on_create)
        described |= {
            name: value for name, value in self.kept_settings.items() if name != "RuntimeManagementConfig"
        }
        described["LoggingConfig"] = logging_configuration(self)
        described["RevisionId"] = self.revision
        return described

    LambdaFunction.__init__ = init
    LambdaFunction.update_configuration = update
    LambdaFunction.get_configuration = configuration


def _retire_deleted(pool: Pool) -> None:
    stock_delete = LambdaBackend.delete_function

    @functools.wraps(stock_delete)
    def delete(self: LambdaBackend, function_name: str, qualifier: str | None = None) -> None:
        arn = self.get_function(function_name, None).function_arn
        stock_delete(self, function_name, qualifier)
        pool.retire(arn)

    LambdaBackend.delete_function = delete
