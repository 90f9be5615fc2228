"""What a resource type is, and how CloudFormation's properties become parameters of an API."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from botocore.session import Session

from localaws.cloudformation.errors import ResourceFailedError

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """A resource that exists.

    Parameters
    ----------
    physical_id : str
        What `Ref` returns.
    attributes : mapping
        What `Fn::GetAtt` returns.
    """

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a resource belongs, and the clients that make it.

    Parameters
    ----------
    client : callable
        Service → client of the deployment's role.
    account, region, stack_id, stack_name, logical_id : str
    attempt : int
        Different for each time that a resource is made: part of generated names.
    """

    client: Callable[[str], Any]
    account: str
    region: str
    stack_id: str
    stack_name: str
    logical_id: str
    attempt: int = 0

    def generated_name(self, longest: int = 64) -> str:
        """Return the name of a resource whose template gives none: stack, logical id, own characters."""
        seed = f"{self.stack_id} {self.logical_id} {self.attempt}"
        suffix = hashlib.sha256(seed.encode()).hexdigest()[:12].upper()
        room = longest - len(suffix) - 2
        stack = self.stack_name[: max(room - len(self.logical_id), room // 2)]
        return f"{stack}-{self.logical_id[: room - len(stack)]}-{suffix}"

    def arn(self, service: str, resource: str) -> str:
        """Return an ARN in the stack's account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


class ResourceType:
    """One resource type. Subclasses make it through the API of its service.

    Attributes
    ----------
    name : str
        For example `AWS::S3::Bucket`.
    properties : frozenset of str
        The properties that it handles; another one fails the resource.
    replaced_by : frozenset of str
        The properties that cannot be changed: another value makes another resource.
    name_property : str or None
        The property that names the resource: two of the same name cannot be there at once.
    """

    name: str
    properties: frozenset[str]
    replaced_by: frozenset[str] = frozenset()
    name_property: str | None = None

    def create(self, place: Place, properties: Properties) -> Made:
        """Make the resource."""
        raise NotImplementedError

    def update(self, place: Place, made: Made, old: Properties, new: Properties) -> Made:
        """Change the resource in place."""
        raise NotImplementedError

    def delete(self, place: Place, made: Made, properties: Properties) -> None:
        """Delete the resource."""
        raise NotImplementedError

    def check(self, properties: Properties) -> None:
        """Refuse properties that nobody handles.

        Raises
        ------
        ResourceFailedError
            There is one.
        """
        unknown = sorted(properties.keys() - self.properties)
        if unknown:
            raise ResourceFailedError(
                f"Encountered unsupported property {', '.join(unknown)} of {self.name} (handled are "
                f"{', '.join(sorted(self.properties))})"
            )

    def is_replaced(self, old: Properties, new: Properties) -> bool:
        """Return whether a change makes another resource."""
        return any(old.get(key) != new.get(key) for key in self.replaced_by)


def tag_dictionary(properties: Properties) -> dict[str, str]:
    """Return tags as a mapping."""
    return {tag["Key"]: str(tag["Value"]) for tag in properties.get("Tags", [])}


def removed_tags(old: Properties, new: Properties) -> list[str]:
    """Return the keys of tags that are no more."""
    return sorted(tag_dictionary(old).keys() - tag_dictionary(new).keys())


@cache
def _input_shape(service: str, operation: str) -> Any:
    return Session().get_service_model(service).operation_model(operation).input_shape


def conform(service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Turn properties into the parameters of an API operation.

    CloudFormation and the APIs often differ in the case of names only (`GroupName`, `groupName`), and
    templates write numbers and booleans as text.

    Raises
    ------
    ResourceFailedError
        The API knows no such parameter, or not such a value.
    """
    conformed: dict[str, Any] = _conform(_input_shape(service, operation), parameters, operation)
    return conformed


def _conform(shape: Any, value: Any, where: str) -> Any:
    match shape.type_name:
        case "structure":
            if not isinstance(value, Mapping):
                raise ResourceFailedError(f"{where}: expected an object, found {value!r}")
            members = {name.lower(): name for name in shape.members}
            unknown = [key for key in value if key.lower() not in members]
            if unknown:
                raise ResourceFailedError(
                    f"{where}: encountered unsupported property {', '.join(sorted(unknown))}"
                )
            return {
                members[key.lower()]: _conform(shape.members[members[key.lower()]], item, f"{where}.{key}")
                for key, item in value.items()
            }
        case "list":
            return [_conform(shape.member, item, where) for item in value]
        case "map":
            return {key: _conform(shape.value, item, f"{where}.{key}") for key, item in value.items()}
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "integer" | "long":
            return _number(int, value, where)
        case "float" | "double":
            return _number(float, value, where)
        case "string":
            return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _number(kind: type[int] | type[float], value: Any, where: str) -> int | float:
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ResourceFailedError(f"{where}: expected a number, found {value!r}") from None
