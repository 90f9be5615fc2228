"""JSONPath, the older query language: paths, payload templates, intrinsic functions and the comparisons of
Choice.

True: InputPath, Parameters, ResultSelector, ResultPath, OutputPath, Assign, ItemsPath, ItemSelector, the
`…Path` fields, every comparison and
every intrinsic function. Paths beyond names and indexes are evaluated by `jsonpath-ng`.

Rules: https://states-language.net, "Paths", "Payload Template", "Intrinsic Functions"
"""

import base64
import datetime
import fnmatch
import hashlib
import json
import operator
import random
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from localaws.stepfunctions.errors import (
    INTRINSIC_FAILURE,
    PARAMETER_PATH_FAILURE,
    RESULT_PATH_MATCH_FAILURE,
    RUNTIME,
    StateError,
)
from localaws.stepfunctions.query import Definition, seconds_until

STEP = re.compile(r"\.([A-Za-z_\u0080-\uffff][\w\u0080-\uffff-]*)|\[(-?\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
VARIABLE = re.compile(r"\$([A-Za-z_]\w*)(.*)", re.S)


class PathError(LookupError):
    """A path leads nowhere."""


def steps(path: str) -> list[str | int] | None:
    """Return the names and indexes of a reference path (`$.a[0]`), None when it is more than that."""
    found, position = [], 1
    while position < len(path):
        step = STEP.match(path, position)
        if step is None:
            return None
        name = next((part for part in (step[1], step[3], step[4]) if part is not None), None)
        found.append(int(step[2]) if name is None else name)
        position = step.end()
    return found


def find(document: Any, path: str) -> Any:
    """Return what a path selects.

    Raises
    ------
    PathError
        A reference path leads nowhere.
    """
    names = steps(path)
    if names is None:
        from jsonpath_ng.ext import parse  # type: ignore[attr-defined]

        values = [match.value for match in parse(path).find(document)]
        return values
    for name in names:
        try:
            document = document[name]
        except (KeyError, IndexError, TypeError) as error:
            raise PathError(f"The JSONPath '{path}' could not be found in the input") from error
    return document


def place(document: Any, path: str, value: Any) -> Any:
    """Return a copy of a document with a value put at a reference path (ResultPath)."""
    names = steps(path)
    if names == []:
        return value
    if names is None or not isinstance(document, dict):
        raise StateError(
            RESULT_PATH_MATCH_FAILURE,
            f"Unable to apply the ResultPath '{path}' to the input {json.dumps(document)}",
        )
    copied = json.loads(json.dumps(document))
    here = copied
    for name in names[:-1]:
        if isinstance(here, dict):
            if not isinstance(here.get(name), dict | list):
                here[name] = {}
            here = here[name]
        else:
            here = here[int(name)]
    here[names[-1]] = value
    return copied


# -- intrinsic functions -----------------------------------------------------------------------------------


def _format(template: str, *values: Any) -> str:
    pieces = re.split(r"(?<!\\)\{\}", template)
    if len(pieces) - 1 != len(values):
        raise ValueError("the number of arguments differs from the number of {} in the template")
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    joined = pieces[0] + "".join(text + piece for text, piece in zip(texts, pieces[1:], strict=True))
    return joined.replace("\\{", "{").replace("\\}", "}")


def _unique(items: list[Any]) -> list[Any]:
    return [item for index, item in enumerate(items) if item not in items[:index]]


def _get_range(first: int, last: int, step: int) -> list[int]:
    return list(range(first, last + (1 if step > 0 else -1), step))


def _merge(first: dict[str, Any], second: dict[str, Any], deep: bool) -> dict[str, Any]:
    if deep:
        raise ValueError("only shallow merging is supported: the last argument must be false")
    return {**first, **second}


def _split(text: str, separators: str) -> list[str]:
    return [part for part in re.split("[" + re.escape(separators) + "]", text) if part]


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Format": _format,
    "StringToJson": json.loads,
    "JsonToString": lambda value: json.dumps(value, separators=(",", ":")),
    "Array": lambda *values: list(values),
    "ArrayPartition": lambda items, size: [items[at : at + size] for at in range(0, len(items), size)],
    "ArrayContains": lambda items, value: value in items,
    "ArrayRange": _get_range,
    "ArrayGetItem": lambda items, index: items[index],
    "ArrayLength": len,
    "ArrayUnique": _unique,
    "Base64Encode": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64Decode": lambda text: base64.b64decode(text).decode(),
    "Hash": lambda text, algorithm: hashlib.new(
        algorithm.replace("-", ""), str(text).encode(), usedforsecurity=False
    ).hexdigest(),
    "JsonMerge": _merge,
    "MathRandom": lambda low, high, seed=None: random.Random(seed).randrange(low, high),  # noqa: S311
    "MathAdd": lambda first, second: first + second,
    "StringSplit": _split,
    "UUID": lambda: str(uuid.uuid4()),
}
TOKEN = re.compile(
    r"\s*(?:(States\.\w+)\s*\(|('(?:\\.|[^'\\])*')|(\$[^,()\s]*(?:\([^)]*\)[^,()\s]*)*)|([^,()\s]+)|([,)]))"
)


