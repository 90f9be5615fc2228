"""How Step Functions spells parameters, results and errors of AWS services.

`aws-sdk:` integrations take the names of the AWS SDK for Java 2: `DBInstanceIdentifier` is
`DbInstanceIdentifier` and
the fault `DBInstanceNotFoundFault` is `Rds.DbInstanceNotFoundException`. Optimised integrations take the
names of the service's
own API with a capital first letter.

Rules: https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
"""

import base64
import datetime
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.session

SERVICES = {
    "cloudwatchevents": "events",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "databasemigration": "dms",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "elasticsearch": "es",
    "eventbridge": "events",
    "resourcegroupstaggingapi": "resourcegroupstaggingapi",
    "servicediscovery": "servicediscovery",
    "sfn": "stepfunctions",
}
"""Names of the Java SDK that are not botocore's name without hyphens."""


def words(name: str) -> list[str]:
    """Split a name as the code generator of the AWS SDK for Java 2 does (`CodegenNamingUtils`)."""
    text = re.sub(r"[^A-Za-z0-9]+", " ", name)
    text = re.sub(r"([^a-z]{2,})v([0-9]+)", r"\1 v\2 ", text)
    text = re.sub(r"([^A-Z]{2,})V([0-9]+)", r"\1 V\2 ", text)
    text = re.sub(r"(?<=[a-z])(?=[A-Z]([a-zA-Z]|[0-9]))", " ", text)
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text)
    text = re.sub(r"([0-9])([a-zA-Z])", r"\1 \2", text)
    return text.split()


@cache
def java(name: str) -> str:
    """Return a member, service or shape name as the Java SDK writes it, with a capital first letter."""
    return "".join(word[:1].upper() + word[1:].lower() for word in words(name))


@cache
def capital(name: str) -> str:
    """Return a name with a capital first letter, otherwise as the API writes it."""
    return name[:1].upper() + name[1:]


@cache
def boto_service(name: str) -> str | None:
    """Return botocore's name of a service as an `aws-sdk:` resource calls it; None when there is none."""
    session = botocore.session.get_session()
    available = {service.replace("-", ""): service for service in session.get_available_services()}
    found = SERVICES.get(name) or available.get(name)
    if found is None:
        return None
    identifier = str(model(found).service_id)
    return found if name in (java(identifier).lower(), SERVICES.get(name) and name) else None


@cache
def model(service: str) -> Any:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


@cache
def operation(service: str, action: str) -> Any:
    """Return botocore's model of an action written with a small first letter; None when there is none."""
    wanted = action.lower()
    for name in model(service).operation_names:
        if name.lower() == wanted:
            return model(service).operation_model(name)
    return None


def unknown_fields(shape: Any, value: Any, spell: Callable[[str], str], path: str) -> list[str]:
    """Return one sentence for each field of a request that the service does not have, and each missing one.

    Values that are computed later (`{% %}` strings, keys that end in `.$`) count as given.
    """
    if shape is None or isinstance(value, str):
        return []
    if shape.type_name == "structure" and isinstance(value, dict):
        if getattr(shape, "is_document_type", False):
            return []
        names = {spell(name): member for name, member in shape.members.items()}
        faults = []
        given = {key.removesuffix(".$"): item for key, item in value.items()}
        for key, item in given.items():
            if key in names:
                faults += unknown_fields(names[key], item, spell, f"{path}/{key}")
            else:
                near = next((name for name in names if name.lower() == key.lower()), None)
                hint = f" (write {near})" if near else ""
                faults.append(f'The field "{key}" is not supported by Step Functions{hint} at {path}')
        faults += [
            f'The field "{spell(name)}" is required but was missing at {path}'
            for name in shape.required_members
            if spell(name) not in given
            and not shape.members[name].metadata.get("idempotencyToken")
            and not shape.members[name].serialization.get("hostLabel")
        ]
        return faults
    if shape.type_name == "list" and isinstance(value, list):
        return [
            fault
            for index, item in enumerate(value)
            for fault in unknown_fields(shape.member, item, spell, f"{path}[{index}]")
        ]
    if shape.type_name == "map" and isinstance(value, dict):
        return [
            fault
            for key, item in value.items()
            for fault in unknown_fields(shape.value, item, spell, f"{path}/{key}")
        ]
    return []


def request(shape: Any, value: Any, spell: Callable[[str], str]) -> Any:
    """Return arguments of a state as botocore takes them."""
    if shape is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict) and not shape.is_document_type:
        names = {spell(name): name for name in shape.members}
        return {
            names.get(key, key): request(shape.members[names[key]], item, spell) if key in names else item
            for key, item in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [request(shape.member, item, spell) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: request(shape.value, item, spell) for key, item in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        return value.encode()
    if shape.type_name == "blob":
        return json.dumps(value).encode()
    if shape.type_name == "string" and not isinstance(value, str):
        # AWS turns numbers and booleans into strings where the service wants a string.
        return json.dumps(value, separators=(",", ":"))
    return value


def milliseconds(moment: datetime.datetime) -> int:
    """Return a time as optimised integrations give it: milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def iso(moment: datetime.datetime) -> str:
    """Return a time as `aws-sdk:` integrations give it: ISO 8601 in UTC."""
    text = moment.astimezone(datetime.UTC).isoformat(
        timespec="milliseconds" if moment.microsecond else "seconds"
    )
    return text.replace("+00:00", "Z")


def response(
    shape: Any, value: Any, spell: Callable[[str], str], time: Callable[[datetime.datetime], Any]
) -> Any:
    """Return an answer of botocore as the result of a state."""
    if isinstance(value, datetime.datetime):
        return time(value)
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if shape is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            spell(name): response(shape.members.get(name), item, spell, time)
            for name, item in value.items()
            if name != "ResponseMetadata"
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [response(shape.member, item, spell, time) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: response(shape.value, item, spell, time) for key, item in value.items()}
    return value


def exception_name(shape_name: str) -> str:
    """Return the name of a Java exception: `DBSnapshotAlreadyExistsFault` →
    `DbSnapshotAlreadyExistsException`."""
    for suffix in ("Fault", "Exception"):
        if shape_name.endswith(suffix):
            return java(shape_name.removesuffix(suffix)) + "Exception"
    return java(shape_name) + "Exception"


def sdk_error(service: str, code: str) -> str:
    """Return the error name of an `aws-sdk:` task: `Rds.DbInstanceNotFoundException`, or `Rds.RdsException`
    when not modelled."""
    described = model(service)
    prefix = java(str(described.service_id))
    for shape in described.error_shapes:
        if code in (shape.name, shape.metadata.get("error", {}).get("code")):
            return f"{prefix}.{exception_name(shape.name)}"
    return f"{prefix}.{prefix}Exception"
