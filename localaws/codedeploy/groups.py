"""Deployment groups: their settings, and what AWS refuses about them.

True: for the compute platform ECS everything that a deployment leans on is checked, when a group is made and
when it is changed. Not true: groups of Server and Lambda are stored only, and what concerns instances
(tags, auto scaling groups) is kept and has no effect.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from localaws.codedeploy import configurations
from localaws.codedeploy.errors import CodeDeployError

SETTINGS = (
    "deploymentConfigName", "ec2TagFilters", "onPremisesInstanceTagFilters", "autoScalingGroups",
    "serviceRoleArn", "triggerConfigurations", "alarmConfiguration", "autoRollbackConfiguration",
    "outdatedInstancesStrategy", "deploymentStyle", "blueGreenDeploymentConfiguration", "loadBalancerInfo",
    "ec2TagSet", "ecsServices", "onPremisesTagSet", "terminationHookEnabled",
)  # fmt: skip
"""Parameters of CreateDeploymentGroup and UpdateDeploymentGroup that are kept as they come."""

TRIGGER_EVENTS = frozenset(
    ("DeploymentStart", "DeploymentSuccess", "DeploymentFailure", "DeploymentStop", "DeploymentRollback",
     "DeploymentReady", "InstanceStart", "InstanceSuccess", "InstanceFailure", "InstanceReady")
)  # fmt: skip
ROLLBACK_EVENTS = frozenset(("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"))
MOST_ALARMS = 10
MOST_MINUTES = 2880
TOPIC = re.compile(r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w.-]+")


class Group:
    """A deployment group.

    Parameters
    ----------
    application, platform:
        Name and compute platform of its application.
    name:
        Its own.
    settings:
        Parameters of CreateDeploymentGroup.
    """

    def __init__(self, application: str, platform: str, name: str, settings: Mapping[str, Any]) -> None:
        self.id = str(uuid.uuid4())
        self.application = application
        self.platform = platform
        self.name = name
        self.settings = {
            "deploymentConfigName": configurations.DEFAULTS[platform],
            "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"},
            **_given(settings),
        }

    def changed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings as UpdateDeploymentGroup wants them."""
        return {**self.settings, **_given(settings)}

    def describe(self) -> dict[str, Any]:
        """Return the API's DeploymentGroupInfo, without the latest deployments."""
        return {
            "applicationName": self.application,
            "deploymentGroupId": self.id,
            "deploymentGroupName": self.name,
            "computePlatform": self.platform,
            "outdatedInstancesStrategy": "UPDATE",
            "terminationHookEnabled": False,
            **{
                name: []
                for name in (
                    "ec2TagFilters", "onPremisesInstanceTagFilters", "autoScalingGroups",
                    "triggerConfigurations",
                )
            },
            **self.settings,
        }  # fmt: skip


