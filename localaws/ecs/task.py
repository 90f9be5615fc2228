"""A task: its containers as local processes, from PROVISIONING to STOPPED."""

import json
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from localaws.ecs.logs import LogCopier
from localaws.ecs.metadata import Metadata
from localaws.images import ContainerImage, UnknownImageError
from localaws.processes import Process
from localaws.runtime import Runtime

STOP_TIMEOUT = 30
"""Seconds between SIGTERM and SIGKILL unless the container's stopTimeout says otherwise."""


class StartError(RuntimeError):
    """The task cannot start; the message is what AWS reports as stoppedReason."""


class LoadBalancing(Protocol):
    """What a task needs of a load balancer."""

    def register(self, address: str) -> None:
        """Start to send requests to the task."""

    def deregister(self, address: str) -> None:
        """Send no more requests, and return when the last one is answered."""

    def state(self, address: str) -> str:
        """Return `healthy`, `unhealthy` or `initial`: the worst over the target groups."""


@dataclass
class Container:
    """One container of a task and the process behind it."""

    definition: Mapping[str, Any]
    override: Mapping[str, Any]
    arn: str
    status: str = "PENDING"
    exit_code: int | None = None
    reason: str | None = None
    health: str = "UNKNOWN"
    started_at: datetime | None = None
    process: Process | None = None
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    directory: Path | None = None

    @property
    def name(self) -> str:
        """Name in the task definition."""
        return str(self.definition["name"])

    @property
    def essential(self) -> bool:
        """Whether the task ends with it."""
        return bool(self.definition.get("essential", True))


