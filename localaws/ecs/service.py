"""A service and its deployments: what the ECS scheduler keeps running.

`reconcile` is the scheduler: called a few times a second, it compares what should run with what runs and
starts or stops tasks, within minimumHealthyPercent and maximumPercent, backing off when tasks keep failing.
"""

import math
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localaws.ecs.task import LoadBalancing, Task

BACKOFF_LIMIT_SECONDS = 60.0
EVENT_LIMIT = 100
KEPT = (
    "loadBalancers", "serviceRegistries", "capacityProviderStrategy", "platformVersion",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds", "placementConstraints", "placementStrategy", "enableECSManagedTags",
    "enableExecuteCommand", "propagateTags", "availabilityZoneRebalancing", "serviceConnectConfiguration",
)  # fmt: skip
"""Settings that are stored and reported as they came."""


@dataclass
class Deployment:
    """One deployment of a service."""

    definition: Any
    desired: int
    request: Mapping[str, Any]
    id: str = field(default_factory=lambda: f"ecs-svc/{random.randrange(10**18, 10**19)}")  # noqa: S311
    status: str = "PRIMARY"
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    failed: int = 0
    next_start: float = 0.0
    tasks: list[Task] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.reason = self.reason or f"ECS deployment {self.id} in progress."

    @property
    def live(self) -> list[Task]:
        """Tasks that nobody asked to stop."""
        return [task for task in self.tasks if task.desired_status == "RUNNING"]

    def count(self, *statuses: str) -> int:
        """Return how many tasks have one of the statuses."""
        return sum(task.status in statuses for task in self.tasks)

    def move(self, rollout: str, reason: str) -> None:
        """Change the rollout state."""
        self.rollout, self.reason, self.updated = rollout, reason, datetime.now(UTC)