def service_of(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return cluster and name of the ECS service of a group that `check` accepted."""
    service = settings["ecsServices"][0]
    return service["clusterName"].rsplit("/", 1)[-1], service["serviceName"].rsplit("/", 1)[-1]


def check(platform: str, settings: Mapping[str, Any]) -> None:
    """Raise when AWS would refuse a group of these settings for what they say."""
    if not settings.get("serviceRoleArn"):
        raise CodeDeployError("RoleRequiredException", "A service role ARN is required.")
    _check_rollback(settings.get("autoRollbackConfiguration") or {})
    check_alarms(settings.get("alarmConfiguration") or {})
    for trigger in settings.get("triggerConfigurations") or []:
        _check_trigger(trigger)
    if platform == "ECS":
        _check_style(settings.get("deploymentStyle") or {})
        _check_blue_green(settings.get("blueGreenDeploymentConfiguration") or {})
        _check_balancing(settings.get("loadBalancerInfo") or {})
        services = settings.get("ecsServices") or []
        if len(services) != 1 or not services[0].get("serviceName") or not services[0].get("clusterName"):
            raise CodeDeployError(
                "InvalidECSServiceException",
                "For ECS deployment group, ecsServices must have one service, with serviceName and"
                " clusterName.",
            )


def check_alarms(alarms: Mapping[str, Any]) -> None:
    """Raise when an alarm configuration cannot be."""
    names = [each.get("name") for each in alarms.get("alarms") or []]
    if len(names) > MOST_ALARMS:
        raise CodeDeployError(
            "AlarmsLimitExceededException", f"The maximum number of alarms is {MOST_ALARMS}."
        )
    if not all(names) or len(set(names)) != len(names) or (alarms.get("enabled") and not names):
        raise CodeDeployError(
            "InvalidAlarmConfigException",
            "The alarm configuration must name alarms, each once, when it is enabled.",
        )


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in SETTINGS if settings.get(name) is not None}


def _check_rollback(rollback: Mapping[str, Any]) -> None:
    events = rollback.get("events") or []
    if (rollback.get("enabled") and not events) or not set(events) <= ROLLBACK_EVENTS:
        raise CodeDeployError(
            "InvalidAutoRollbackConfigException",
            "An automatic rollback that is enabled needs events, out of"
            f" {', '.join(sorted(ROLLBACK_EVENTS))}.",
        )


def _check_trigger(trigger: Mapping[str, Any]) -> None:
    arn, events = str(trigger.get("triggerTargetArn")), set(trigger.get("triggerEvents") or [])
    if not trigger.get("triggerName") or not TOPIC.fullmatch(arn) or not events or events - TRIGGER_EVENTS:
        raise CodeDeployError(
            "InvalidTriggerConfigException",
            "A trigger needs a name, the ARN of an SNS topic and known events, unlike"
            f" {trigger.get('triggerName')}.",
        )


def _check_style(style: Mapping[str, Any]) -> None:
    wanted = ("BLUE_GREEN", "WITH_TRAFFIC_CONTROL")
    if (style.get("deploymentType"), style.get("deploymentOption")) != wanted:
        raise CodeDeployError(
            "InvalidDeploymentStyleException",
            "For ECS deployment group, deployment type must be BLUE_GREEN and deployment option must be"
            " WITH_TRAFFIC_CONTROL.",
        )


def _check_blue_green(configuration: Mapping[str, Any]) -> None:
    termination = configuration.get("terminateBlueInstancesOnDeploymentSuccess") or {}
    ready = configuration.get("deploymentReadyOption") or {}
    faults = []
    if termination.get("action") != "TERMINATE":
        faults.append("terminateBlueInstancesOnDeploymentSuccess must have the action TERMINATE")
    if ready.get("actionOnTimeout") not in ("CONTINUE_DEPLOYMENT", "STOP_DEPLOYMENT"):
        faults.append("deploymentReadyOption needs an actionOnTimeout")
    if ready.get("actionOnTimeout") == "STOP_DEPLOYMENT" and not ready.get("waitTimeInMinutes"):
        faults.append("deploymentReadyOption needs waitTimeInMinutes with STOP_DEPLOYMENT")
    if ready.get("actionOnTimeout") == "CONTINUE_DEPLOYMENT" and ready.get("waitTimeInMinutes"):
        faults.append("deploymentReadyOption must not have waitTimeInMinutes with CONTINUE_DEPLOYMENT")
    for minutes in (termination.get("terminationWaitTimeInMinutes"), ready.get("waitTimeInMinutes")):
        if minutes is not None and not 0 <= minutes <= MOST_MINUTES:
            faults.append(f"waits are 0 to {MOST_MINUTES} minutes")
    if configuration.get("greenFleetProvisioningOption"):
        faults.append("greenFleetProvisioningOption does not apply")
    if faults:
        raise CodeDeployError(
            "InvalidBlueGreenDeploymentConfigurationException",
            f"For ECS deployment group, {'; '.join(faults)}.",
        )


def _check_balancing(balancing: Mapping[str, Any]) -> None:
    pairs = balancing.get("targetGroupPairInfoList") or []
    groups = pairs[0].get("targetGroups") or [] if len(pairs) == 1 else []
    names = {each.get("name") for each in groups}
    if len(groups) != 2 or len(names) != 2 or None in names:
        raise CodeDeployError(
            "InvalidTargetGroupPairException",
            "A deployment group associated with an application that uses the ECS compute platform must"
            " contain a valid pair of target groups that identify a load balancer.",
        )
    routes = [("prodTrafficRoute", 1), ("testTrafficRoute", 0)]
    for route, least in routes:
        listeners = (pairs[0].get(route) or {}).get("listenerArns") or []
        if not least <= len(listeners) <= 1:
            raise CodeDeployError(
                "InvalidLoadBalancerInfoException", f"{route} must name one listener, not {len(listeners)}."
            )