class Task:
    """A task of a cluster.

    Parameters
    ----------
    runtime, metadata:
        The server's insides and the endpoint that containers ask about themselves.
    cluster, definition:
        moto's cluster and task definition.
    request:
        As of RunTask (overrides, startedBy, group, tags, launchType, networkConfiguration, …).
    on_change:
        Called after each change of status.
    load_balancing:
        The service's target groups; None for a task that stands alone.
    """

    def __init__(
        self,
        runtime: Runtime,
        metadata: Metadata,
        cluster: Any,
        definition: Any,
        request: Mapping[str, Any],
        on_change: Callable[["Task"], None],
        load_balancing: LoadBalancing | None = None,
    ) -> None:
        self.runtime = runtime
        self.metadata = metadata
        self.cluster = cluster
        self.definition = definition
        self.request = request
        self.on_change = on_change
        self.load_balancing = load_balancing
        self.id = uuid.uuid4().hex
        prefix = cluster.arn.rsplit(":", 1)[0]
        self.task_arn = f"{prefix}:task/{cluster.name}/{self.id}"
        self.tags: list[dict[str, str]] = list(request.get("tags") or [])
        overrides = {
            each.get("name"): each
            for each in (request.get("overrides") or {}).get("containerOverrides") or []
        }
        self.containers = [
            Container(
                each,
                overrides.get(each["name"], {}),
                f"{prefix}:container/{cluster.name}/{self.id}/{uuid.uuid4()}",
            )
            for each in definition.container_definitions
        ]
        self.status = "PROVISIONING"
        self.desired_status = "RUNNING"
        self.stop_code: str | None = None
        self.stopped_reason: str | None = None
        self.version = 1
        self.times: dict[str, datetime] = {"createdAt": _now()}
        self.attachment = str(uuid.uuid4())
        self.interface = f"eni-{uuid.uuid4().hex[:17]}"
        self.address = runtime.addresses.allocate(f"ecs/{self.id}")
        self._stop = threading.Event()
        self._stop_lock = threading.Lock()
        self.directory = runtime.directory / "ecs" / self.id

    def start(self) -> None:
        """Start in a thread of its own."""
        self.runtime.background(f"ecs/{self.id}", self._run)

    # ------------------------------------------------------------------ life

    def _run(self) -> None:
        logs: list[LogCopier] = []
        try:
            try:
                self._move("PENDING", "pullStartedAt")
                self._launch(logs)
            except StartError as error:
                self.request_stop("TaskFailedToStart", str(error))
            else:
                self._move("RUNNING", "startedAt")
                if self.load_balancing and not self._stop.is_set():
                    self.load_balancing.register(self.address)
                self._watch()
            self._end()
        finally:
            for copier in logs:
                copier.finish()
            self.runtime.addresses.release(f"ecs/{self.id}")
            self.metadata.forget(self)
            shutil.rmtree(self.directory, ignore_errors=True)
            self.desired_status = "STOPPED"
            self._move("STOPPED", "stoppedAt")

    def _launch(self, logs: list[LogCopier]) -> None:
        self.directory.mkdir(parents=True)
        images = {each.name: self._pull(each) for each in self.containers}
        for each in self.containers:
            each.environment = self._environment(each, images[each.name])
        for each in self.containers:
            copier = LogCopier.of(self.runtime, each.definition, self.id, self.directory)
            if copier:
                try:
                    copier.create()
                except ClientError as error:
                    raise StartError(
                        "ResourceInitializationError: failed to validate logger args: create stream"
                        " has been retried"
                        f" 1 times: failed to create Cloudwatch log stream: {_words(error)} : exit status 1"
                    ) from error
                logs.append(copier)
            self._spawn(each, images[each.name])
        for copier in logs:
            copier.start()

    def _pull(self, container: Container) -> ContainerImage:
        image = str(container.definition["image"])
        try:
            return self.runtime.images.container(image)
        except UnknownImageError as error:
            container.reason = (
                f"CannotPullContainerError: pull image manifest has been retried 1 time(s): {error}"
            )
            raise StartError(container.reason) from error

    def _environment(self, container: Container, image: ContainerImage) -> dict[str, str]:
        """Return the whole environment of a container: the image's, ECS's, the definition's, secrets,
        overrides."""
        overrides = self.request.get("overrides") or {}
        role = overrides.get("taskRoleArn") or getattr(self.definition, "task_role_arn", None)
        token = self.metadata.register(self, container, role)
        environment = {
            "PATH": image.path,
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "HOSTNAME": f"ip-{self.address.replace('.', '-')}.ec2.internal",
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "ECS_CONTAINER_METADATA_URI_V4": self.metadata.url(token),
            "ECS_CONTAINER_METADATA_URI": self.metadata.url(token),
        }
        if role:
            try:
                given = self.runtime.role_environment(role, self.id)
            except Exception as error:
                raise StartError(
                    f"ECS was unable to assume the role '{role}' that was provided for this task."
                    " Please verify that"
                    " the role being passed has the proper trust relationship and permissions and"
                    " that your IAM user"
                    f" has permissions to pass this role. ({error})"
                ) from error
            keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            environment.update({name: value for name, value in given.items() if name not in keys})
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = self.metadata.credentials_url(token)
        else:
            environment["AWS_REGION"] = environment["AWS_DEFAULT_REGION"] = self.runtime.region
        environment.update(_pairs(container.definition.get("environment")))
        environment.update(self._secrets(container))
        environment.update(_pairs(container.override.get("environment")))
        return environment

    def _secrets(self, container: Container) -> dict[str, str]:
        wanted = container.definition.get("secrets") or []
        if not wanted:
            return {}
        role = (self.request.get("overrides") or {}).get("executionRoleArn") or getattr(
            self.definition, "execution_role_arn", None
        )
        if not role:
            raise StartError(
                "ResourceInitializationError: unable to pull secrets or registry auth: the task"
                " definition has no"
                " execution role"
            )
        return {each["name"]: self._secret(each["valueFrom"], role) for each in wanted}

    def _secret(self, source: str, role: str) -> str:
        """Read `arn:…:secret:name[:json-key[:stage[:version]]]`, or a parameter by name or ARN."""
        try:
            if ":secretsmanager:" in source:
                return self._manager_secret(source, role)
            return self._parameter(source, role)
        except StartError:
            raise
        except Exception as error:
            service = "secretsmanager" if ":secretsmanager:" in source else "ssm"
            kind = "asm" if service == "secretsmanager" else "ssm"
            raise StartError(
                f"ResourceInitializationError: unable to pull secrets or registry auth: execution"
                " resource retrieval"
                f" failed: unable to retrieve secret from {kind}: service call has been retried 1"
                " time(s): failed to"
                f" fetch secret {source} from {service}: {_words(error)}"
            ) from error

    def _parameter(self, source: str, role: str) -> str:
        name = source.split(":parameter", 1)[1] if ":parameter/" in source else source
        # ECS reads several at once, and so needs ssm:GetParameters of the role, not ssm:GetParameter.
        found = self.runtime.client("ssm", role_arn=role).get_parameters(Names=[name], WithDecryption=True)
        if found["InvalidParameters"]:
            raise StartError(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource"
                " retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1"
                f" time(s): invalid parameters: {name}"
            )
        return str(found["Parameters"][0]["Value"])

    def _manager_secret(self, source: str, role: str) -> str:
        parts = source.split(":")
        key, stage, version = (*parts[7:10], "", "", "")[:3]
        arguments = {"SecretId": ":".join(parts[:7])}
        if stage:
            arguments["VersionStage"] = stage
        if version:
            arguments["VersionId"] = version
        value = str(
            self.runtime.client("secretsmanager", role_arn=role).get_secret_value(**arguments)["SecretString"]
        )
        if not key:
            return value
        document = json.loads(value)
        if key not in document:
            raise StartError(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution"
                " resource retrieval"
                f" failed: unable to retrieve secret from asm: retrieved secret from Secrets Manager"
                " did not contain"
                f" json key {key}"
            )
        return str(document[key])

    def _spawn(self, container: Container, image: ContainerImage) -> None:
        entrypoint = container.definition.get("entryPoint") or list(image.entrypoint)
        command = (
            container.override.get("command") or container.definition.get("command") or list(image.command)
        )
        arguments = [*entrypoint, *command]
        container.directory = Path(container.definition.get("workingDirectory") or image.directory)
        if not arguments:
            container.reason = f"CannotStartContainerError: no command specified for {container.name}"
            raise StartError(container.reason)
        try:
            container.process = self.runtime.processes.spawn(
                f"ecs/{self.definition.family}/{container.name}/{self.id[:8]}",
                arguments,
                environment=container.environment,
                directory=container.directory,
                output=self.directory / f"{container.name}.log",
            )
        except OSError as error:
            container.reason = f"CannotStartContainerError: {arguments[0]}: {error}"
            raise StartError(container.reason) from error
        container.status, container.started_at = "RUNNING", _now()
        if container.definition.get("healthCheck"):
            self.runtime.background(f"ecs/{self.id}/health", self._check_health, container)

    def _watch(self) -> None:
        """Wait until somebody asks for the stop or an essential container ends."""
        while not self._stop.wait(0.05):
            for each in self.containers:
                if each.process and not each.process.running:
                    self._note_exit(each)
                    if each.essential:
                        self.request_stop("EssentialContainerExited", "Essential container in task exited")

    def _check_health(self, container: Container) -> None:
        check = container.definition["healthCheck"]
        interval, timeout = int(check.get("interval", 30)), int(check.get("timeout", 5))
        retries, grace = int(check.get("retries", 3)), int(check.get("startPeriod", 0))
        kind, *command = check["command"]
        arguments = ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command
        began, failures = time.monotonic(), 0
        while container.process and container.process.running and not self._stop.wait(interval):
            try:
                passed = not subprocess.run(
                    arguments, env=container.environment, cwd=container.directory, timeout=timeout,
                    capture_output=True, check=False,
                ).returncode  # fmt: skip
            except (subprocess.TimeoutExpired, OSError):
                passed = False
            if passed:
                failures, container.health = 0, "HEALTHY"
            elif time.monotonic() - began > grace:
                failures += 1
                if failures >= retries:
                    container.health = "UNHEALTHY"
                    if container.essential and self.request.get("group", "").startswith("service:"):
                        self.request_stop("ServiceSchedulerInitiated", "Task failed container health checks")

    def request_stop(self, code: str, reason: str) -> None:
        """Ask the task to stop; the first reason counts."""
        with self._stop_lock:
            if self._stop.is_set():
                return
            self.stop_code, self.stopped_reason = code, reason
            self.desired_status = "STOPPED"
            self.times["stoppingAt"] = _now()
            self._stop.set()

    def _end(self) -> None:
        if self.load_balancing and "startedAt" in self.times:
            self._move("DEACTIVATING")
            self.load_balancing.deregister(self.address)
        self._move("STOPPING")
        threads = [
            threading.Thread(
                target=each.process.terminate, args=(int(each.definition.get("stopTimeout") or STOP_TIMEOUT),)
            )
            for each in self.containers
            if each.process
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in self.containers:
            self._note_exit(each)
        self._move("DEPROVISIONING", "executionStoppedAt")

    @staticmethod
    def _note_exit(container: Container) -> None:
        container.status = "STOPPED"
        if container.process and container.exit_code is None:
            status = container.process.exit_status
            container.exit_code = status if status is None or status >= 0 else 128 - status

    def _move(self, status: str, moment: str | None = None) -> None:
        self.status = status
        self.version += 1
        if moment:
            self.times[moment] = _now()
        self.on_change(self)

    # ------------------------------------------------------------------ what the API shows

    @property
    def last_status(self) -> str:
        """moto's name of `status`."""
        return self.status

    @property
    def health(self) -> str:
        """HEALTHY, UNHEALTHY, or UNKNOWN when no essential container has a health check."""
        states = {
            each.health for each in self.containers if each.essential and each.definition.get("healthCheck")
        }
        return "UNHEALTHY" if "UNHEALTHY" in states else "HEALTHY" if states == {"HEALTHY"} else "UNKNOWN"

    @property
    def checked(self) -> bool:
        """Whether a container health check decides about the task's health."""
        return any(each.definition.get("healthCheck") for each in self.containers if each.essential)

    def describe(self) -> dict[str, Any]:
        """Return the API's Task."""
        network = (self.request.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
        subnets = network.get("subnets") or [""]
        described = {
            "attachments": [
                {
                    "id": self.attachment,
                    "type": "ElasticNetworkInterface",
                    "status": "DELETED" if self.status == "STOPPED" else "ATTACHED",
                    "details": [
                        {"name": "subnetId", "value": subnets[0]},
                        {"name": "networkInterfaceId", "value": self.interface},
                        {
                            "name": "privateDnsName",
                            "value": f"ip-{self.address.replace('.', '-')}.ec2.internal",
                        },
                        {"name": "privateIPv4Address", "value": self.address},
                    ],
                }
            ],
            "availabilityZone": f"{self.runtime.region}a",
            "clusterArn": self.cluster.arn,
            "connectivity": "CONNECTED",
            "containers": [self._describe_container(each) for each in self.containers],
            "cpu": self.definition.cpu,
            "memory": self.definition.memory,
            "desiredStatus": self.desired_status,
            "enableExecuteCommand": bool(self.request.get("enableExecuteCommand")),
            "group": self.request.get("group") or f"family:{self.definition.family}",
            "healthStatus": self.health,
            "lastStatus": self.status,
            "launchType": self.request.get("launchType") or "FARGATE",
            "overrides": self.request.get("overrides") or {"containerOverrides": []},
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "startedBy": self.request.get("startedBy"),
            "stopCode": self.stop_code,
            "stoppedReason": self.stopped_reason,
            "tags": self.tags,
            "taskArn": self.task_arn,
            "taskDefinitionArn": self.definition.arn,
            "version": self.version,
            **self.times,
        }
        return {name: value for name, value in described.items() if value is not None}

    def _describe_container(self, container: Container) -> dict[str, Any]:
        described = {
            "containerArn": container.arn,
            "taskArn": self.task_arn,
            "name": container.name,
            "image": container.definition["image"],
            "runtimeId": f"{self.id}-{container.name}",
            "lastStatus": container.status,
            "exitCode": container.exit_code,
            "reason": container.reason,
            "healthStatus": container.health,
            "networkInterfaces": [{"attachmentId": self.attachment, "privateIpv4Address": self.address}],
            "cpu": str(container.definition.get("cpu", 0)),
        }
        return {name: value for name, value in described.items() if value is not None}


def _pairs(entries: Any) -> dict[str, str]:
    return {each["name"]: str(each["value"]) for each in entries or []}


def _words(error: Exception) -> str:
    if isinstance(error, ClientError):
        return f"{error.response['Error'].get('Code')}: {error.response['Error'].get('Message')}"
    return f"{type(error).__name__}: {error}" if not isinstance(error, BotoCoreError) else str(error)


def _now() -> datetime:
    return datetime.now(UTC)