class Intrinsic:
    """Parses and evaluates one call: `States.Format('{}', $.name)`."""

    def __init__(self, text: str, look_up: Callable[[str], Any]) -> None:
        self._text = text
        self._position = 0
        self._look_up = look_up

    def evaluate(self) -> Any:
        """Return the value.

        Raises
        ------
        StateError
            States.IntrinsicFailure.
        """
        try:
            return self._value()[0]
        except (ValueError, TypeError, KeyError, IndexError, UnicodeError) as error:
            raise StateError(INTRINSIC_FAILURE, f"{self._text}: {error}") from error

    def _value(self) -> tuple[Any, bool]:
        """Return a value, and whether it was one (False at `)` and `,`)."""
        token = TOKEN.match(self._text, self._position)
        if token is None:
            raise ValueError(f"not understood from position {self._position}")
        self._position = token.end()
        call, quoted, path, literal, _ = token.groups()
        if call:
            name = call.removeprefix("States.")
            if name not in FUNCTIONS:
                raise ValueError(f"{call} is not an intrinsic function")
            return FUNCTIONS[name](*self._arguments()), True
        if quoted:
            return re.sub(r"\\(['\\])", r"\1", quoted[1:-1]), True
        if path:
            return self._look_up(path), True
        if literal:
            return json.loads(literal), True
        return token[0].strip(), False

    def _arguments(self) -> list[Any]:
        values = []
        while True:
            value, real = self._value()
            if real:
                values.append(value)
            elif value == ")":
                return values


# -- Choice ------------------------------------------------------------------------------------------------

Number, Text = (int, float), (str,)


def _moment(text: Any) -> datetime.datetime:
    if not isinstance(text, str) or not re.match(r"\d{4}-\d\d-\d\dT", text):
        raise ValueError(f"{text} is not a timestamp")
    return datetime.datetime.fromisoformat(text)


def _is_timestamp(value: Any) -> bool:
    try:
        return _moment(value).tzinfo is not None
    except ValueError:
        return False


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


RELATIONS = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
KINDS: Mapping[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    "String": (lambda value: isinstance(value, str), lambda value: value),
    "Numeric": (_number, lambda value: value),
    "Boolean": (lambda value: isinstance(value, bool), lambda value: value),
    "Timestamp": (_is_timestamp, _moment),
}
TESTS: Mapping[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": _number,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": _is_timestamp,
}
COMPARISON = re.compile(
    r"(String|Numeric|Boolean|Timestamp)(Equals|LessThan|GreaterThan|LessThanEquals|GreaterThanEquals)(Path)?"
)


