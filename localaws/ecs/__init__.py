"""ECS: tasks are local processes, services keep them running.

True: a task is one process group per container with only the environment that ECS would give it (secrets
and parameters read with the execution role, credentials of the task role through the credentials endpoint,
metadata endpoint), an address of its own, exit codes, SIGTERM then SIGKILL, awslogs, container and load
balancer health checks. Services keep their desired count, replace what dies (backing off), deploy within
minimum and maximum percent, break the circuit and roll back. Counts, deployments, rollout states, service
events and EventBridge events report what happened.

Not true: an image is a command of this machine (see `images`); CPU, memory, volumes, ulimits, security
groups and dependsOn are stored and not enforced, and all launch types behave like Fargate. Every process
listens where it wants: a container that binds to its own address (the metadata endpoint names it) is a good
neighbour.

Refused by name: StartTask, ExecuteCommand, daemon scheduling, the deployment controller EXTERNAL. Task sets
(`task_sets`) belong to services with the deployment controller CODE_DEPLOY.
"""

import json
import queue
import time
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import (
    EcsClientException,
    ECSException,
    InvalidParameterException,
    ServiceNotFoundException,
)
from moto.ecs.models import EC2ContainerServiceBackend, ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse

from localaws import elbv2
from localaws.ecs.metadata import Metadata
from localaws.ecs.service import KEPT, Deployment, Service, _configuration
from localaws.ecs.task import Task
from localaws.ecs.task_sets import TaskSetService
from localaws.events import publisher
from localaws.runtime import Runtime

TICK_SECONDS = 0.2
STOPPED_TASKS_KEPT_SECONDS = 3600.0

REFUSED = (
    "start_task",
    "execute_command",
    "register_container_instance",
)


CONTROLLERS: Mapping[str, type[Service]] = {"ECS": Service, "CODE_DEPLOY": TaskSetService}
"""Deployment controller → the service that it makes."""


def install(runtime: Runtime) -> None:
    """Make ECS real: called once, before the server answers its first request."""
    controller = Controller(runtime)
    for action in ACTIONS:
        setattr(EC2ContainerServiceResponse, action, _handler(getattr(controller, action)))
    for action in REFUSED:
        setattr(EC2ContainerServiceResponse, action, _refuse)
    # Terraform deletes the cluster right after its services; AWS refuses while something runs in it.
    delete_cluster = EC2ContainerServiceBackend.delete_cluster

    def delete_empty_cluster(self: Any, cluster_str: str) -> Any:
        controller.check_empty(self, cluster_str)
        return delete_cluster(self, cluster_str)

    EC2ContainerServiceBackend.delete_cluster = delete_empty_cluster
    runtime.instances["ecs"] = controller.status
    runtime.background("ecs/scheduler", controller.schedule)
    runtime.background("ecs/events", controller.publish)


def _handler(action: Callable[[Any, Mapping[str, Any]], dict[str, Any]]) -> Callable[[Any], ActionResult]:
    def handle(response: Any) -> ActionResult:
        return ActionResult(action(response.ecs_backend, response._get_params()))

    return handle


def _refuse(_response: Any) -> ActionResult:
    raise NotImplementedError


ACTIONS = (
    "create_service", "update_service", "delete_service", "describe_services", "list_services",
    "run_task", "stop_task", "describe_tasks", "list_tasks",
    "create_task_set", "update_task_set", "delete_task_set", "describe_task_sets",
    "update_service_primary_task_set",
)  # fmt: skip


class ServiceNotActiveError(ECSException):  # type: ignore[misc]
    """The service is being deleted or is gone."""

    def __init__(self) -> None:
        super().__init__("ServiceNotActiveException", "Service was not ACTIVE.")


