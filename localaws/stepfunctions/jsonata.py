"""JSONata as Step Functions evaluates it, on the `jsonata-python` library.

True: the language itself, Step Functions' own functions ($parse, $partition, $range, $hash, $random with a
seed, $uuid), `$eval` refused, undefined results refused, causes that name expression and field.
Not exact: the wording of an error that JSONata itself throws is the library's.

Rules: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import copy
import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from jsonata import JException, Jsonata
from jsonata.utils import Utils

from localaws.stepfunctions.errors import QUERY_EVALUATION_ERROR, StateError

OPENING, CLOSING = "{%", "%}"
NULL = Utils.NULL_VALUE
UNDEFINED = object()
"""What an expression without a result evaluates to (JSON null is None)."""


class FunctionError(ValueError):
    """A function of Step Functions was called with arguments it does not take."""


def is_expression(value: object) -> bool:
    """Return whether a JSON value is a string enclosed in `{% %}`."""
    return (
        isinstance(value, str) and value.startswith(OPENING) and value.endswith(CLOSING) and len(value) >= 4
    )


def expression_of(value: str) -> str:
    """Return the JSONata between `{%` and `%}`."""
    return value[len(OPENING) : -len(CLOSING)].strip()


# -- Step Functions' own functions -------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    return None if value is None else to_json(value)


def _parse(text: Any = None, *_: Any) -> Any:
    if text is None:
        return None
    if not isinstance(text, str):
        raise FunctionError("$parse: the argument must be a string")
    try:
        return to_jsonata(json.loads(text))
    except ValueError as error:
        raise FunctionError(f"$parse: the string is not JSON: {error}") from error


def _partition(array: Any = None, size: Any = None, *_: Any) -> Any:
    if array is None:
        return None
    items = list(array) if isinstance(array, list) else [array]
    if not isinstance(size, int | float) or isinstance(size, bool) or int(size) < 1:
        raise FunctionError("$partition: the chunk size must be a positive integer")
    step = int(size)
    return [items[start : start + step] for start in range(0, len(items), step)]


def _range(first: Any = None, last: Any = None, delta: Any = None, *_: Any) -> Any:
    if any(not isinstance(value, int | float) or isinstance(value, bool) for value in (first, last, delta)):
        raise FunctionError("$range: first, last and delta must be numbers")
    if delta == 0:
        raise FunctionError("$range: delta must not be 0")
    count = math.floor((last - first) / delta) + 1
    if count > 1000:
        raise FunctionError("$range: the array would have more than 1000 items")
    return [first + index * delta for index in range(max(count, 0))]


ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def _hash(content: Any = None, algorithm: Any = None, *_: Any) -> Any:
    if content is None:
        return None
    if algorithm not in ALGORITHMS:
        raise FunctionError(f"$hash: the algorithm must be one of {', '.join(ALGORITHMS)}")
    text = content if isinstance(content, str) else json.dumps(_plain(content), separators=(",", ":"))
    return hashlib.new(ALGORITHMS[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _random(seed: Any = None, *_: Any) -> float:
    return random.Random(None if seed is None else str(seed)).random()  # noqa: S311 (as AWS: not for secrets)


def _uuid(*_: Any) -> str:
    return str(uuid.uuid4())


def _eval(*_: Any) -> Any:
    raise FunctionError("$eval is not supported by Step Functions: use $parse")


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "parse": _parse,
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": _uuid,
    "eval": _eval,
}
_BOUND_FUNCTIONS = {name: Jsonata.JLambda(function) for name, function in FUNCTIONS.items()}


# -- values ------------------------------------------------------------------------------------------------


def to_jsonata(value: Any) -> Any:
    """Return a JSON value with JSONata's null in place of None (which the library takes for undefined)."""
    if value is None:
        return NULL
    if isinstance(value, dict):
        return {key: to_jsonata(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_jsonata(item) for item in value]
    return value


def to_json(value: Any) -> Any:
    """Return a result of the library as plain JSON: lists are lists, null is None, 2.0 is 2.

    Raises
    ------
    FunctionError
        The value is a function: it has no JSON.
    """
    if value is NULL or value is None:
        return None
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple | range) or hasattr(value, "__iter__"):
        return [to_json(item) for item in value]
    raise FunctionError("the result is a function or a regular expression, which have no JSON")


# -- expressions -------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Jsonata:
    compiled = Jsonata(expression)
    compiled.set_output_convert_nulls(False)
    compiled.set_validate_input(False)
    return compiled