class JsonPathQuery:
    """JSONPath: what the fields of a state give for one input."""

    def __init__(
        self, value: Any, context: dict[str, Any], states: dict[str, Any], variables: dict[str, Any]
    ) -> None:
        self._raw = value
        self._context = context
        self._states = states
        self._variables = variables

    def _look_up(self, path: str, document: Any) -> Any:
        try:
            if path.startswith("$$"):
                return find(self._context, path[1:])
            variable = VARIABLE.fullmatch(path)
            if variable is not None and path[1:2] not in (".", "["):
                if variable[1] not in self._variables:
                    raise PathError(f"The variable '${variable[1]}' is not defined")
                return find(self._variables[variable[1]], "$" + variable[2])
            return find(document, path)
        except PathError as error:
            raise StateError(PARAMETER_PATH_FAILURE, f"{error}: {json.dumps(document)}") from error

    def _template(self, template: Any, document: Any) -> Any:
        if isinstance(template, dict):
            return {
                key.removesuffix(".$"): self._computed(item, document)
                if key.endswith(".$")
                else self._template(item, document)
                for key, item in template.items()
            }
        if isinstance(template, list):
            return [self._template(item, document) for item in template]
        return template

    def _computed(self, text: str, document: Any) -> Any:
        if text.startswith("States."):
            return Intrinsic(text, lambda path: self._look_up(path, document)).evaluate()
        return self._look_up(text, document)

    def _effective(self, state: Definition) -> Any:
        path = state.get("InputPath", "$")
        return {} if path is None else self._look_up(path, self._raw)

    def arguments(self, state: Definition) -> Any:
        """Return `Parameters`, else the input after `InputPath`."""
        value = self._effective(state)
        return self._template(state["Parameters"], value) if "Parameters" in state else value

    def _output(self, state: Definition, result: Any) -> Any:
        path = state.get("ResultPath", "$")
        output = self._raw if path is None else place(self._raw, path, result)
        out = state.get("OutputPath", "$")
        return {} if out is None else self._look_up(out, output)

    def passed(self, state: Definition) -> tuple[Any, dict[str, Any]]:
        """Return output and variables of Pass, Wait, Succeed and Choice."""
        result = state["Result"] if "Result" in state else self.arguments(state)
        if state.get("Type") in ("Pass",):
            return self._output(state, result), self._assigned(state, result)
        out = state.get("OutputPath", "$")
        return ({} if out is None else self._look_up(out, result)), self._assigned(state, result)

    def finished(self, state: Definition, result: Any) -> tuple[Any, dict[str, Any]]:
        """Return output and variables of Task, Parallel and Map."""
        assigned = self._assigned(state, result)
        if "ResultSelector" in state:
            result = self._template(state["ResultSelector"], result)
        return self._output(state, result), assigned

    def chosen(self, state: Definition, rule: Definition) -> tuple[Any, dict[str, Any]]:
        """Return output and variables of a Choice whose rule matched."""
        output, _ = self.passed({**state, "Assign": {}})
        return output, self._assigned(rule, self._raw)

    def catch(self, catcher: Definition, error: dict[str, str]) -> Any:
        """Return the error output, put into the input by `ResultPath`."""
        path = catcher.get("ResultPath", "$")
        return self._raw if path is None else place(self._raw, path, dict(error))

    def assign(self, holder: Definition) -> dict[str, Any]:
        """Return the variables that a catcher assigns from the error output."""
        return self._assigned(holder, self._states.get("errorOutput", self._raw))

    def _assigned(self, holder: Definition, document: Any) -> dict[str, Any]:
        assigned: dict[str, Any] = self._template(holder.get("Assign", {}), document)
        return assigned

    def condition(self, rule: Definition, field: str) -> bool:
        """Return whether a comparison holds."""
        del field
        value = self._effective({})
        return self._holds(rule, value)

    def _holds(self, rule: Definition, value: Any) -> bool:
        if "Not" in rule:
            return not self._holds(rule["Not"], value)
        if "And" in rule:
            return all(self._holds(part, value) for part in rule["And"])
        if "Or" in rule:
            return any(self._holds(part, value) for part in rule["Or"])
        name = next(key for key in rule if key not in ("Variable", "Next", "Comment", "Assign"))
        if name == "IsPresent":
            return self._present(rule["Variable"], value) is rule[name]
        subject = self._look_up(rule["Variable"], value)
        if name in TESTS:
            return TESTS[name](subject) is rule[name]
        if name == "StringMatches":
            return isinstance(subject, str) and fnmatch.fnmatchcase(subject, rule[name].replace("[", "[[]"))
        compared = COMPARISON.fullmatch(name)
        if compared is None:
            raise StateError(RUNTIME, f"The comparison {name} does not exist")
        other = self._look_up(rule[name], value) if compared[3] else rule[name]
        fits, convert = KINDS[compared[1]]
        return (
            fits(subject) and fits(other) and bool(RELATIONS[compared[2]](convert(subject), convert(other)))
        )

    def _present(self, path: str, value: Any) -> bool:
        try:
            self._look_up(path, value)
        except StateError:
            return False
        return True

    def text(self, state: Definition, field: str) -> str | None:
        """Return `Error`, `ErrorPath`, `Cause` or `CausePath`."""
        path = state.get(f"{field}Path")
        if path is not None:
            return str(self._computed(path, self._raw))
        return state.get(field)

    def seconds(self, state: Definition, field: str) -> int | None:
        """Return a time limit or its `…Path`."""
        path = state.get(f"{field}Path")
        return int(self._look_up(path, self._raw)) if path is not None else state.get(field)

    def wait_seconds(self, state: Definition) -> float:
        """Return how long a Wait waits."""
        value = self._effective(state)
        for field in ("Seconds", "Timestamp"):
            path = state.get(f"{field}Path")
            given = self._look_up(path, value) if path is not None else state.get(field)
            if given is not None:
                return float(given) if field == "Seconds" else seconds_until(given)
        raise StateError(RUNTIME, "A Wait state has Seconds or Timestamp")

    def credentials(self, state: Definition) -> str | None:
        """Return the role of `Credentials`."""
        found = self._template(state.get("Credentials", {}), self._raw).get("RoleArn")
        return None if found is None else str(found)

    def number(self, state: Definition, field: str, default: float) -> float:
        """Return a number or its `…Path`."""
        path = state.get(f"{field}Path")
        return float(self._look_up(path, self._raw) if path is not None else state.get(field, default))

    def items(self, state: Definition) -> list[Any]:
        """Return what `ItemsPath` selects."""
        found = self._look_up(state.get("ItemsPath", "$"), self._effective(state))
        if not isinstance(found, list):
            raise StateError(RUNTIME, f"The items of a Map must be an array, not {json.dumps(found)}")
        return found

    def render(self, template: Any, field: str) -> Any:
        """Return a payload template."""
        del field
        return self._template(template, self._raw)
