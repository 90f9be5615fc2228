"""EventBridge: rules that reach their targets, and schedules that fire.

True: event patterns (moto's matcher), input, input path and transformer, the role of a target, retries,
dead-letter queues, disabled rules,
`rate()` and `cron()` at true time, events of the services themselves (`publisher`).
Targets: Step Functions, Lambda, SNS, SQS, CodeBuild, CodePipeline, ECS tasks, log groups, event buses; any
other is refused by PutTargets.
Not exact: retries wait at most a minute between two attempts.
"""

import datetime
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from localaws.runtime import Runtime
from localaws.schedules import Clock

Event = dict[str, Any]
ROLE_NEEDED = ("states", "codebuild", "codepipeline", "ecs")
"""Targets that EventBridge calls with a role; the others admit it by their own resource policy."""
LONGEST_PAUSE_SECONDS = 60.0
PERMANENT = frozenset({400, 403, 404})
THROTTLED = frozenset(
    {"ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "LimitExceededException"}
)

Call = Callable[[Callable[[str], Any], str, str, Mapping[str, Any]], None]
"""clients, ARN of the target, body, the target → delivers."""


def _start_execution(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    del target
    clients("stepfunctions").start_execution(stateMachineArn=arn, input=body)


def _invoke(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    del target
    clients("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=body.encode())


def _publish(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    del target
    clients("sns").publish(TopicArn=arn, Message=body)


def _send_message(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    client = clients("sqs")
    url = client.get_queue_url(QueueName=arn.split(":")[-1])["QueueUrl"]
    group = target.get("SqsParameters", {}).get("MessageGroupId")
    client.send_message(QueueUrl=url, MessageBody=body, **({"MessageGroupId": group} if group else {}))


def _start_build(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    overrides = json.loads(body) if "Input" in target or "InputTransformer" in target else {}
    clients("codebuild").start_build(**{**overrides, "projectName": arn.split("/")[-1]})


def _start_pipeline(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    del body, target
    clients("codepipeline").start_pipeline_execution(name=arn.split(":")[-1])


def _run_task(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    given = target["EcsParameters"]
    parameters = {
        _small(key): value
        for key, value in given.items()
        if key not in ("TaskDefinitionArn", "TaskCount", "NetworkConfiguration")
    }
    if "NetworkConfiguration" in given:
        parameters["networkConfiguration"] = _small_keys(given["NetworkConfiguration"])
    overrides = json.loads(body) if "Input" in target or "InputTransformer" in target else {}
    clients("ecs").run_task(
        cluster=arn,
        taskDefinition=given["TaskDefinitionArn"],
        count=given.get("TaskCount", 1),
        overrides=overrides,
        **parameters,
    )


def _small(key: str) -> str:
    return key[:1].lower() + key[1:]


def _small_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_small(key): _small_keys(item) for key, item in value.items()}
    return value


def _write_log(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    del target
    client, group, stream = clients("logs"), arn.split(":log-group:")[1].removesuffix(":*"), str(uuid.uuid4())
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    client.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": int(time.time() * 1000), "message": body}],
    )


def _put_event(clients: Callable[[str], Any], arn: str, body: str, target: Mapping[str, Any]) -> None:
    del target
    event = json.loads(body)
    answer = clients("events").put_events(
        Entries=[
            {
                "Source": event["source"],
                "DetailType": event["detail-type"],
                "Detail": json.dumps(event["detail"]),
                "Resources": event.get("resources", []),
                "EventBusName": arn,
            }
        ]
    )
    if answer["FailedEntryCount"]:
        raise RuntimeError(json.dumps(answer["Entries"]))


TARGETS: Mapping[str, Call] = {
    "states": _start_execution,
    "lambda": _invoke,
    "sns": _publish,
    "sqs": _send_message,
    "codebuild": _start_build,
    "codepipeline": _start_pipeline,
    "ecs": _run_task,
    "logs": _write_log,
    "events": _put_event,
}
"""Service of a target's ARN → how an event reaches it."""


# -- what a target gets ------------------------------------------------------------------------------------


def body_of(target: Mapping[str, Any], event: Event, rule_arn: str) -> str:
    """Return what a target is sent: the event, a part of it, a constant, or a transformed text."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(at_path(event, target["InputPath"]))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    values: dict[str, Any] = {
        name: at_path(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()
    }
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.split("/")[-1],
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
        "aws.events.event.json": event,
    }
    text = fill(transformer["InputTemplate"], values)
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return text


def at_path(event: Any, path: str) -> Any:
    """Return what a JSON path (`$.detail.items[0].name`) leads to; None when it leads nowhere (then None
    in JSON)."""
    found = event
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path.removeprefix("$")):
        try:
            found = found[int(index)] if index else found[name]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Return an input template with `<name>` replaced: as text inside quotes, as JSON outside of them."""
    pieces, quoted, position = [], False, 0
    for found in re.finditer(r"<([\w.-]+)>", template):
        before = template[position : found.start()]
        quoted ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        pieces.append(before)
        position = found.end()
        if found[1] not in values:
            pieces.append(found[0])
            continue
        value = values[found[1]]
        if quoted:
            text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
            pieces.append(json.dumps(text)[1:-1])
        else:
            pieces.append(json.dumps(value))
    return "".join(pieces) + template[position:]


# -- delivery ----------------------------------------------------------------------------------------------


class Delivery:
    """Takes events to targets, again when that fails, and to the dead-letter queue in the end.

    Parameters
    ----------
    runtime:
        Clients and the log.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._workers = ThreadPoolExecutor(16, "event delivery")

    def send(self, target: Mapping[str, Any], event: Event, rule_arn: str, region: str) -> None:
        """Deliver in the background."""
        try:
            body = body_of(target, event, rule_arn)
        except Exception as error:
            self._give_up(target, json.dumps(event), rule_arn, region, error)
            return
        self.submit(target, body, rule_arn, region)

    def submit(
        self, target: Mapping[str, Any], body: str, rule_arn: str, region: str, call: Call | None = None
    ) -> None:
        """Deliver a body in the background, by the call of the target's service unless another is given."""
        deliver = call or TARGETS[target["Arn"].split(":")[2]]
        self._workers.submit(self._attempt, deliver, target, body, rule_arn, region, time.monotonic(), 0)

    def _attempt(
        self,
        call: Call,
        target: Mapping[str, Any],
        body: str,
        rule_arn: str,
        region: str,
        since: float,
        made: int,
    ) -> None:
        def clients(service: str) -> Any:
            return self._runtime.client(service, role_arn=target.get("RoleArn"), region=region)

        try:
            call(clients, target["Arn"], body, target)
        except Exception as error:
            policy = target.get("RetryPolicy", {})
            age = time.monotonic() - since
            over = (
                permanent(error)
                or made >= policy.get("MaximumRetryAttempts", 185)
                or age >= policy.get("MaximumEventAgeInSeconds", 86_400)
            )
            if over:
                self._give_up(target, body, rule_arn, region, error)
                return
            pause = min(0.5 * 2.0**made, LONGEST_PAUSE_SECONDS)
            timer = threading.Timer(
                pause,
                lambda: self._workers.submit(
                    self._attempt, call, target, body, rule_arn, region, since, made + 1
                ),
            )
            timer.daemon = True
            timer.start()

    def _give_up(
        self, target: Mapping[str, Any], body: str, rule_arn: str, region: str, error: Exception
    ) -> None:
        self._runtime.log.warning("%s: could not deliver to %s: %s", rule_arn, target["Arn"], error)
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue is None:
            return
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else "SDK_CLIENT_ERROR"
        attributes = {
            "RULE_ARN": rule_arn,
            "TARGET_ARN": target["Arn"],
            "ERROR_CODE": code,
            "ERROR_MESSAGE": str(error),
        }
        client = self._runtime.client("sqs", region=region)
        url = client.get_queue_url(QueueName=queue.split(":")[-1])["QueueUrl"]
        client.send_message(
            QueueUrl=url,
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value or "-"}
                for name, value in attributes.items()
            },
        )


def permanent(error: Exception) -> bool:
    """Return whether trying again is useless: the request is wrong, forbidden, or its target does not
    exist."""
    if not isinstance(error, ClientError):
        return not isinstance(error, OSError)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in PERMANENT and error.response["Error"]["Code"] not in THROTTLED


# -- events ------------------------------------------------------------------------------------------------


def iso(moment: Any) -> str:
    """Return the time of an event as targets see it."""
    if isinstance(moment, str):
        return moment
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime.fromtimestamp(float(moment), datetime.UTC)
    return str(moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def new_event(
    source: str, detail_type: str, resources: list[str], detail: dict[str, Any], account: str, region: str
) -> Event:
    """Return an event as targets see it."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": iso(time.time()),
        "region": region,
        "resources": resources,
        "detail": detail,
    }


def publisher(
    runtime: Runtime, region: str | None = None
) -> Callable[[str, str, list[str], dict[str, Any]], None]:
    """Return what a service calls to put an event of its own on the default bus: source, detail type,
    resources, detail."""

    def publish(source: str, detail_type: str, resources: list[str], detail: dict[str, Any]) -> None:
        from moto.events.models import events_backends

        where = region or (resources[0].split(":")[3] if resources else "") or runtime.region
        event = new_event(source, detail_type, resources, detail, runtime.account_id, where)
        bus = events_backends[runtime.account_id][where].event_buses["default"]
        for rule in list(bus.rules.values()):
            rule.send_to_targets(event)

    return publish


def install(runtime: Runtime) -> None:
    """Make EventBridge real: called once, before the server answers its first request."""
    from moto.events import exceptions, models

    delivery = Delivery(runtime)
    known = models.Rule.send_to_targets

    def send_to_targets(self: Any, original_event: Event, transform_input: bool = True) -> None:
        """Send an event to the targets of a rule that is enabled and whose pattern matches.

        moto sends to disabled rules, takes a rule with a schedule only for one that matches everything, and
        raises
        NotImplementedError in the middle of PutEvents for targets it does not know.
        """
        if self.state == "DISABLED" or not self.event_pattern.get_pattern():
            return
        if not self.event_pattern.matches_event(original_event):
            return
        event = {key: value for key, value in original_event.items() if key != "ingestion-time"}
        event["time"] = iso(event["time"])
        archives = [target for target in self.targets if target["Arn"].split(":")[4] == ""]
        for target in [target for target in self.targets if target not in archives]:
            delivery.send(target, event, self.arn, self.region_name)
        if archives:
            rest, self.targets = self.targets, archives
            try:
                known(self, original_event, transform_input)
            finally:
                self.targets = rest

    class EventBuses(models.EventsBackend):  # type: ignore[misc]
        """moto's backend that refuses what could not be delivered."""

        @property
        def _url_module(self) -> Any:
            from moto.events import urls

            return urls

        def put_targets(self, name: str, event_bus_arn: str | None, targets: list[dict[str, Any]]) -> None:
            """Refuse targets of services that are not implemented, and missing roles."""
            for target in targets:
                service = str(target.get("Arn", "")).split(":")[2:3]
                if service and service[0] not in TARGETS:
                    raise exceptions.ValidationException(
                        f"Targets of the service {service[0]} are not implemented: {target['Arn']}"
                    )
                if service and service[0] in ROLE_NEEDED and not target.get("RoleArn"):
                    raise exceptions.ValidationException(f"RoleArn is required for target {target['Arn']}.")
            super().put_targets(name, event_bus_arn, targets)

        def put_events(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            """Refuse events that claim to be of AWS."""
            answers: list[dict[str, Any]] = []
            for event in events:
                if str(event.get("Source", "")).startswith("aws."):
                    answers.append(
                        {
                            "ErrorCode": "NotAuthorizedForSourceException",
                            "ErrorMessage": "Not authorized for the source.",
                        }
                    )
                else:
                    answers += super().put_events([event])
            return answers

    models.Rule.send_to_targets = send_to_targets
    models.events_backends.backend = EventBuses
    clock = Clock(runtime, "rules")

    def schedules() -> list[tuple[Any, str, str, Callable[[], None]]]:
        found = []
        for account, region, backend in list(models.events_backends.iter_backends()):
            for rule in list(backend.event_buses["default"].rules.values()):
                if rule.scheduled_expression and rule.state == "ENABLED":
                    found.append(
                        (rule, rule.scheduled_expression, "UTC", _firing(delivery, rule, account, region))
                    )
        return found

    clock.start(schedules)


def _firing(delivery: Delivery, rule: Any, account: str, region: str) -> Callable[[], None]:
    def fire() -> None:
        event = new_event("aws.events", "Scheduled Event", [rule.arn], {}, account, region)
        for target in list(rule.targets):
            delivery.send(target, event, rule.arn, region)

    return fire