def check(expression: str) -> str | None:
    """Return why an expression is not JSONata, or None when it is."""
    try:
        _compiled(expression)
    except JException as error:
        return str(error)
    except Exception as error:  # the library's parser fails in its own ways on some inputs
        return f"{type(error).__name__}: {error}"
    return None


def references(expression: str) -> Iterator[tuple[str, ...]]:
    """Yield every variable of an expression with the names that follow it: `("states", "input", "a")`."""
    yield from _references(_compiled(expression).ast, set())


def _references(node: Any, seen: set[int]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, list | tuple):
        for item in node:
            yield from _references(item, seen)
        return
    if not hasattr(node, "__dict__") or id(node) in seen:
        return
    seen.add(id(node))
    kind = getattr(node, "type", None)
    if kind == "path":
        steps = list(node.steps or [])
        if steps and getattr(steps[0], "type", None) == "variable":
            names = [str(steps[0].value)]
            for step in steps[1:]:
                if getattr(step, "type", None) != "name":
                    break
                names.append(str(step.value))
            yield tuple(names)
    elif kind == "variable":
        yield (str(node.value),)
    for value in vars(node).values():
        if hasattr(value, "__dict__") or isinstance(value, list | tuple):
            yield from _references(value, seen)


def evaluate(expression: str, states: Mapping[str, Any], variables: Mapping[str, Any], field: str) -> Any:
    """Evaluate one expression.

    Parameters
    ----------
    expression:
        JSONata without `{% %}`.
    states:
        What `$states` is.
    variables:
        Variables by name, without the dollar sign.
    field:
        Field of the state, for the cause of a failure.

    Returns
    -------
    Any
        Plain JSON, or `UNDEFINED`.

    Raises
    ------
    StateError
        States.QueryEvaluationError.
    """
    try:
        instance = copy.copy(_compiled(expression))
        # The library keeps the current expression per thread ($now and $millis read their time from it).
        Jsonata.CURRENT.jsonata = instance
        bindings: dict[str, Any] = {name: to_jsonata(value) for name, value in variables.items()}
        bindings["states"] = to_jsonata(dict(states))
        bindings.update(_BOUND_FUNCTIONS)
        result = instance.evaluate(None, bindings)
        return UNDEFINED if result is None else to_json(result)
    except JException as error:
        detail = f"{error.error}: {error}"
    except FunctionError as error:
        detail = str(error)
    except RecursionError:
        detail = "the expression recurses too deeply"
    except Exception as error:  # the library lets Python's own errors escape (TypeError of a bad argument)
        detail = f"{type(error).__name__}: {error}"
    raise StateError(
        QUERY_EVALUATION_ERROR,
        f"The JSONata expression '{expression}' specified for the field '{field}' threw an error during"
        f" evaluation. {detail}",
        location=field,
    )


def render(template: Any, states: Mapping[str, Any], variables: Mapping[str, Any], field: str) -> Any:
    """Return a JSON template with every `{% %}` string replaced by its value.

    Raises
    ------
    StateError
        States.QueryEvaluationError; an expression that returns nothing (undefined) is one.
    """
    if is_expression(template):
        expression = expression_of(template)
        value = evaluate(expression, states, variables, field)
        if value is UNDEFINED:
            raise StateError(
                QUERY_EVALUATION_ERROR,
                f"The JSONata expression '{expression}' specified for the field '{field}' returned nothing"
                " (undefined).",
                location=field,
            )
        return value
    if isinstance(template, dict):
        return {key: render(item, states, variables, f"{field}/{key}") for key, item in template.items()}
    if isinstance(template, list):
        return [render(item, states, variables, f"{field}[{index}]") for index, item in enumerate(template)]
    return template


TYPES: Mapping[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
}


def typed(
    template: Any, kind: str, states: Mapping[str, Any], variables: Mapping[str, Any], field: str
) -> Any:
    """Return `render` of a field that must be of one type: boolean, number, string or array.

    Raises
    ------
    StateError
        States.QueryEvaluationError; another type is one.
    """
    value = render(template, states, variables, field)
    fits = isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    if not fits:
        raise StateError(
            QUERY_EVALUATION_ERROR,
            f"The JSONata expression '{expression_of(template) if is_expression(template) else template}'"
            f" specified for the field '{field}' returned an unexpected result type. Expected '{kind}', but"
            f" was '{_kind(value)}' for value: {json.dumps(value)}",
            location=field,
        )
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return next((kind for kind, types in TYPES.items() if isinstance(value, types)), "object")
