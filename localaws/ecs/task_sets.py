"""Task sets: a service whose releases somebody else puts in place (deployment controller CODE_DEPLOY).

True: the task sets of a service run side by side, each with its own task definition, target group and scale;
the primary one is what the service shows; task sets that are deleted drain before they are gone;
`stabilityStatus` says whether the task set has what it should have and all of it is healthy. The first task
set is of CreateService, the desired count is that of every task set, and what only a release may change is
refused. Not exact: AWS keeps CreateTaskSet and its kind for CodeDeploy's own use on such a service; here
nobody is refused. Refused here and not in AWS: a service without a load balancer's target group, which
CodeDeploy could never release.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.ecs.exceptions import ECSException, InvalidParameterException

from localaws.ecs.service import Deployment, Service
from localaws.ecs.task import LoadBalancing

MOST_TASK_SETS = 5
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""

FIXED = {
    "taskDefinition": "Unable to update task definition",
    "networkConfiguration": "Unable to update network parameters",
    "loadBalancers": "Unable to update load balancers",
    "serviceRegistries": "Unable to update service registries",
    "capacityProviderStrategy": "Unable to update capacity providers",
    "platformVersion": "Unable to update platform version",
    "forceNewDeployment": "Cannot force a new deployment",
}
"""Parameter of UpdateService that only CodeDeploy may change → how the refusal begins."""


class TaskSetNotFoundError(ECSException):  # type: ignore[misc]
    """The service has no such task set."""

    def __init__(self) -> None:
        super().__init__("TaskSetNotFoundException", "The specified task set does not exist.")


@dataclass
class TaskSet(Deployment):
    """One release of a service, beside others.

    Attributes
    ----------
    balancing:
        Its target groups.
    load_balancers:
        As CreateTaskSet had them.
    scale:
        Percent of the service's desired count.
    external_id, started_by:
        Of who made it: CodeDeploy's deployment.
    """

    balancing: LoadBalancing | None = None
    load_balancers: list[dict[str, Any]] = field(default_factory=list)
    scale: float = 100.0
    external_id: str | None = None
    started_by: str | None = None
    tags: list[dict[str, str]] = field(default_factory=list)
    stability: str = "STABILIZING"
    stability_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def settle(self, stability: str) -> None:
        """Note whether all of it runs and is healthy."""
        if stability != self.stability:
            self.stability, self.stability_at = stability, datetime.now(UTC)


class TaskSetService(Service):
    """A service that keeps its task sets running and leaves their coming and going to CodeDeploy."""

    deployments: list[TaskSet]  # type: ignore[assignment]

    def deploy(self, definition: Any) -> None:
        """Make the first task set, of the task definition that CreateService named."""
        self.add(
            TaskSet(
                definition,
                0,
                self._task_request(),
                balancing=self.target_groups,
                load_balancers=list(self.settings.get("loadBalancers") or []),
            )
        )

    @staticmethod
    def check_create(request: Mapping[str, Any]) -> None:
        """Raise when CreateService asks for what a service of CodeDeploy cannot be."""
        configuration = request.get("deploymentConfiguration") or {}
        if (configuration.get("deploymentCircuitBreaker") or {}).get("enable"):
            raise InvalidParameterException(
                "DeploymentCircuitBreaker feature can be configured only with ECS deployment controller type."
            )
        if len([each for each in request.get("loadBalancers") or [] if each.get("targetGroupArn")]) != 1:
            raise InvalidParameterException(
                "A service with a CODE_DEPLOY deployment controller must have one load balancer with a"
                " target group."
            )

    @staticmethod
    def check_update(request: Mapping[str, Any]) -> None:
        """Raise when UpdateService asks for what only CodeDeploy may change."""
        for name, words in FIXED.items():
            if request.get(name):
                raise InvalidParameterException(
                    f"{words} on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to"
                    " trigger a new deployment."
                )

    def scale(self, count: int) -> None:
        """Change the desired count; a service that is to run none is no longer throttled afterwards.

        Source: Amazon ECS service throttle logic.
        """
        super().scale(count)
        if count == 0:
            for task_set in self.deployments:
                task_set.failed, task_set.next_start = 0, 0.0

    # ------------------------------------------------------------------ task sets

    def create(self, request: Mapping[str, Any], definition: Any, balancing: LoadBalancing | None) -> TaskSet:
        """Add a task set beside the others, as CreateTaskSet asks for it."""
        with self.lock:
            if len(self.deployments) >= MOST_TASK_SETS:
                raise ECSException("LimitExceededException", "You've reached the limit of task sets.")
            settings = {**self._task_request()}
            if request.get("launchType"):
                settings["launchType"] = request["launchType"]
            for name in ("networkConfiguration", "platformVersion", "capacityProviderStrategy"):
                if request.get(name):
                    settings[name] = request[name]
            task_set = TaskSet(
                definition,
                0,
                settings,
                status="ACTIVE",
                balancing=balancing,
                load_balancers=list(request.get("loadBalancers") or []),
                scale=_percent(request.get("scale")),
                external_id=request.get("externalId"),
                started_by="CODE_DEPLOY",
                tags=list(request.get("tags") or []),
            )
            self.add(task_set)
            return task_set

    def add(self, task_set: TaskSet) -> None:
        """Add a task set behind the primary one."""
        self.deployments = [*self.deployments, task_set]

    def find(self, name: str) -> TaskSet:
        """Return the task set of an id or an ARN.

        Raises
        ------
        TaskSetNotFoundError
            There is none.
        """
        for task_set in self.deployments:
            if name in (task_set.id, self.task_set_arn(task_set)):
                return task_set
        raise TaskSetNotFoundError()

    def make_primary(self, name: str) -> TaskSet:
        """Let a task set be the one that the service shows."""
        with self.lock:
            chosen = self.find(name)
            if chosen.status == "DRAINING":
                raise InvalidParameterException("The task set is being deleted.")
            for task_set in self.deployments:
                if task_set.status == "PRIMARY":
                    task_set.status = "ACTIVE"
            chosen.status, chosen.updated = "PRIMARY", datetime.now(UTC)
            self.deployments = [chosen, *(each for each in self.deployments if each is not chosen)]
            return chosen

    def rescale(self, name: str, scale: Any) -> TaskSet:
        """Change how much of the desired count a task set has."""
        with self.lock:
            task_set = self.find(name)
            task_set.scale, task_set.updated = _percent(scale), datetime.now(UTC)
            return task_set

    def remove(self, name: str, *, force: bool) -> TaskSet:
        """Drain a task set; it is gone when its last task has stopped."""
        with self.lock:
            task_set = self.find(name)
            if task_set.status == "PRIMARY":
                raise InvalidParameterException("The primary task set cannot be deleted.")
            if task_set.scale > 0 and not force:
                raise InvalidParameterException("The task set cannot be deleted while it is scaled above 0.")
            task_set.status, task_set.scale = "DRAINING", 0.0
            return task_set

    # ------------------------------------------------------------------ scheduler

    def _converge(self) -> None:
        self._replace_unhealthy()
        for task_set in self.deployments:
            task_set.desired = math.ceil(self.desired_count * task_set.scale / 100)
            self._fill(task_set)
            steady = (
                len(task_set.tasks) == task_set.desired == sum(self.healthy(task) for task in task_set.live)
            )
            task_set.settle("STEADY_STATE" if steady else "STABILIZING")
        self.deployments = [each for each in self.deployments if each.status != "DRAINING" or each.tasks]
        steady = all(task_set.stability == "STEADY_STATE" for task_set in self.deployments)
        if steady and not self._steady:
            self.say("has reached a steady state.")
            self._announce(self, "SERVICE_STEADY_STATE", "INFO", None)
        self._steady = steady

    def _fill(self, task_set: TaskSet) -> None:
        surplus = task_set.live[task_set.desired :]
        for task in surplus:
            task.request_stop(
                "ServiceSchedulerInitiated", f"Scaling activity initiated by (task set {task_set.id})"
            )
        self._say_tasks("has stopped {} running tasks", surplus)
        missing = 0 if self._backs_off(task_set) else task_set.desired - len(task_set.live)
        self._say_tasks(
            "has started {} tasks", [self._start(task_set, task_set.balancing) for _ in range(missing)]
        )

    # ------------------------------------------------------------------ what the API shows

    def task_set_arn(self, task_set: TaskSet) -> str:
        """Return the ARN of a task set."""
        prefix = self.cluster.arn.rsplit(":", 1)[0]
        return f"{prefix}:task-set/{self.cluster_name}/{self.name}/{task_set.id}"

    def describe(self) -> dict[str, Any]:
        """Return the API's Service: what the primary task set is, and all task sets instead of
        deployments."""
        with self.lock:
            described = super().describe()
            network = self.primary.request.get("networkConfiguration")
            return described | {
                "deployments": [],
                "loadBalancers": self.deployments[0].load_balancers,
                **({"networkConfiguration": network} if network else {}),
                "taskSets": [self.describe_task_set(each) for each in self.deployments],
            }

    def describe_task_set(self, task_set: TaskSet) -> dict[str, Any]:
        """Return the API's TaskSet."""
        described = {
            **self._describe_deployment(task_set),
            "taskSetArn": self.task_set_arn(task_set),
            "serviceArn": self.arn,
            "clusterArn": self.cluster.arn,
            "startedBy": task_set.started_by,
            "externalId": task_set.external_id,
            "computedDesiredCount": task_set.desired,
            "loadBalancers": task_set.load_balancers,
            "serviceRegistries": [],
            "scale": {"value": task_set.scale, "unit": "PERCENT"},
            "stabilityStatus": task_set.stability,
            "stabilityStatusAt": task_set.stability_at,
            "tags": task_set.tags,
        }
        foreign = ("rolloutState", "rolloutStateReason", "failedTasks", "desiredCount")
        return {name: value for name, value in described.items() if value is not None and name not in foreign}


def _percent(scale: Any) -> float:
    percent = float((scale or {}).get("value", 100.0))
    if not 0.0 <= percent <= 100.0:
        raise InvalidParameterException("The scale of a task set is between 0 and 100 percent.")
    return percent
