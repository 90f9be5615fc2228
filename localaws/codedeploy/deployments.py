"""Deployments: the record of one, as the API shows it."""

import random
import string
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localaws.codedeploy import appspec
from localaws.codedeploy.errors import CodeDeployError, EndingError

ENDED = ("Succeeded", "Failed", "Stopped")
EVENTS = (
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "AllowTestTraffic",
    "AfterAllowTestTraffic",
    "BeforeAllowTraffic",
    "AllowTraffic",
    "AfterAllowTraffic",
)
"""Lifecycle events of an ECS deployment, in order:
https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html."""

TEST_EVENTS = ("AllowTestTraffic", "AfterAllowTestTraffic")
"""Only with a test listener."""

ROLLBACK_EVENTS = ("AllowTraffic",)


def new_id() -> str:
    """Return an id as CodeDeploy makes them."""
    letters = random.choices(string.ascii_uppercase + string.digits, k=9)  # noqa: S311 - not a secret
    return f"d-{''.join(letters)}"


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


@dataclass
class LifecycleEvent:
    """One lifecycle event of the target."""

    name: str
    status: str = "Pending"
    started: datetime | None = None
    ended: datetime | None = None
    diagnostics: dict[str, str] | None = None

    def describe(self) -> dict[str, Any]:
        """Return the API's LifecycleEvent."""
        described = {
            "lifecycleEventName": self.name,
            "status": self.status,
            "startTime": self.started,
            "endTime": self.ended,
            "diagnostics": self.diagnostics,
        }
        return {name: value for name, value in described.items() if value is not None}


