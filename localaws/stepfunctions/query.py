"""The fields of a state in its query language: what goes in, what comes out, what is assigned."""

import datetime
from collections.abc import Mapping
from typing import Any, Protocol

from localaws.stepfunctions import jsonata
from localaws.stepfunctions.errors import QUERY_EVALUATION_ERROR, RUNTIME, StateError

Definition = Mapping[str, Any]


class Query(Protocol):
    """Evaluates the fields of one state for one input."""

    def __init__(
        self, value: Any, context: dict[str, Any], states: dict[str, Any], variables: dict[str, Any]
    ) -> None: ...

    def arguments(self, state: Definition) -> Any:
        """Return what the state sends."""

    def passed(self, state: Definition) -> tuple[Any, dict[str, Any]]:
        """Return output and assigned variables of a state without a result (Pass, Wait, Succeed, Choice)."""

    def finished(self, state: Definition, result: Any) -> tuple[Any, dict[str, Any]]:
        """Return output and assigned variables of a state with a result (Task, Parallel, Map)."""

    def chosen(self, state: Definition, rule: Definition) -> tuple[Any, dict[str, Any]]:
        """Return output and assigned variables of a Choice whose rule matched."""

    def catch(self, catcher: Definition, error: dict[str, str]) -> Any:
        """Return the output of a caught error."""

    def assign(self, holder: Definition) -> dict[str, Any]:
        """Return the variables that a state or a catcher assigns."""

    def condition(self, rule: Definition, field: str) -> bool:
        """Return whether a rule of a Choice matches."""

    def text(self, state: Definition, field: str) -> str | None:
        """Return `Error` or `Cause` of a Fail."""

    def seconds(self, state: Definition, field: str) -> int | None:
        """Return a time limit."""

    def wait_seconds(self, state: Definition) -> float:
        """Return how long a Wait waits."""

    def credentials(self, state: Definition) -> str | None:
        """Return the role of `Credentials`."""

    def number(self, state: Definition, field: str, default: float) -> float:
        """Return a number of a Map, for example `MaxConcurrency`."""

    def items(self, state: Definition) -> list[Any]:
        """Return the items of a Map."""

    def render(self, template: Any, field: str) -> Any:
        """Return a template of a Map (ItemSelector, BatchInput, Arguments of reader and writer)."""


class JsonataQuery:
    """JSONata: `Arguments`, `Output`, `Assign`, `Condition`, and expressions in most other fields."""

    def __init__(
        self, value: Any, context: dict[str, Any], states: dict[str, Any], variables: dict[str, Any]
    ) -> None:
        self._value = value
        self._states = {"input": value, "context": context, **states}
        self._variables = variables

    def render(self, template: Any, field: str) -> Any:
        """Return a template with its expressions replaced."""
        return jsonata.render(template, self._states, self._variables, field)

    def _typed(self, template: Any, kind: str, field: str) -> Any:
        return jsonata.typed(template, kind, self._states, self._variables, field)

    def arguments(self, state: Definition) -> Any:
        """Return `Arguments`; the input when there are none (`{}` for a Task would lose it too)."""
        return self.render(state["Arguments"], "Arguments") if "Arguments" in state else self._value

    def assign(self, holder: Definition) -> dict[str, Any]:
        """Return `Assign`: every expression sees the values from before."""
        return {
            name: self.render(template, f"Assign/{name}")
            for name, template in holder.get("Assign", {}).items()
        }

    def passed(self, state: Definition) -> tuple[Any, dict[str, Any]]:
        """Return `Output`, else the input."""
        output = self.render(state["Output"], "Output") if "Output" in state else self._value
        return output, self.assign(state)

    def finished(self, state: Definition, result: Any) -> tuple[Any, dict[str, Any]]:
        """Return `Output`, else the result."""
        output = self.render(state["Output"], "Output") if "Output" in state else result
        return output, self.assign(state)

    def chosen(self, state: Definition, rule: Definition) -> tuple[Any, dict[str, Any]]:
        """Return `Output` of the rule, else the input; the state's own `Output` and `Assign` belong to
        `Default`."""
        del state
        return self.passed(rule)

    def catch(self, catcher: Definition, error: dict[str, str]) -> Any:
        """Return `Output` of the catcher, else the error output."""
        return self.render(catcher["Output"], "Output") if "Output" in catcher else dict(error)

    def condition(self, rule: Definition, field: str) -> bool:
        """Return `Condition`, which must be a boolean."""
        return bool(self._typed(rule["Condition"], "boolean", f"{field}/Condition"))

    def text(self, state: Definition, field: str) -> str | None:
        """Return a field that is a string or an expression that gives one."""
        return str(self._typed(state[field], "string", field)) if field in state else None

    def seconds(self, state: Definition, field: str) -> int | None:
        """Return a positive number of seconds."""
        if field not in state:
            return None
        value = self._typed(state[field], "number", field)
        if not 0 < value <= 99_999_999 or value != int(value):
            raise StateError(
                QUERY_EVALUATION_ERROR,
                f"The field '{field}' must be a whole number of seconds between 1 and 99999999, but was"
                f" {value}.",
                location=field,
            )
        return int(value)

    def wait_seconds(self, state: Definition) -> float:
        """Return `Seconds`, or the seconds until `Timestamp`."""
        if "Seconds" in state:
            value = self._typed(state["Seconds"], "number", "Seconds")
            if not 0 <= value <= 99_999_999:
                raise StateError(
                    QUERY_EVALUATION_ERROR,
                    f"The field 'Seconds' must be between 0 and 99999999, but was {value}.",
                    location="Seconds",
                )
            return float(value)
        return seconds_until(self._typed(state["Timestamp"], "string", "Timestamp"))

    def credentials(self, state: Definition) -> str | None:
        """Return `Credentials.RoleArn`."""
        if "Credentials" not in state:
            return None
        return str(self._typed(state["Credentials"]["RoleArn"], "string", "Credentials/RoleArn"))

    def number(self, state: Definition, field: str, default: float) -> float:
        """Return a number that is not negative."""
        if field not in state:
            return default
        value = float(self._typed(state[field], "number", field))
        if value < 0:
            raise StateError(
                QUERY_EVALUATION_ERROR, f"The field '{field}' must not be negative.", location=field
            )
        return value

    def items(self, state: Definition) -> list[Any]:
        """Return `Items`, else the input; it must be an array."""
        return list(self._typed(state.get("Items", "{% $states.input %}"), "array", "Items"))


def seconds_until(timestamp: str) -> float:
    """Return the seconds until an ISO 8601 moment, 0 when it is over.

    Raises
    ------
    StateError
        It is no timestamp with a time zone.
    """
    try:
        moment = datetime.datetime.fromisoformat(timestamp)
        return max(0.0, (moment - datetime.datetime.now(datetime.UTC)).total_seconds())
    except (ValueError, TypeError) as error:
        raise StateError(
            RUNTIME, f"'{timestamp}' is not a timestamp as in RFC 3339, for example 2026-01-31T12:00:00Z."
        ) from error
