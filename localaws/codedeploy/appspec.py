"""AppSpec files of Amazon ECS deployments: what a release puts in place, and which functions it asks.

True: YAML and JSON, inline (AppSpecContent, String) or in S3; every fault is named at once. Not exact: AWS
words its faults differently.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from localaws.codedeploy.errors import CodeDeployError, failure

HOOKS = ("BeforeInstall", "AfterInstall", "AfterAllowTestTraffic", "BeforeAllowTraffic", "AfterAllowTraffic")
"""Lifecycle events at which a function can be asked."""

VERSIONS = (0, 1, "0.0", "1")
SERVICE = "AWS::ECS::Service"


@dataclass(frozen=True)
class AppSpec:
    """What an AppSpec file asks for.

    Attributes
    ----------
    task_definition:
        Of the replacement: ARN, or family with or without revision.
    container, port:
        Where the load balancer sends requests.
    options:
        More parameters of CreateTaskSet: network, platform version, capacity providers.
    hooks:
        Lifecycle event → function's name or ARN.
    """

    task_definition: str
    container: str
    port: int
    options: Mapping[str, Any] = field(default_factory=dict)
    hooks: Mapping[str, str] = field(default_factory=dict)


def check_revision(revision: Mapping[str, Any] | None) -> None:
    """Raise when CreateDeployment's revision is not one of an ECS deployment."""
    if not revision:
        raise CodeDeployError("RevisionRequiredException", "Revision is required.")
    kind = revision.get("revisionType")
    given = {
        "AppSpecContent": revision.get("appSpecContent"),
        "String": revision.get("string"),
        "S3": revision.get("s3Location"),
    }
    if kind not in given or not given[kind]:
        raise CodeDeployError(
            "InvalidRevisionException", "For ECS deployments, the revision must be AppSpecContent or S3."
        )
    if kind == "S3":
        location = revision["s3Location"]
        if not location.get("bucket") or not location.get("key"):
            raise CodeDeployError("InvalidRevisionException", "The S3 location needs a bucket and a key.")
        if str(location.get("bundleType", "")).upper() not in ("YAML", "JSON"):
            raise CodeDeployError(
                "InvalidRevisionException", "For ECS deployments, the bundle type must be YAML or JSON."
            )
        return
    content = str((given[kind] or {}).get("content") or "")
    expected = (given[kind] or {}).get("sha256")
    if not content:
        raise CodeDeployError("InvalidRevisionException", "The AppSpec content is empty.")
    if expected and expected != hashlib.sha256(content.encode()).hexdigest():
        raise CodeDeployError("InvalidRevisionException", "The SHA-256 of the AppSpec content is another.")


def content_of(revision: Mapping[str, Any], read: Callable[[Mapping[str, Any]], str]) -> str:
    """Return the text of a revision.

    Parameters
    ----------
    revision:
        That `check_revision` accepts.
    read:
        Returns the text of an S3 location.
    """
    if revision["revisionType"] == "S3":
        return read(revision["s3Location"])
    inline = revision.get("appSpecContent") or revision.get("string") or {}
    return str(inline["content"])


def described(revision: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a revision as deployments and groups show it: of an AppSpec given inline, its hash alone.

    https://docs.aws.amazon.com/cli/latest/reference/deploy/get-deployment.html
    """
    if not revision:
        return None
    shown = dict(revision)
    if shown.get("appSpecContent"):
        shown["appSpecContent"] = {"sha256": sha256_of(shown["appSpecContent"]["content"])}
    return shown


def sha256_of(content: str) -> str:
    """Return the hash by which CodeDeploy knows an AppSpec."""
    return hashlib.sha256(content.encode()).hexdigest()


def parse(content: str) -> AppSpec:
    """Return what an AppSpec file asks for.

    Raises
    ------
    localaws.codedeploy.errors.EndingError
        It is none; the message names every fault.
    """
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise _invalid([f"it is neither YAML nor JSON ({error})"]) from error
    if not isinstance(document, dict):
        raise _invalid(["it is not a mapping"])
    faults: list[str] = []
    if document.get("version") not in VERSIONS:
        faults.append("version must be 0.0")
    properties = _properties(document.get("Resources") or document.get("resources"), faults)
    hooks = _hooks(document.get("Hooks") or document.get("hooks") or [], faults)
    balancing = _mapping(properties, "LoadBalancerInfo", faults)
    definition, container = properties.get("TaskDefinition"), balancing.get("ContainerName")
    port = balancing.get("ContainerPort")
    if not isinstance(definition, str) or not definition:
        faults.append("TaskDefinition is missing")
    if not isinstance(container, str) or not container:
        faults.append("LoadBalancerInfo.ContainerName is missing")
    if not str(port).isdigit():
        faults.append("LoadBalancerInfo.ContainerPort must be a port")
    options = _options(properties, faults)
    if faults:
        raise _invalid(faults)
    return AppSpec(str(definition), str(container), int(str(port)), options, hooks)


def _properties(resources: Any, faults: list[str]) -> dict[str, Any]:
    if not isinstance(resources, list) or len(resources) != 1 or not isinstance(resources[0], dict):
        faults.append("Resources must have one resource")
        return {}
    for resource in resources[0].values():
        if not isinstance(resource, dict) or resource.get("Type") != SERVICE:
            faults.append(f"the resource's Type must be {SERVICE}")
            return {}
        return _mapping(resource, "Properties", faults)
    faults.append("Resources must have one resource")
    return {}


def _mapping(parent: Mapping[str, Any], name: str, faults: list[str]) -> dict[str, Any]:
    value = parent.get(name) or {}
    if isinstance(value, dict):
        return value
    faults.append(f"{name} must be a mapping")
    return {}


def _hooks(listed: Any, faults: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for hook in listed if isinstance(listed, list) else [listed]:
        if not isinstance(hook, dict):
            faults.append("Hooks must be a list of mappings")
            continue
        for event, function in hook.items():
            if event not in HOOKS:
                faults.append(f"Hooks has {event}, which is none of {', '.join(HOOKS)}")
            elif not isinstance(function, str) or not function:
                faults.append(f"the hook {event} names no function")
            else:
                found[event] = function
    return found


def _options(properties: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if properties.get("PlatformVersion"):
        options["platformVersion"] = str(properties["PlatformVersion"])
    network = _mapping(properties, "NetworkConfiguration", faults)
    awsvpc = _mapping(network, "AwsvpcConfiguration", faults)
    if awsvpc:
        options["networkConfiguration"] = {"awsvpcConfiguration": _small_keys(awsvpc)}
    if properties.get("CapacityProviderStrategy"):
        options["capacityProviderStrategy"] = [
            _small_keys(each) for each in properties["CapacityProviderStrategy"]
        ]
    return options


def _small_keys(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{name[:1].lower()}{name[1:]}": value for name, value in settings.items()}


def _invalid(faults: list[str]) -> Exception:
    return failure("INVALID_REVISION", f"The AppSpec file is not valid: {'; '.join(faults)}.")
