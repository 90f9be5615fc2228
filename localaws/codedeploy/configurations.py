"""Deployment configurations: in which steps production traffic moves.

True: the predefined ones by name, and custom ones of the types AllAtOnce, TimeBasedCanary and
TimeBasedLinear. Not true: what belongs to the compute platform Server (healthy hosts, zones) is stored only.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localaws.codedeploy.errors import CodeDeployError

PLATFORMS = ("Server", "Lambda", "ECS")
MOST_MINUTES = 2880
"""https://docs.aws.amazon.com/codedeploy/latest/userguide/limits.html: two days between two steps."""


def canary(percent: int, minutes: int) -> dict[str, Any]:
    """Return the routing of a canary: a part first, the rest after some minutes."""
    return {
        "type": "TimeBasedCanary",
        "timeBasedCanary": {"canaryPercentage": percent, "canaryInterval": minutes},
    }


def linear(percent: int, minutes: int) -> dict[str, Any]:
    """Return the routing of equal steps, some minutes apart."""
    return {
        "type": "TimeBasedLinear",
        "timeBasedLinear": {"linearPercentage": percent, "linearInterval": minutes},
    }


ALL_AT_ONCE = {"type": "AllAtOnce"}

PREDEFINED: Mapping[str, tuple[str, dict[str, Any]]] = {
    **{
        f"CodeDeployDefault.{name}": ("ECS", routing)
        for name, routing in {
            "ECSAllAtOnce": ALL_AT_ONCE,
            "ECSCanary10Percent5Minutes": canary(10, 5),
            "ECSCanary10Percent15Minutes": canary(10, 15),
            "ECSLinear10PercentEvery1Minutes": linear(10, 1),
            "ECSLinear10PercentEvery3Minutes": linear(10, 3),
        }.items()
    },
    **{
        f"CodeDeployDefault.{name}": ("Lambda", routing)
        for name, routing in {
            "LambdaAllAtOnce": ALL_AT_ONCE,
            **{f"LambdaCanary10Percent{each}Minutes": canary(10, each) for each in (5, 10, 15, 30)},
            **{
                f"LambdaLinear10PercentEvery{each}Minute{'s' * (each > 1)}": linear(10, each)
                for each in (1, 2, 3, 10)
            },
        }.items()
    },
    **{f"CodeDeployDefault.{name}": ("Server", {}) for name in ("AllAtOnce", "HalfAtATime", "OneAtATime")},
}
"""Name → (compute platform, traffic routing):
https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html."""

DEFAULTS = {
    "ECS": "CodeDeployDefault.ECSAllAtOnce",
    "Lambda": "CodeDeployDefault.LambdaAllAtOnce",
    "Server": "CodeDeployDefault.OneAtATime",
}
"""Compute platform → what a deployment group has that names none."""


def steps(routing: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the steps of a routing: (percent of the traffic on the new side, minutes until the next step).

    The last step is always (100, 0).
    """
    if routing["type"] == "TimeBasedCanary":
        settings = routing["timeBasedCanary"]
        return [(settings["canaryPercentage"], settings["canaryInterval"]), (100, 0)]
    if routing["type"] == "TimeBasedLinear":
        settings = routing["timeBasedLinear"]
        percent, minutes = settings["linearPercentage"], settings["linearInterval"]
        return [(reached, minutes) for reached in range(percent, 100, percent)] + [(100, 0)]
    return [(100, 0)]


class Configurations:
    """The deployment configurations of one account and region."""

    def __init__(self) -> None:
        self._known = {
            name: _record(name, platform, routing) for name, (platform, routing) in PREDEFINED.items()
        }

    def create(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make a configuration from the input of CreateDeploymentConfig."""
        name = request["deploymentConfigName"]
        if name.startswith("CodeDeployDefault."):
            raise CodeDeployError(
                "InvalidDeploymentConfigNameException",
                "Deployment configuration names cannot begin with CodeDeployDefault.",
            )
        if name in self._known:
            raise CodeDeployError(
                "DeploymentConfigAlreadyExistsException",
                f"Deployment configuration with name '{name}' already exists",
            )
        platform = request.get("computePlatform") or "Server"
        if platform not in PLATFORMS:
            raise CodeDeployError("InvalidComputePlatformException", f"Invalid compute platform: {platform}")
        routing = request.get("trafficRoutingConfig") or {}
        if platform != "Server":
            _check(routing)
        record = _record(name, platform, routing)
        for setting in ("minimumHealthyHosts", "zonalConfig"):
            if request.get(setting):
                record[setting] = request[setting]
        self._known[name] = record
        return record

    def get(self, name: str) -> dict[str, Any]:
        """Return a configuration.

        Raises
        ------
        CodeDeployError
            There is none of this name.
        """
        if name not in self._known:
            raise CodeDeployError(
                "DeploymentConfigDoesNotExistException", f"No deployment configuration found for name: {name}"
            )
        return self._known[name]

    def names(self) -> list[str]:
        """Return the names of all configurations, the predefined ones too."""
        return list(self._known)

    def delete(self, name: str) -> None:
        """Forget a configuration; one that is not there is no error."""
        if name in PREDEFINED:
            raise CodeDeployError(
                "InvalidOperationException", "Predefined deployment configurations cannot be deleted."
            )
        self._known.pop(name, None)


def _record(name: str, platform: str, routing: dict[str, Any]) -> dict[str, Any]:
    record = {
        "deploymentConfigId": str(uuid.uuid4()),
        "deploymentConfigName": name,
        "createTime": datetime.now(UTC),
        "computePlatform": platform,
    }
    return {**record, "trafficRoutingConfig": dict(routing)} if routing else record


def _check(routing: Mapping[str, Any]) -> None:
    kind = routing.get("type")
    fields = {
        "TimeBasedCanary": ("timeBasedCanary", "canaryPercentage", "canaryInterval"),
        "TimeBasedLinear": ("timeBasedLinear", "linearPercentage", "linearInterval"),
    }
    if kind == "AllAtOnce":
        return
    if kind not in fields:
        raise CodeDeployError(
            "InvalidTrafficRoutingConfigurationException",
            f"The traffic routing type must be AllAtOnce, {' or '.join(fields)}, not {kind}.",
        )
    section, percentage, interval = fields[kind]
    settings = routing.get(section) or {}
    percent, minutes = settings.get(percentage, 0), settings.get(interval, 0)
    if not 1 <= percent <= 99 or not 1 <= minutes <= MOST_MINUTES:
        raise CodeDeployError(
            "InvalidTrafficRoutingConfigurationException",
            f"{section} needs {percentage} of 1 to 99 and {interval} of 1 to {MOST_MINUTES} minutes.",
        )
