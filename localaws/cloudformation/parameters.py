"""Parameters of a template: what was given, what was left out, what is wrong, all at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from localaws.cloudformation.errors import ValidationError

_SSM = "AWS::SSM::Parameter::Value<"


def given_values(asked: Sequence[Mapping[str, Any]], previous: Mapping[str, str]) -> dict[str, str]:
    """Return the values that a request gives, those of the stack where it says so.

    Raises
    ------
    ValidationError
        There is no previous value to use.
    """
    values = {}
    for parameter in asked:
        key = parameter["ParameterKey"]
        if str(parameter.get("UsePreviousValue", "")).lower() == "true":
            if key not in previous:
                raise ValidationError(
                    f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a "
                    "parameter key not in the previous template"
                )
            values[key] = previous[key]
        else:
            values[key] = str(parameter.get("ParameterValue", ""))
    return values


def with_defaults(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the text of every parameter of a template.

    Raises
    ------
    ValidationError
        Parameters are unknown, missing or not allowed.
    """
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    if unknown := sorted(given.keys() - declared.keys()):
        raise ValidationError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values, missing = {}, []
    for name, declaration in declared.items():
        if name in given:
            values[name] = given[name]
        elif "Default" in declaration:
            values[name] = str(declaration["Default"])
        else:
            missing.append(name)
    if missing:
        raise ValidationError(f"Parameters: [{', '.join(missing)}] must have values")
    faults = [fault for name, value in values.items() for fault in _faults(name, declared[name], value)]
    if faults:
        raise ValidationError("; ".join(faults))
    return values


def _faults(name: str, declaration: Mapping[str, Any], value: str) -> list[str]:
    allowed = [str(one) for one in declaration.get("AllowedValues", [])]
    faults = []
    if allowed and value not in allowed:
        faults.append(
            f"Template error: Parameter '{name}' must be one of AllowedValues ({', '.join(allowed)})"
        )
    pattern = declaration.get("AllowedPattern")
    if pattern and not re.fullmatch(pattern, value):
        text = declaration.get("ConstraintDescription", f"must match pattern {pattern}")
        faults.append(f"Parameter '{name}': {text}")
    return faults


def resolved(
    template: Mapping[str, Any], values: Mapping[str, str], read_parameter: Callable[[str], str]
) -> dict[str, Any]:
    """Return what `Ref` of each parameter is: text, a number's text, a list, or what SSM holds."""
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    found: dict[str, Any] = {}
    for name, value in values.items():
        kind = str(declared[name].get("Type", "String"))
        text = read_parameter(value) if kind.startswith(_SSM) else value
        is_list = "List" in kind
        found[name] = [part.strip() for part in text.split(",")] if is_list else text
    return found