class Service:
    """A service.

    Parameters
    ----------
    cluster, request, definition:
        moto's cluster, CreateService's input, and moto's task definition.
    start_task:
        Makes and starts a task: (service, request of the task, definition, target groups) → Task.
    target_groups:
        Of the service; None when it has no load balancer.
    announce:
        Called with (event name, type, deployment or None): ECS's events to EventBridge.
    """

    def __init__(
        self,
        cluster: Any,
        request: Mapping[str, Any],
        definition: Any,
        start_task: Callable[["Service", Mapping[str, Any], Any, LoadBalancing | None], Task],
        target_groups: LoadBalancing | None,
        announce: Callable[["Service", str, str, Deployment | None], None],
    ) -> None:
        self.cluster = cluster
        self.name = str(request["serviceName"])
        self.cluster_name = cluster.name
        self.arn = f"{cluster.arn.rsplit(':', 1)[0]}:service/{cluster.name}/{self.name}"
        self.status = "ACTIVE"
        self.settings = {name: request[name] for name in KEPT if request.get(name) is not None}
        self.launch_type = request.get("launchType") or "FARGATE"
        self.scheduling_strategy = request.get("schedulingStrategy") or "REPLICA"
        self.role = request.get("role")
        self.deployment_controller = request.get("deploymentController") or {"type": "ECS"}
        self.deployment_configuration = _configuration(request.get("deploymentConfiguration"))
        self.desired_count = int(request.get("desiredCount") or 0)
        self.tags: list[dict[str, str]] = list(request.get("tags") or [])
        self.task_sets: list[Any] = []
        self.created = datetime.now(UTC)
        self.events: list[dict[str, Any]] = []
        self.target_groups = target_groups
        self.lock = threading.RLock()
        self._start_task = start_task
        self._announce = announce
        self._steady = False
        self.last_completed: Any = None
        self.deployments: list[Deployment] = []
        self.deploy(definition)

    @property
    def physical_resource_id(self) -> str:
        """moto's name of the ARN."""
        return self.arn

    # ------------------------------------------------------------------ changes

    @staticmethod
    def check_create(request: Mapping[str, Any]) -> None:
        """Raise when CreateService asks for what this deployment controller cannot do."""

    @staticmethod
    def check_update(request: Mapping[str, Any]) -> None:
        """Raise when UpdateService asks for what this deployment controller does not let it change."""

    def deploy(self, definition: Any) -> None:
        """Begin a deployment; the present one becomes ACTIVE until its tasks are replaced."""
        for each in self.deployments:
            each.status = "ACTIVE"
        fresh = Deployment(definition, self.desired_count, self._task_request())
        self.deployments = [fresh, *self.deployments]
        self._steady = False
        self._announce(self, "SERVICE_DEPLOYMENT_IN_PROGRESS", "INFO", fresh)

    def _task_request(self) -> dict[str, Any]:
        return {
            "launchType": self.launch_type,
            "networkConfiguration": self.settings.get("networkConfiguration"),
            "group": f"service:{self.name}",
            "enableExecuteCommand": self.settings.get("enableExecuteCommand"),
        }

    def scale(self, count: int) -> None:
        """Change the desired count."""
        if count != self.desired_count:
            self.desired_count = count
            self._steady = False

    @property
    def primary(self) -> Deployment:
        """The deployment that is to stay."""
        return self.deployments[0]

    @property
    def tasks(self) -> list[Task]:
        """Tasks of all deployments that have not ended."""
        return [task for deployment in self.deployments for task in deployment.tasks]

    # ------------------------------------------------------------------ scheduler

    def reconcile(self) -> None:
        """Bring what runs closer to what should run."""
        with self.lock:
            for deployment in self.deployments:
                self._collect(deployment)
            if self.status != "ACTIVE":
                self._drain()
                return
            self._converge()

    def _converge(self) -> None:
        self.primary.desired = self.desired_count
        self._replace_unhealthy()
        self._start_missing()
        self._stop_surplus()
        self._settle()

    def _collect(self, deployment: Deployment) -> None:
        for task in [task for task in deployment.tasks if task.status == "STOPPED"]:
            deployment.tasks.remove(task)
            if task.stop_code in ("TaskFailedToStart", "EssentialContainerExited") or (
                task.stopped_reason or ""
            ).startswith("Task failed"):
                deployment.failed += 1
                self._steady = False
                delay = (
                    0.0
                    if deployment.failed == 1
                    else min(2.0 ** (deployment.failed - 2), BACKOFF_LIMIT_SECONDS)
                )
                deployment.next_start = time.monotonic() + delay
                if task.stop_code == "TaskFailedToStart":
                    self.say(f"was unable to place a task. Reason: {task.stopped_reason}.")
                if deployment.failed == 3:
                    self.say("is unable to consistently start tasks successfully.")
                    self._announce(self, "SERVICE_TASK_START_IMPAIRED", "WARN", None)

    def _drain(self) -> None:
        for task in self.tasks:
            task.request_stop(
                "ServiceSchedulerInitiated", f"Scaling activity initiated by (deployment {self.primary.id})"
            )
        if not self.tasks:
            self.status = "INACTIVE"
            self.deployments = self.deployments[:1]

    def _replace_unhealthy(self) -> None:
        grace = float(self.settings.get("healthCheckGracePeriodSeconds") or 0)
        for task in [task for deployment in self.deployments for task in deployment.live]:
            started = task.times.get("startedAt")
            if not started or (datetime.now(UTC) - started).total_seconds() < grace:
                continue
            if task.load_balancing and task.load_balancing.state(task.address) == "unhealthy":
                task.request_stop("ServiceSchedulerInitiated", "Task failed ELB health checks")
                self.say(
                    f"(port) is unhealthy in (target-group) due to (reason Health checks failed)."
                    f" (task {task.id})"
                )

    def healthy(self, task: Task) -> bool:
        """Whether a task counts as healthy: runs, passes its container's and its target groups' checks."""
        if task.status != "RUNNING" or task.desired_status != "RUNNING":
            return False
        if task.checked and task.health != "HEALTHY":
            return False
        return task.load_balancing is None or task.load_balancing.state(task.address) == "healthy"

    def _start_missing(self) -> None:
        primary = self.primary
        if primary.rollout == "FAILED" or self._backs_off(primary):
            return
        limit = max(self.desired_count * int(self.deployment_configuration["maximumPercent"]) // 100, 1)
        room = limit - len(self.tasks)
        missing = self.desired_count - len(primary.live)
        started = []
        for _ in range(min(missing, room)):
            started.append(self._start(primary, self.target_groups))
        self._say_tasks("has started {} tasks", started)

    @staticmethod
    def _backs_off(deployment: Deployment) -> bool:
        return time.monotonic() < deployment.next_start

    def _start(self, deployment: Deployment, target_groups: LoadBalancing | None) -> Task:
        request = {**deployment.request, "startedBy": deployment.id}
        task = self._start_task(self, request, deployment.definition, target_groups)
        deployment.tasks.append(task)
        return task

    def _stop_surplus(self) -> None:
        reason = f"Scaling activity initiated by (deployment {self.primary.id})"
        surplus = self.primary.live[self.desired_count :]
        minimum = math.ceil(
            self.desired_count * int(self.deployment_configuration["minimumHealthyPercent"]) / 100
        )
        old = [task for deployment in self.deployments[1:] for task in deployment.live]
        sick = [task for task in old if not self.healthy(task)]
        ready = sum(self.healthy(task) for task in self.primary.live)
        allowed = max(0, ready + len(old) - len(sick) - minimum)
        stopping = surplus + (old if self.desired_count == 0 else sick * (ready > 0) + [
            task for task in old if task not in sick
        ][:allowed])  # fmt: skip
        for task in stopping:
            task.request_stop("ServiceSchedulerInitiated", reason)
        self._say_tasks("has stopped {} running tasks", stopping)

    def _say_tasks(self, words: str, tasks: list[Task]) -> None:
        if tasks:
            names = " ".join(f"(task {task.id})" for task in tasks)
            self.say(f"{words.format(len(tasks))}: {names}.")

    def _settle(self) -> None:
        primary = self.primary
        ready = sum(self.healthy(task) for task in primary.live)
        if primary.rollout == "IN_PROGRESS" and self._breaker_trips(primary):
            return
        self.deployments = [primary, *(each for each in self.deployments[1:] if each.tasks)]
        if (
            ready == self.desired_count
            and len(self.tasks) == self.desired_count
            and len(self.deployments) == 1
        ):
            if primary.rollout == "IN_PROGRESS":
                primary.move("COMPLETED", f"ECS deployment {primary.id} completed.")
                self.last_completed = primary.definition
                self.say(f"(deployment {primary.id}) deployment completed.")
                self._announce(self, "SERVICE_DEPLOYMENT_COMPLETED", "INFO", primary)
            if not self._steady:
                self._steady = True
                self.say("has reached a steady state.")
                self._announce(self, "SERVICE_STEADY_STATE", "INFO", None)

    def _breaker_trips(self, primary: Deployment) -> bool:
        breaker = self.deployment_configuration.get("deploymentCircuitBreaker") or {}
        threshold = min(max(3, math.ceil(self.desired_count / 2)), 200)
        if not breaker.get("enable") or primary.failed < threshold:
            return False
        primary.move("FAILED", "ECS deployment circuit breaker: tasks failed to start.")
        self.say(f"(deployment {primary.id}) deployment failed: tasks failed to start.")
        self._announce(self, "SERVICE_DEPLOYMENT_FAILED", "ERROR", primary)
        if breaker.get("rollback") and self.last_completed is not None:
            failed = primary
            self.deploy(self.last_completed)
            self.primary.reason = (
                f"ECS deployment circuit breaker: rolling back to deploymentId {self.primary.id}."
            )
            self.say(f"rolling back to deployment {self.primary.id}.")
            for task in failed.live:
                task.request_stop("ServiceSchedulerInitiated", "Deployment failed, rolling back")
        return True

    # ------------------------------------------------------------------ what the API shows

    def say(self, message: str) -> None:
        """Add a service event; the newest is first."""
        event = {
            "id": str(uuid.uuid4()),
            "createdAt": datetime.now(UTC),
            "message": f"(service {self.name}) {message}",
        }
        self.events = [event, *self.events][:EVENT_LIMIT]

    @property
    def running_count(self) -> int:
        """Tasks that run."""
        return sum(each.count("RUNNING") for each in self.deployments)

    @property
    def pending_count(self) -> int:
        """Tasks on their way to running."""
        return sum(each.count("PROVISIONING", "PENDING", "ACTIVATING") for each in self.deployments)

    def describe(self) -> dict[str, Any]:
        """Return the API's Service."""
        with self.lock:
            described = {
                "serviceArn": self.arn,
                "serviceName": self.name,
                "clusterArn": self.cluster.arn,
                "status": self.status,
                "desiredCount": self.desired_count,
                "runningCount": self.running_count,
                "pendingCount": self.pending_count,
                "launchType": self.launch_type,
                "platformFamily": "Linux",
                "taskDefinition": self.primary.definition.arn,
                "deploymentConfiguration": self.deployment_configuration,
                "deploymentController": self.deployment_controller,
                "deployments": [self._describe_deployment(each) for each in self.deployments],
                "events": list(self.events),
                "createdAt": self.created,
                "roleArn": self.role,
                "schedulingStrategy": self.scheduling_strategy,
                "tags": self.tags,
                **{
                    "loadBalancers": [],
                    "serviceRegistries": [],
                    "placementConstraints": [],
                    "placementStrategy": [],
                },
                **{"enableECSManagedTags": False, "enableExecuteCommand": False, "propagateTags": "NONE"},
                **{"platformVersion": "LATEST", "availabilityZoneRebalancing": "DISABLED"},
                **self.settings,
            }
            return {name: value for name, value in described.items() if value is not None}

    def _describe_deployment(self, deployment: Deployment) -> dict[str, Any]:
        described = {
            "id": deployment.id,
            "status": deployment.status,
            "taskDefinition": deployment.definition.arn,
            "desiredCount": deployment.desired if deployment.status == "PRIMARY" else 0,
            "pendingCount": deployment.count("PROVISIONING", "PENDING", "ACTIVATING"),
            "runningCount": deployment.count("RUNNING"),
            "failedTasks": deployment.failed,
            "createdAt": deployment.created,
            "updatedAt": deployment.updated,
            "launchType": self.launch_type,
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "networkConfiguration": deployment.request.get("networkConfiguration"),
            "rolloutState": deployment.rollout,
            "rolloutStateReason": deployment.reason,
        }
        return {name: value for name, value in described.items() if value is not None}


def _configuration(requested: Any) -> dict[str, Any]:
    return {
        "strategy": "ROLLING",
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "bakeTimeInMinutes": 0,
        **(requested or {}),
    }
