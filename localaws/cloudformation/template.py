"""Templates: parsing, parameters, conditions, intrinsic functions, the order of resources."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml

from localaws.cloudformation.errors import ValidationError

NO_VALUE = object()
"""What `AWS::NoValue` stands for: the property is not there."""

_SUB = re.compile(r"\$\{([^!{}][^{}]*)\}")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        value: Any = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_scalar(node)  # type: ignore[arg-type]
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
# A date such as a policy's Version stays text.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(body: str) -> dict[str, Any]:
    """Parse a template's text, JSON or YAML.

    Raises
    ------
    ValidationError
        It is neither, or has no resources.
    """
    try:
        template = json.loads(body) if body.lstrip().startswith("{") else yaml.load(body, _Loader)  # noqa: S506
    except (ValueError, yaml.YAMLError) as error:
        raise ValidationError(f"Template format error: {error}") from None
    if not isinstance(template, dict) or not template.get("Resources"):
        raise ValidationError("Template format error: At least one Resources member must be defined.")
    return template


@dataclass
class Scope:
    """What a template's expressions refer to.

    Parameters
    ----------
    template : dict
    parameters : mapping
        Resolved values of the template's parameters.
    pseudo : mapping
        `AWS::Region` and the like.
    ref, attribute : callable
        Physical id, and an attribute, of a resource by its logical id.
    export : callable
        Value of another stack's export.
    """

    template: Mapping[str, Any]
    parameters: Mapping[str, Any]
    pseudo: Mapping[str, Any]
    ref: Callable[[str], Any]
    attribute: Callable[[str, str], Any]
    export: Callable[[str], Any]
    _conditions: dict[str, bool] = field(default_factory=dict)

    def condition(self, name: str) -> bool:
        """Return whether a condition holds."""
        if name not in self._conditions:
            try:
                expression = self.template.get("Conditions", {})[name]
            except KeyError:
                raise ValidationError(f"Template error: unresolved condition dependency {name}") from None
            self._conditions[name] = bool(self.evaluate(expression))
        return self._conditions[name]

    def included(self) -> dict[str, dict[str, Any]]:
        """Return the resources whose condition holds."""
        return {
            name: resource
            for name, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def evaluate(self, value: Any) -> Any:
        """Evaluate an expression."""
        if isinstance(value, list):
            return [item for item in map(self.evaluate, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, argument)
            if name.startswith("Fn::"):
                raise ValidationError(f"Template error: {name} is not implemented by the local AWS")
        evaluated = {key: self.evaluate(item) for key, item in value.items()}
        return {key: item for key, item in evaluated.items() if item is not NO_VALUE}

    def resolve(self, name: str) -> Any:
        """Return what a `Ref` stands for."""
        if name == "AWS::NoValue":
            return NO_VALUE
        for known in (self.pseudo, self.parameters):
            if name in known:
                return known[name]
        return self.ref(name)

    def order(self) -> list[str]:
        """Return the logical ids of the included resources, each after those that it refers to.

        Raises
        ------
        ValidationError
            A reference leads nowhere, or in a circle.
        """
        included = self.included()
        known = {
            *self.template["Resources"],
            *self.template.get("Parameters", {}),
            *self.pseudo,
            "AWS::NoValue",
        }
        dangling = sorted({name for one in included.values() for name in references(one)} - known)
        if dangling:
            raise ValidationError(
                f"Template format error: Unresolved resource dependencies [{', '.join(dangling)}] in the "
                "Resources block of the template"
            )
        graph = {name: references(resource) & included.keys() for name, resource in included.items()}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = ", ".join(dict.fromkeys(error.args[1]))
            raise ValidationError(f"Circular dependency between resources: [{circle}]") from None


def references(value: Any) -> set[str]:
    """Return every name that an expression refers to, `DependsOn` included."""
    return set(_references(value))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            match key, item:
                case "Ref", str():
                    yield item
                case "Fn::GetAtt", [str() as name, *_]:
                    yield name
                case "Fn::Sub", str() | [str(), dict()]:
                    text, own = (item, {}) if isinstance(item, str) else item
                    yield from {name.split(".")[0] for name in _SUB.findall(text)} - own.keys()
                    yield from _references(own)
                case "DependsOn", str() | list():
                    yield from [item] if isinstance(item, str) else item
                case _:
                    yield from _references(item)


# ------------------------------------------------------------------ intrinsic functions


def _find_in_map(scope: Scope, argument: Any) -> Any:
    name, *keys = scope.evaluate(argument[:3])
    found = scope.template["Mappings"][name]
    for key in keys:
        found = found[str(key)]
    return found


def _if(scope: Scope, argument: Any) -> Any:
    condition, when_true, when_false = argument
    return scope.evaluate(when_true if scope.condition(condition) else when_false)


def _select(scope: Scope, argument: Any) -> Any:
    index, values = scope.evaluate(argument)
    return values[int(index)]


def _split(scope: Scope, argument: Any) -> Any:
    separator, text = scope.evaluate(argument)
    return text.split(separator)


def _join(scope: Scope, argument: Any) -> Any:
    separator, values = argument
    return separator.join(_text(value) for value in scope.evaluate(values))


def _sub(scope: Scope, argument: Any) -> Any:
    text, own = (argument, {}) if isinstance(argument, str) else argument
    values = scope.evaluate(own)

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in values:
            return _text(values[name])
        logical, _, attribute = name.partition(".")
        return _text(scope.attribute(logical, attribute) if attribute else scope.resolve(name))

    return _SUB.sub(value, text).replace("${!", "${")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equals(scope: Scope, argument: Any) -> bool:
    left, right = scope.evaluate(argument)
    return _text(left) == _text(right)


def _zones(scope: Scope, argument: Any) -> list[str]:
    region = scope.evaluate(argument) or scope.pseudo["AWS::Region"]
    return [f"{region}{letter}" for letter in "abc"]


_FUNCTIONS: dict[str, Callable[[Scope, Any], Any]] = {
    "Ref": lambda scope, name: scope.resolve(name),
    "Condition": lambda scope, name: (
        scope.condition(name) if isinstance(name, str) else {"Condition": scope.evaluate(name)}
    ),
    "Fn::GetAtt": lambda scope, argument: scope.attribute(argument[0], str(scope.evaluate(argument[1]))),
    "Fn::Sub": _sub,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
    "Fn::If": _if,
    "Fn::FindInMap": _find_in_map,
    "Fn::ImportValue": lambda scope, argument: scope.export(scope.evaluate(argument)),
    "Fn::GetAZs": _zones,
    "Fn::Base64": lambda scope, argument: base64.b64encode(scope.evaluate(argument).encode()).decode(),
    "Fn::ToJsonString": lambda scope, argument: json.dumps(scope.evaluate(argument)),
    "Fn::Equals": _equals,
    "Fn::Not": lambda scope, argument: not scope.evaluate(argument[0]),
    "Fn::And": lambda scope, argument: all(scope.evaluate(argument)),
    "Fn::Or": lambda scope, argument: any(scope.evaluate(argument)),
    "Fn::Contains": lambda scope, argument: scope.evaluate(argument[1]) in scope.evaluate(argument[0]),
}
