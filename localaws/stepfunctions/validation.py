"""Refuse a definition that cannot run, naming every fault at once, before it is stored.

Checked: JSON, required and known fields per state type, transitions (StartAt, Next, Default, Catch),
unreachable states, a way to the
end, resources and the literal part of their arguments, JSONata syntax and the use of `$states`, variable
scopes, Retry and Catch. What only a
run can show (types of computed values, undefined references) is not.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from localaws.stepfunctions import jsonata
from localaws.stepfunctions.errors import ALL
from localaws.stepfunctions.integrations import UnsupportedResourceError, parse

MAXIMUM_DEFINITION_BYTES = 1_048_576

COMMON = {"Type", "Comment", "QueryLanguage"}
TRANSITION = {"Next", "End"}
ERRORS = {"Retry", "Catch"}
FIELDS: Mapping[str, dict[str, set[str]]] = {
    "Pass": {
        "both": TRANSITION | {"Assign"},
        "JSONata": {"Output"},
        "JSONPath": {"InputPath", "OutputPath", "Parameters", "Result", "ResultPath"},
    },
    "Succeed": {"both": set(), "JSONata": {"Output"}, "JSONPath": {"InputPath", "OutputPath"}},
    "Fail": {"both": {"Error", "Cause"}, "JSONata": set(), "JSONPath": {"ErrorPath", "CausePath"}},
    "Wait": {
        "both": TRANSITION | {"Assign", "Seconds", "Timestamp"},
        "JSONata": {"Output"},
        "JSONPath": {"InputPath", "OutputPath", "SecondsPath", "TimestampPath"},
    },
    "Choice": {
        "both": {"Choices", "Default", "Assign"},
        "JSONata": {"Output"},
        "JSONPath": {"InputPath", "OutputPath"},
    },
    "Task": {
        "both": TRANSITION
        | ERRORS
        | {"Assign", "Resource", "TimeoutSeconds", "HeartbeatSeconds", "Credentials"},
        "JSONata": {"Arguments", "Output"},
        "JSONPath": {
            "InputPath",
            "OutputPath",
            "Parameters",
            "ResultSelector",
            "ResultPath",
            "TimeoutSecondsPath",
            "HeartbeatSecondsPath",
        },
    },
    "Parallel": {
        "both": TRANSITION | ERRORS | {"Assign", "Branches"},
        "JSONata": {"Arguments", "Output"},
        "JSONPath": {"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath"},
    },
    "Map": {
        "both": TRANSITION
        | ERRORS
        | {
            "Assign",
            "ItemProcessor",
            "ItemSelector",
            "MaxConcurrency",
            "ItemReader",
            "ItemBatcher",
            "ResultWriter",
            "Label",
            "ToleratedFailureCount",
            "ToleratedFailurePercentage",
        },
        "JSONata": {"Items", "Output"},
        "JSONPath": {
            "InputPath",
            "OutputPath",
            "Iterator",
            "ItemsPath",
            "Parameters",
            "ResultSelector",
            "ResultPath",
            "MaxConcurrencyPath",
            "ToleratedFailureCountPath",
            "ToleratedFailurePercentagePath",
        },
    },
}
MACHINE = {"Comment", "StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"}
RETRIER = {
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
}
CATCHER = {
    "JSONata": {"ErrorEquals", "Next", "Assign", "Output", "Comment"},
    "JSONPath": {"ErrorEquals", "Next", "Assign", "ResultPath", "Comment"},
}


@dataclass(frozen=True)
class Diagnostic:
    """One finding.

    Attributes
    ----------
    code, message, location:
        As ValidateStateMachineDefinition gives them; the location is a JSON pointer.
    severity:
        `ERROR`, or `WARNING` for what AWS accepts.
    """

    code: str
    message: str
    location: str
    severity: str = "ERROR"

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location or '/'}"


def validate(text: str) -> list[Diagnostic]:
    """Return everything that is wrong with a definition."""
    if len(text.encode()) > MAXIMUM_DEFINITION_BYTES:
        return [Diagnostic("INVALID_JSON_DESCRIPTION", "The definition is larger than 1 MB", "")]
    try:
        machine = json.loads(text)
    except ValueError as error:
        return [Diagnostic("INVALID_JSON_DESCRIPTION", str(error), "")]
    if not isinstance(machine, dict):
        return [Diagnostic("INVALID_JSON_DESCRIPTION", "The definition must be a JSON object", "")]
    return list(_Validator().machine(machine))


class Visit(NamedTuple):
    """A state that is looked at: the state, its query language, its place, variables assigned around it."""

    state: dict[str, Any]
    language: str
    path: str
    outer: frozenset[str]


class _Validator:
    """Walks a definition."""

    def machine(self, machine: dict[str, Any]) -> Iterator[Diagnostic]:
        language = machine.get("QueryLanguage", "JSONPath")
        if language not in ("JSONata", "JSONPath"):
            yield _schema(f'QueryLanguage must be JSONata or JSONPath, not "{language}"', "/QueryLanguage")
            return
        yield from _unknown(machine, MACHINE, "")
        timeout = machine.get("TimeoutSeconds")
        if timeout is not None and not (_whole(timeout) and timeout > 0):
            yield _schema("TimeoutSeconds must be a positive whole number", "/TimeoutSeconds")
        yield from self.level(machine, language, "", frozenset())

    def level(
        self, level: dict[str, Any], language: str, path: str, outer: frozenset[str]
    ) -> Iterator[Diagnostic]:
        states = level.get("States")
        if not isinstance(states, dict) or not states:
            yield _schema("States must be an object with at least one state", f"{path}/States")
            return
        start = level.get("StartAt")
        if start not in states:
            yield _missing(f'StartAt "{start}" is not a state', f"{path}/StartAt")
        own = _assigned(states)
        for name in sorted(own & outer):
            yield Diagnostic(
                "INVALID_VARIABLE_NAME",
                f"The variable {name} is assigned in an outer scope too; an inner scope can only read it",
                f"{path}/States",
            )
        for name, state in states.items():
            here = f"{path}/States/{name}"
            if not isinstance(state, dict):
                yield _schema("A state must be an object", here)
                continue
            if len(name) > 80:
                yield _schema("The name of a state has at most 80 characters", here)
            yield from self.state(state, states, language, here, outer | own)
        if start in states:
            yield from _unreachable(str(start), states, path)

    def state(
        self,
        state: dict[str, Any],
        states: dict[str, Any],
        machine_language: str,
        path: str,
        outer: frozenset[str],
    ) -> Iterator[Diagnostic]:
        kind, language = str(state.get("Type")), state.get("QueryLanguage", machine_language)
        if kind not in FIELDS:
            yield _schema(f'Type must be one of {", ".join(FIELDS)}, not "{kind}"', f"{path}/Type")
            return
        if language not in ("JSONata", "JSONPath") or (
            machine_language == "JSONata" and language == "JSONPath"
        ):
            yield _schema(f'QueryLanguage "{language}" is not possible here', f"{path}/QueryLanguage")
            return
        allowed = FIELDS[kind]
        yield from _unknown(state, COMMON | allowed["both"] | allowed[language], path)
        for key, target in _targets(state):
            if target not in states:
                yield _missing(f'Missing "Next" target: {target}', f"{path}/{key}")
        goes_on = kind not in ("Choice", "Succeed", "Fail")
        if goes_on and ("Next" in state) == (state.get("End") is True):
            yield _schema('A state has either "Next" or "End": true', path)
        yield from self._errors(state, language, path)
        if language == "JSONata":
            yield from _expressions(state, path)
        yield from getattr(self, f"_{kind.lower()}")(Visit(state, language, path, outer))

    def _errors(self, state: dict[str, Any], language: str, path: str) -> Iterator[Diagnostic]:
        for key, known in (("Retry", RETRIER), ("Catch", CATCHER[language])):
            entries = state.get(key, [])
            if not isinstance(entries, list):
                yield _schema(f"{key} must be an array", f"{path}/{key}")
                continue
            for index, entry in enumerate(entries):
                here = f"{path}/{key}[{index}]"
                yield from _unknown(entry, known, here)
                names = entry.get("ErrorEquals")
                if not isinstance(names, list) or not names:
                    yield _schema("ErrorEquals must be an array with at least one error name", here)
                elif ALL in names and (len(names) > 1 or index < len(entries) - 1):
                    yield _schema(f"{ALL} must be alone and in the last entry", here)
                if key == "Catch" and "Next" not in entry:
                    yield _schema('"Next" is required', here)
                yield from _retry_numbers(entry, here)

    def _pass(self, *_: Any) -> Iterator[Diagnostic]:
        yield from ()

    _succeed = _fail = _pass

    def _wait(self, visit: "Visit") -> Iterator[Diagnostic]:
        state, path = visit.state, visit.path
        given = [key for key in ("Seconds", "Timestamp", "SecondsPath", "TimestampPath") if key in state]
        if len(given) != 1:
            yield _schema("A Wait state has exactly one of Seconds and Timestamp", path)

    def _choice(self, visit: "Visit") -> Iterator[Diagnostic]:
        state, path = visit.state, visit.path
        rules = state.get("Choices")
        if not isinstance(rules, list) or not rules:
            yield _schema("Choices must be an array with at least one rule", path)
            return
        for index, rule in enumerate(rules):
            here = f"{path}/Choices[{index}]"
            if "Next" not in rule:
                yield _schema('"Next" is required', here)
            if visit.language == "JSONata":
                yield from _unknown(rule, {"Condition", "Next", "Assign", "Output", "Comment"}, here)
                if "Condition" not in rule:
                    yield _schema('"Condition" is required', here)
                elif not isinstance(rule["Condition"], bool) and not jsonata.is_expression(rule["Condition"]):
                    yield _schema("Condition must be a boolean or a {% %} expression", here)

    def _task(self, visit: "Visit") -> Iterator[Diagnostic]:
        state, path = visit.state, visit.path
        try:
            resource = parse(str(state.get("Resource")))
        except UnsupportedResourceError as error:
            yield _schema(str(error), f"{path}/Resource")
            return
        field = "Arguments" if visit.language == "JSONata" else "Parameters"
        if resource.function is None and (field in state or visit.language == "JSONata"):
            for fault in resource.faults(state.get(field, {}), f"{path}/{field}"):
                yield Diagnostic("SCHEMA_VALIDATION_FAILED", fault.rsplit(" at /", 1)[0], f"{path}/{field}")
        for key in ("TimeoutSeconds", "HeartbeatSeconds"):
            value = state.get(key)
            if value is not None and not jsonata.is_expression(value) and not (_whole(value) and value > 0):
                yield _schema(f"{key} must be a positive whole number", f"{path}/{key}")
        timeout, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
        if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
            yield _schema("HeartbeatSeconds must be smaller than TimeoutSeconds", path)

    def _parallel(self, visit: "Visit") -> Iterator[Diagnostic]:
        state, path = visit.state, visit.path
        branches = state.get("Branches")
        if not isinstance(branches, list) or not branches:
            yield _schema("Branches must be an array with at least one branch", path)
            return
        for index, branch in enumerate(branches):
            here = f"{path}/Branches[{index}]"
            yield from _unknown(branch, {"StartAt", "States", "Comment", "QueryLanguage"}, here)
            yield from self.level(branch, branch.get("QueryLanguage", visit.language), here, visit.outer)

    def _map(self, visit: "Visit") -> Iterator[Diagnostic]:
        state, path = visit.state, visit.path
        key = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
        processor = state.get(key)
        if not isinstance(processor, dict):
            yield _schema('"ItemProcessor" is required', path)
            return
        here = f"{path}/{key}"
        yield from _unknown(
            processor, {"StartAt", "States", "Comment", "ProcessorConfig", "QueryLanguage"}, here
        )
        configuration = processor.get("ProcessorConfig", {})
        mode = configuration.get("Mode", "INLINE")
        if mode not in ("INLINE", "DISTRIBUTED"):
            yield _schema(f'Mode must be INLINE or DISTRIBUTED, not "{mode}"', f"{here}/ProcessorConfig")
        if mode == "DISTRIBUTED" and configuration.get("ExecutionType") not in ("STANDARD", "EXPRESS"):
            yield _schema(
                "A distributed map needs ExecutionType STANDARD or EXPRESS", f"{here}/ProcessorConfig"
            )
        if mode == "INLINE":
            for name in (
                "ItemReader",
                "ItemBatcher",
                "ResultWriter",
                "ToleratedFailureCount",
                "ToleratedFailurePercentage",
                "Label",
            ):
                if name in state:
                    yield _schema(f"{name} needs ProcessorConfig.Mode DISTRIBUTED", f"{path}/{name}")
        yield from _reader_and_writer(state, path)
        inner = frozenset() if mode == "DISTRIBUTED" else visit.outer
        yield from self.level(processor, processor.get("QueryLanguage", visit.language), here, inner)


READERS = {"listObjectsV2": "arn:aws:states:::s3:listObjectsV2", "getObject": "arn:aws:states:::s3:getObject"}
WRITER = "arn:aws:states:::s3:putObject"


def _reader_and_writer(state: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    reader, writer = state.get("ItemReader"), state.get("ResultWriter")
    if reader is not None:
        if reader.get("Resource") not in READERS.values():
            yield _schema(
                f"ItemReader.Resource '{reader.get('Resource')}' is not implemented", f"{path}/ItemReader"
            )
        elif reader["Resource"] == READERS["getObject"]:
            kind = reader.get("ReaderConfig", {}).get("InputType")
            if kind not in ("JSON", "JSONL", "CSV"):
                yield _schema(
                    f"InputType '{kind}' is not implemented: JSON, JSONL or CSV", f"{path}/ItemReader"
                )
    if writer is not None and writer.get("Resource") != WRITER:
        yield _schema(f"ResultWriter.Resource must be {WRITER}", f"{path}/ResultWriter")
    if writer is not None and "WriterConfig" in writer:
        yield _schema("ResultWriter.WriterConfig is not implemented", f"{path}/ResultWriter")


def _schema(message: str, location: str) -> Diagnostic:
    return Diagnostic("SCHEMA_VALIDATION_FAILED", message, location)


def _missing(message: str, location: str) -> Diagnostic:
    return Diagnostic("MISSING_TRANSITION_TARGET", message, location)


def _unknown(holder: Mapping[str, Any], known: set[str], path: str) -> Iterator[Diagnostic]:
    for key in holder:
        if key not in known:
            yield _schema(f'The field "{key}" is not supported here', path)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _retry_numbers(entry: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    for key, least in (("IntervalSeconds", 1), ("MaxAttempts", 0), ("MaxDelaySeconds", 1)):
        if key in entry and not (_whole(entry[key]) and entry[key] >= least):
            yield _schema(f"{key} must be a whole number of at least {least}", path)
    rate = entry.get("BackoffRate")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or rate < 1):
        yield _schema("BackoffRate must be a number of at least 1.0", path)
    if entry.get("JitterStrategy", "NONE") not in ("FULL", "NONE"):
        yield _schema("JitterStrategy must be FULL or NONE", path)


def _targets(state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in ("Next", "Default"):
        if key in state:
            yield key, state[key]
    for key in ("Choices", "Catch"):
        entries = state.get(key, [])
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            if "Next" in entry:
                yield f"{key}[{index}]/Next", entry["Next"]


def _unreachable(start: str, states: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    reached, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name in reached or not isinstance(states.get(name), dict):
            continue
        reached.add(name)
        waiting += [str(target) for _, target in _targets(states[name])]
    for name in states:
        if name not in reached:
            yield _missing(f'State "{name}" is not reachable', f"{path}/States/{name}")


def _assigned(states: dict[str, Any]) -> frozenset[str]:
    names: set[str] = set()
    for state in states.values():
        if isinstance(state, dict):
            for holder in (state, *state.get("Choices", []), *state.get("Catch", [])):
                names |= {name.removesuffix(".$") for name in holder.get("Assign", {})}
    return frozenset(names)


RESULT_STATES = ("Task", "Parallel", "Map")
SKIPPED = {"States", "Branches", "ItemProcessor", "Iterator", "Comment"}


def _expressions(state: dict[str, Any], path: str) -> Iterator[Diagnostic]:
    """Check every expression of one state; the states inside it are checked on their own."""
    for key, value in state.items():
        if key in SKIPPED:
            continue
        for place, expression, catching in _find(value, f"{path}/{key}", key == "Catch"):
            fault = jsonata.check(expression)
            if fault is not None:
                yield Diagnostic(
                    "SCHEMA_VALIDATION_FAILED", f"Invalid JSONata '{expression}': {fault}", place
                )
                continue
            result = state["Type"] in RESULT_STATES and key in ("Output", "Assign")
            for names in jsonata.references(expression):
                yield from _states_use(names, place, result=result, catching=catching)


def _find(value: Any, path: str, catching: bool) -> Iterator[tuple[str, str, bool]]:
    if isinstance(value, str):
        if jsonata.is_expression(value):
            yield path, jsonata.expression_of(value), catching
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _find(item, f"{path}/{key}", catching)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _find(item, f"{path}[{index}]", catching)


def _states_use(names: tuple[str, ...], path: str, *, result: bool, catching: bool) -> Iterator[Diagnostic]:
    if names[0] in ("", "$"):
        yield _schema("$ and $$ are not available: write $states.input", path)
    if names[0] != "states" or len(names) < 2:
        return
    if names[1] not in ("input", "result", "errorOutput", "context"):
        yield _schema(f"$states.{names[1]} does not exist", path)
    elif names[1] == "result" and not result:
        yield _schema("$states.result is available in Output and Assign of Task, Parallel and Map only", path)
    elif names[1] == "errorOutput" and not catching:
        yield _schema("$states.errorOutput is available in Catch only", path)