class Controller:
    """The API's actions on services and tasks, and the scheduler's loop."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.metadata = Metadata(runtime)
        self._events: queue.SimpleQueue[tuple[str, list[str], dict[str, Any]]] = queue.SimpleQueue()

    # ------------------------------------------------------------------ services

    def create_service(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateService."""
        cluster = backend._get_cluster(request.get("cluster") or "default")
        controller = (request.get("deploymentController") or {}).get("type", "ECS")
        if controller not in CONTROLLERS:
            raise InvalidParameterException(
                f"The deployment controller {controller} is not implemented by the local AWS, only"
                f" {' and '.join(CONTROLLERS)}."
            )
        if request.get("schedulingStrategy", "REPLICA") != "REPLICA":
            raise InvalidParameterException(
                "Only the REPLICA scheduling strategy is implemented by the local AWS."
            )
        key = f"{cluster.name}:{request['serviceName']}"
        existing = backend.services.get(key)
        if existing and existing.status == "ACTIVE":
            raise InvalidParameterException("Creation of service was not idempotent.")
        if existing and existing.status == "DRAINING":
            raise InvalidParameterException("Unable to Start a service that is still Draining.")
        CONTROLLERS[controller].check_create(request)
        definition = self._definition(backend, request["taskDefinition"])
        _check_network(definition, request)
        service = CONTROLLERS[controller](
            cluster, request, definition, self._service_task, self._target_groups(request), self._announce
        )
        backend.services[key] = service
        return {"service": service.describe()}

    def update_service(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateService: scale at once; a new definition, network or force begins a deployment."""
        service = self._service(backend, request)
        if service.status != "ACTIVE":
            raise ServiceNotActiveError()
        service.check_update(request)
        definition = service.primary.definition
        if request.get("taskDefinition"):
            definition = self._definition(backend, request["taskDefinition"])
        with service.lock:
            before = service.settings.get("networkConfiguration")
            service.settings.update({name: request[name] for name in KEPT if request.get(name) is not None})
            if request.get("loadBalancers") is not None:
                service.target_groups = self._target_groups(request)
            if request.get("deploymentConfiguration"):
                service.deployment_configuration = _configuration(
                    {**service.deployment_configuration, **request["deploymentConfiguration"]}
                )
            if request.get("desiredCount") is not None:
                service.scale(int(request["desiredCount"]))
            moved = before != service.settings.get("networkConfiguration")
            if definition.arn != service.primary.definition.arn or moved or request.get("forceNewDeployment"):
                service.deploy(definition)
            return {"service": service.describe()}

    def delete_service(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """DeleteService: DRAINING until the last task has stopped, then INACTIVE."""
        service = self._service(backend, request)
        if service.status != "ACTIVE":
            raise ServiceNotActiveError()
        if service.desired_count > 0 and not request.get("force"):
            raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
        with service.lock:
            service.scale(0)
            service.status = "DRAINING"
            return {"service": service.describe()}

    def describe_services(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeServices: what is not there is a failure with reason MISSING."""
        cluster = backend._get_cluster(request.get("cluster") or "default")
        found, failures = backend.describe_services(cluster.name, request.get("services") or [])
        described = [service.describe() for service in found]
        if "TAGS" not in (request.get("include") or []):
            for each in described:
                each.pop("tags", None)
        return {"services": described, "failures": failures}

    def list_services(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """ListServices."""
        cluster = backend._get_cluster(request.get("cluster") or "default")
        return {
            "serviceArns": sorted(
                service.arn
                for service in backend.services.values()
                if service.cluster_name == cluster.name and service.status != "INACTIVE"
            )
        }

    # ------------------------------------------------------------------ task sets

    def create_task_set(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateTaskSet."""
        service = self._task_set_service(backend, request)
        if service.status != "ACTIVE":
            raise ServiceNotActiveError()
        definition = self._definition(backend, request["taskDefinition"])
        task_set = service.create(request, definition, self._target_groups(request))
        return {"taskSet": service.describe_task_set(task_set)}

    def update_task_set(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateTaskSet: the scale."""
        service = self._task_set_service(backend, request)
        return {"taskSet": service.describe_task_set(service.rescale(request["taskSet"], request["scale"]))}

    def delete_task_set(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """DeleteTaskSet: DRAINING until its last task has stopped."""
        service = self._task_set_service(backend, request)
        removed = service.remove(request["taskSet"], force=bool(request.get("force")))
        return {"taskSet": service.describe_task_set(removed)}

    def describe_task_sets(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeTaskSets: what is not there is a failure with reason MISSING."""
        service = self._task_set_service(backend, request)
        shown = [service.describe_task_set(each) for each in list(service.deployments)]
        wanted = request.get("taskSets")
        if not wanted:
            return {"taskSets": shown, "failures": []}
        known = {name: each for each in shown for name in (each["id"], each["taskSetArn"])}
        return {
            "taskSets": [known[name] for name in wanted if name in known],
            "failures": [{"arn": name, "reason": "MISSING"} for name in wanted if name not in known],
        }

    def update_service_primary_task_set(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateServicePrimaryTaskSet."""
        service = self._task_set_service(backend, request)
        return {"taskSet": service.describe_task_set(service.make_primary(request["primaryTaskSet"]))}

    def _task_set_service(self, backend: Any, request: Mapping[str, Any]) -> TaskSetService:
        service = self._service(backend, request)
        if not isinstance(service, TaskSetService):
            raise InvalidParameterException(
                "Task sets need a service with the deployment controller CODE_DEPLOY or EXTERNAL."
            )
        return service

    # ------------------------------------------------------------------ tasks

    def run_task(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """RunTask."""
        cluster = backend._get_cluster(request.get("cluster") or "default")
        definition = self._definition(backend, request["taskDefinition"])
        _check_network(definition, request)
        known = {each["name"] for each in definition.container_definitions}
        for override in (request.get("overrides") or {}).get("containerOverrides") or []:
            if override.get("name") not in known:
                raise InvalidParameterException(
                    f"Override for container named {override.get('name')} is not a container in the"
                    " TaskDefinition."
                )
        tasks = [
            self._task(backend, cluster, definition, request) for _ in range(int(request.get("count") or 1))
        ]
        return {"tasks": [task.describe() for task in tasks], "failures": []}

    def stop_task(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """StopTask."""
        cluster = backend._get_cluster(request.get("cluster") or "default")
        name = request["task"].rsplit("/", 1)[-1]
        for task in backend.tasks.get(cluster.name, {}).values():
            if task.id == name:
                task.request_stop("UserInitiated", request.get("reason") or "Task stopped by user")
                return {"task": task.describe()}
        raise InvalidParameterException("The referenced task was not found.")

    def describe_tasks(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """DescribeTasks."""
        cluster = backend._get_cluster(request.get("cluster") or "default")
        known = {task.id: task for task in backend.tasks.get(cluster.name, {}).values()}
        described, failures = [], []
        for wanted in request.get("tasks") or []:
            name = wanted.rsplit("/", 1)[-1]
            if name in known:
                each = known[name].describe()
                if "TAGS" not in (request.get("include") or []):
                    each.pop("tags", None)
                described.append(each)
            else:
                prefix = cluster.arn.rsplit(":", 1)[0]
                failures.append({"arn": f"{prefix}:task/{cluster.name}/{name}", "reason": "MISSING"})
        return {"tasks": described, "failures": failures}

    def list_tasks(self, backend: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        """ListTasks: by service, family, startedBy and desired status (RUNNING unless asked)."""
        cluster = backend._get_cluster(request.get("cluster") or "default")
        service = request.get("serviceName")
        if service and f"{cluster.name}:{service.rsplit('/', 1)[-1]}" not in backend.services:
            raise ServiceNotFoundException
        group = f"service:{service.rsplit('/', 1)[-1]}" if service else None
        return {
            "taskArns": [
                task.task_arn
                for task in list(backend.tasks.get(cluster.name, {}).values())
                if task.desired_status == (request.get("desiredStatus") or "RUNNING")
                and group in (None, task.request.get("group"))
                and request.get("family") in (None, task.definition.family)
                and request.get("startedBy") in (None, task.request.get("startedBy"))
                and request.get("launchType") in (None, task.request.get("launchType"))
            ]
        }

    # ------------------------------------------------------------------ scheduler

    def schedule(self) -> None:
        """Reconcile every service, for as long as the server lives."""
        while True:
            for _, _, backend in list(ecs_backends.iter_backends()):
                for service in list(backend.services.values()):
                    try:
                        service.reconcile()
                    except Exception:
                        self.runtime.log.exception("ecs: service %s", service.name)
                self._count(backend)
            time.sleep(TICK_SECONDS)

    @staticmethod
    def _count(backend: Any) -> None:
        """Update the clusters' counts and forget tasks that stopped an hour ago, as ECS does."""
        for cluster in list(backend.clusters.values()):
            tasks = backend.tasks.setdefault(cluster.name, {})
            now = time.time()
            for arn, task in list(tasks.items()):
                stopped = task.times.get("stoppedAt")
                if stopped and now - stopped.timestamp() > STOPPED_TASKS_KEPT_SECONDS:
                    del tasks[arn]
            cluster.running_tasks_count = sum(task.status == "RUNNING" for task in tasks.values())
            cluster.pending_tasks_count = sum(
                task.status in ("PROVISIONING", "PENDING") for task in tasks.values()
            )
            cluster.active_services_count = sum(
                service.cluster_name == cluster.name and service.status == "ACTIVE"
                for service in backend.services.values()
            )

    def check_empty(self, backend: Any, name: str) -> None:
        """Raise when a cluster still has services or tasks."""
        cluster = backend._get_cluster(name)
        if any(
            service.cluster_name == cluster.name and service.status != "INACTIVE"
            for service in backend.services.values()
        ):
            raise ECSException(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        if any(task.status != "STOPPED" for task in backend.tasks.get(cluster.name, {}).values()):
            raise ECSException(
                "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
            )

    # ------------------------------------------------------------------ helpers

    @staticmethod
    def _definition(backend: Any, name: str) -> Any:
        family = name.rsplit("/", 1)[-1]
        if ":" not in family:
            active = [
                each for each in backend.task_definitions.get(family, {}).values() if each.status == "ACTIVE"
            ]
            if not active:
                raise EcsClientException("Unable to find task definition.")
            return max(active, key=lambda each: each.revision)
        definition = backend.describe_task_definition(name)
        if definition.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        return definition

    @staticmethod
    def _service(backend: Any, request: Mapping[str, Any]) -> Service:
        cluster = backend._get_cluster(request.get("cluster") or "default")
        service = backend.services.get(f"{cluster.name}:{request['service'].rsplit('/', 1)[-1]}")
        if service is None:
            raise ServiceNotFoundException
        return service  # type: ignore[no-any-return]

    def _task(
        self, backend: Any, cluster: Any, definition: Any, request: Mapping[str, Any], balancing: Any = None
    ) -> Task:
        task = Task(
            self.runtime, self.metadata, cluster, definition, request,
            self._task_changed, balancing,
        )  # fmt: skip
        backend.tasks.setdefault(cluster.name, {})[task.task_arn] = task
        self._task_changed(task)
        task.start()
        return task

    def _service_task(
        self, service: Service, request: Mapping[str, Any], definition: Any, balancing: Any
    ) -> Task:
        region, account = service.arn.split(":")[3:5]
        tags = {"SERVICE": service.tags, "TASK_DEFINITION": definition.tags}.get(
            service.settings.get("propagateTags", "NONE"), []
        )
        backend = ecs_backends[account][region]
        return self._task(backend, service.cluster, definition, {**request, "tags": tags}, balancing)

    @staticmethod
    def _target_groups(request: Mapping[str, Any]) -> "elbv2.Targets | None":
        wanted = [each for each in request.get("loadBalancers") or [] if each.get("targetGroupArn")]
        if not wanted:
            return None
        for each in wanted:
            if not elbv2.exists(each["targetGroupArn"]):
                raise InvalidParameterException(
                    f"The target group with targetGroupArn {each['targetGroupArn']} does not exist."
                )
            if not elbv2.attached(each["targetGroupArn"]):
                raise InvalidParameterException(
                    f"The target group with targetGroupArn {each['targetGroupArn']} does not have an"
                    " associated"
                    " load balancer."
                )
        return elbv2.Targets([(each["targetGroupArn"], int(each["containerPort"])) for each in wanted])

    # ------------------------------------------------------------------ events

    def _task_changed(self, task: Task) -> None:
        detail = json.loads(json.dumps(task.describe(), default=lambda moment: moment.isoformat()))
        self._events.put(("ECS Task State Change", [task.task_arn], detail))

    def _announce(self, service: Service, name: str, kind: str, deployment: Deployment | None) -> None:
        detail = {"eventName": name, "eventType": kind, "clusterArn": service.cluster.arn}
        if deployment:
            detail |= {"deploymentId": deployment.id, "reason": deployment.reason}
        about = "ECS Deployment State Change" if deployment else "ECS Service Action"
        self._events.put((about, [service.arn], detail))

    def publish(self) -> None:
        """Send the events to EventBridge in the order in which they happened."""
        send = publisher(self.runtime)
        while True:
            kind, resources, detail = self._events.get()
            try:
                send("aws.ecs", kind, resources, detail)
            except Exception:
                self.runtime.log.exception("ecs: %s was not delivered", kind)

    def status(self) -> list[dict[str, Any]]:
        """Return what `status` shows."""
        return [
            {
                "name": f"{service.cluster_name}/{service.name}",
                "status": service.status,
                "desired": service.desired_count,
                "running": service.running_count,
            }
            for _, _, backend in list(ecs_backends.iter_backends())
            for service in list(backend.services.values())
            if service.status != "INACTIVE"
        ]


def _check_network(definition: Any, request: Mapping[str, Any]) -> None:
    if definition.network_mode == "awsvpc" and not request.get("networkConfiguration"):
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )


__all__ = ["install"]