@dataclass
class TaskSets:
    """The two task sets of a deployment, and their shares of the production traffic.

    Attributes
    ----------
    original, replacement:
        What DescribeTaskSets said last; None as long as there is none.
    weights:
        Target group's ARN → percent.
    primary_moved:
        Whether the replacement has become the service's primary task set.
    """

    original: dict[str, Any] | None = None
    replacement: dict[str, Any] | None = None
    weights: dict[str, int] = field(default_factory=dict)
    primary_moved: bool = False

    def both(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the original and the replacement, once there are both."""
        if self.original is None or self.replacement is None:
            raise ValueError("There is no replacement task set yet.")
        return self.original, self.replacement

    def describe(self) -> list[dict[str, Any]]:
        """Return the API's ECSTaskSet of each."""
        return [
            {
                # The API spells it so.
                "identifer": each["id"],
                "desiredCount": each["computedDesiredCount"],
                "pendingCount": each["pendingCount"],
                "runningCount": each["runningCount"],
                "status": each["status"],
                "trafficWeight": float(self.weights.get(target_group(each), 0)),
                "targetGroup": {"name": target_group(each).split("/")[-2]},
                "taskSetLabel": label,
            }
            for label, each in (("Blue", self.original), ("Green", self.replacement))
            if each is not None
        ]


def target_group(task_set: Mapping[str, Any]) -> str:
    """Return the ARN of a task set's target group."""
    return str(task_set["loadBalancers"][0]["targetGroupArn"])


@dataclass
class Deployment:
    """One deployment.

    Attributes
    ----------
    application, group:
        Names; they follow when these are renamed.
    region, account:
        Where it is.
    settings:
        The deployment group's settings when it was created, with what CreateDeployment said instead.
    cluster, service:
        The ECS service.
    revision, configuration:
        As CreateDeployment had them, or the group's; the revision is empty in a rollback to what
        CreateService put in place.
    creator:
        `user` or `codeDeployRollback`.
    undoes:
        The deployment that it rolls back, or None.
    stop_asked:
        Whether StopDeployment was called.
    rollback_on_stop:
        What StopDeployment said about rolling back; None when nothing.
    go_on:
        Set by ContinueDeployment while the deployment waits.
    """

    application: str
    group: str
    region: str
    account: str
    settings: Mapping[str, Any]
    cluster: str
    service: str
    revision: dict[str, Any]
    configuration: str
    description: str | None = None
    creator: str = "user"
    undoes: "Deployment | None" = None
    previous_revision: dict[str, Any] | None = None
    id: str = field(default_factory=new_id)
    status: str = "Created"
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    completed: datetime | None = None
    touched: datetime = field(default_factory=now)
    error: dict[str, str] | None = None
    rollback_info: dict[str, str] | None = None
    events: list[LifecycleEvent] = field(default_factory=list)
    task_sets: TaskSets = field(default_factory=TaskSets)
    terminating: bool = False
    stop_asked: bool = False
    rollback_on_stop: bool | None = None
    go_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        names = ROLLBACK_EVENTS if self.undoes else EVENTS
        shown = [name for name in names if self.undoes or name not in TEST_EVENTS or self.test_listeners]
        self.events = [LifecycleEvent(name) for name in shown]

    # ------------------------------------------------------------------ settings

    @property
    def pair(self) -> dict[str, Any]:
        """The deployment group's pair of target groups and its listeners."""
        found: dict[str, Any] = self.settings["loadBalancerInfo"]["targetGroupPairInfoList"][0]
        return found

    @property
    def production_listeners(self) -> list[str]:
        """ARNs of the listeners of production traffic."""
        return list(self.pair["prodTrafficRoute"]["listenerArns"])

    @property
    def test_listeners(self) -> list[str]:
        """ARNs of the listeners of test traffic."""
        return list((self.pair.get("testTrafficRoute") or {}).get("listenerArns") or [])

    def rolls_back(self, trigger: str) -> bool:
        """Whether the deployment group asks for a rollback when this happens."""
        configured = self.settings.get("autoRollbackConfiguration") or {}
        if trigger == "DEPLOYMENT_STOP_ON_REQUEST" and self.rollback_on_stop is not None:
            return self.rollback_on_stop
        return bool(configured.get("enabled")) and trigger in (configured.get("events") or [])

    # ------------------------------------------------------------------ life

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.status not in ENDED

    def begin(self) -> None:
        """Note that it runs."""
        self.started, self.status = now(), "InProgress"

    def end(self, ending: EndingError | None = None) -> None:
        """Note how it ended: well without an ending."""
        for event in self.events:
            if event.status == "Pending":
                event.status = "Skipped"
        if ending:
            self.error = {"code": ending.code, "message": ending.message}
        self.touched = self.completed = now()
        self.status = ending.status if ending else "Succeeded"

    def run_event(self, name: str, work: Callable[[], dict[str, str] | None]) -> None:
        """Do the work of a lifecycle event, and note when and how it went."""
        event = next((each for each in self.events if each.name == name), None)
        if event is None:
            return
        event.started, event.status, self.touched = now(), "InProgress", now()
        try:
            event.diagnostics = work()
        except EndingError as ending:
            event.status = "Failed" if ending.status == "Failed" else "Skipped"
            event.diagnostics = {"errorCode": "UnknownError", "message": ending.message}
            raise
        except Exception as error:
            event.status = "Failed"
            event.diagnostics = {"errorCode": "UnknownError", "message": str(error)}
            raise
        else:
            event.status = "Succeeded"
        finally:
            event.ended = self.touched = now()

    def stop(self, roll_back: bool | None) -> None:
        """Ask for the end.

        Raises
        ------
        CodeDeployError
            It has ended.
        """
        if not self.active:
            raise CodeDeployError(
                "DeploymentAlreadyCompletedException", f"The deployment {self.id} is already complete."
            )
        self.rollback_on_stop, self.stop_asked = roll_back, True

    def carry_on(self, wait: str) -> None:
        """End the wait before rerouting (`READY_WAIT`) or before termination (`TERMINATION_WAIT`).

        Raises
        ------
        CodeDeployError
            It does not wait so.
        """
        if not self.active:
            raise CodeDeployError(
                "DeploymentAlreadyCompletedException", f"The deployment {self.id} is already complete."
            )
        if wait not in ("READY_WAIT", "TERMINATION_WAIT"):
            raise CodeDeployError(
                "InvalidDeploymentWaitTypeException", f"Invalid deployment wait type: {wait}"
            )
        if wait == "READY_WAIT" and self.status != "Ready":
            raise CodeDeployError(
                "DeploymentIsNotInReadyStateException", f"The deployment {self.id} is not in the Ready state."
            )
        if wait == "TERMINATION_WAIT" and not self.terminating:
            raise CodeDeployError(
                "InvalidDeploymentStatusException",
                f"The deployment {self.id} does not wait for the termination of its original task set.",
            )
        self.go_on.set()

    # ------------------------------------------------------------------ what the API shows

    @property
    def target_id(self) -> str:
        """Id of the only target."""
        return f"{self.cluster}:{self.service}"

    @property
    def target_status(self) -> str:
        """Status of the only target."""
        return {"Created": "Pending", "Queued": "Pending", "Stopped": "Skipped"}.get(self.status, self.status)

    def describe_target(self) -> dict[str, Any]:
        """Return the API's DeploymentTarget."""
        partition = f"arn:aws:ecs:{self.region}:{self.account}"
        return {
            "deploymentTargetType": "ECSTarget",
            "ecsTarget": {
                "deploymentId": self.id,
                "targetId": self.target_id,
                "targetArn": f"{partition}:service/{self.cluster}/{self.service}",
                "lastUpdatedAt": self.touched,
                "lifecycleEvents": [event.describe() for event in self.events],
                "status": self.target_status,
                "taskSetsInfo": self.task_sets.describe(),
            },
        }

    def overview(self) -> dict[str, int]:
        """Return the API's DeploymentOverview."""
        counts = dict.fromkeys(("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready"), 0)
        counts[self.target_status] += 1
        return counts

    def describe_short(self) -> dict[str, Any]:
        """Return the API's LastDeploymentInfo."""
        described: dict[str, Any] = {
            "deploymentId": self.id,
            "status": self.status,
            "createTime": self.created,
            "endTime": self.completed,
        }
        return {name: value for name, value in described.items() if value is not None}

    def describe(self) -> dict[str, Any]:
        """Return the API's DeploymentInfo."""
        rollback = self.rollback_info or {}
        described: dict[str, Any] = {
            "applicationName": self.application,
            "deploymentGroupName": self.group,
            "deploymentConfigName": self.configuration,
            "deploymentId": self.id,
            "previousRevision": appspec.described(self.previous_revision),
            "revision": appspec.described(self.revision),
            "status": self.status,
            "errorInformation": self.error,
            "createTime": self.created,
            "startTime": self.started,
            "completeTime": self.completed,
            "deploymentOverview": self.overview(),
            "description": self.description,
            "creator": self.creator,
            "ignoreApplicationStopFailures": False,
            "autoRollbackConfiguration": self.settings.get("autoRollbackConfiguration"),
            "updateOutdatedInstancesOnly": False,
            "rollbackInfo": rollback,
            "deploymentStyle": self.settings.get("deploymentStyle"),
            "instanceTerminationWaitTimeStarted": self.terminating,
            "blueGreenDeploymentConfiguration": self.settings.get("blueGreenDeploymentConfiguration"),
            "loadBalancerInfo": self.settings.get("loadBalancerInfo"),
            "fileExistsBehavior": "DISALLOW",
            "deploymentStatusMessages": [],
            "computePlatform": "ECS",
            "overrideAlarmConfiguration": self.settings.get("overrideAlarmConfiguration"),
        }
        return {name: value for name, value in described.items() if value is not None}
