"""What a deployment does, from its first lifecycle event to its end, and how one is rolled back.

True: the replacement task set is made on the target group that has no production traffic, waited for and
tested; traffic moves by the deployment configuration; alarms and StopDeployment are heeded until the original
task set is gone; every call is made with the role of the deployment group. Not exact: AWS documents neither
when it polls (here: about once a second) nor all error codes; before the replacement is made, its target
group is put behind the production listener with weight 0, and the original one stays there with weight 0
until its task set is deleted, so that both are health-checked all the time.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import ClientError

from localaws.codedeploy import appspec, configurations
from localaws.codedeploy.deployments import Deployment, TaskSets, target_group
from localaws.codedeploy.errors import EndingError, failure
from localaws.codedeploy.hooks import Hooks
from localaws.codedeploy.pace import Pace
from localaws.codedeploy.traffic import Traffic
from localaws.runtime import Runtime

POLL_SECONDS = 0.25
ALARM_SECONDS = 1.0


class ServerStopsError(Exception):
    """The server is shutting down: nothing of the deployment is to be touched any more."""


class Procedure:
    """One deployment on its way.

    Parameters
    ----------
    runtime, pace, hooks:
        Of the server, and of the account and region.
    deployment:
        Whose record is kept up to date.
    routing:
        Traffic routing of its deployment configuration.
    stopping:
        Set when the server stops.
    tell:
        Called with what happened in between: `DeploymentReady`.
    """

    def __init__(
        self,
        runtime: Runtime,
        pace: Pace,
        hooks: Hooks,
        deployment: Deployment,
        routing: Mapping[str, Any],
        stopping: threading.Event,
        tell: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._pace = pace
        self._hooks = hooks
        self._deployment = deployment
        self._routing = routing
        self._stopping = stopping
        self._tell = tell
        self._alarms_asked = 0.0
        self._sets = deployment.task_sets

    # ------------------------------------------------------------------ the two ways

    def release(self) -> None:
        """Put the revision in place.

        Raises
        ------
        EndingError
            It failed or was stopped; what is there is left as it is.
        """
        deployment = self._deployment
        self._check()
        spec = appspec.parse(self._content())
        traffic = self._traffic()
        self._hook(spec, "BeforeInstall")
        deployment.run_event("Install", lambda: self._install(spec, traffic))
        self._hook(spec, "AfterInstall")
        green, blue = self._target_groups()
        deployment.run_event("AllowTestTraffic", lambda: traffic.divide(traffic.test, {green: 100}))
        self._hook(spec, "AfterAllowTestTraffic")
        self._await_permission()
        self._hook(spec, "BeforeAllowTraffic")
        deployment.run_event("AllowTraffic", lambda: self._allow_traffic(traffic, green, blue))
        self._hook(spec, "AfterAllowTraffic")
        self._terminate(traffic, green)

    def roll_back(self) -> None:
        """Lead the traffic back to the original task set of another deployment; delete its replacement."""
        undone = self._deployment.undoes
        if undone is None:
            raise ValueError(f"The deployment {self._deployment.id} rolls nothing back.")
        self._deployment.run_event("AllowTraffic", lambda: self._lead_back(undone.task_sets))

    def _lead_back(self, sets: TaskSets) -> None:
        if sets.original is None or sets.replacement is None:
            return  # it ended before there was a replacement
        self._sets.original, self._sets.replacement = sets.original, sets.replacement
        traffic, blue = self._traffic(), target_group(sets.original)
        traffic.divide(traffic.production, {blue: 100})
        if traffic.test:
            traffic.divide(traffic.test, {blue: 100})
        self._sets.weights = {blue: 100}
        with self._ecs_errors():
            if sets.primary_moved:
                self._ecs.update_service_primary_task_set(
                    **self._service, primaryTaskSet=sets.original["taskSetArn"]
                )
            self._delete(sets.replacement["taskSetArn"])
        self._until(lambda: self._task_set(sets.replacement) is None)
        self._look()

    # ------------------------------------------------------------------ steps

    def _content(self) -> str:
        def read(location: Mapping[str, Any]) -> str:
            version = {"VersionId": location["version"]} if location.get("version") else {}
            try:
                found = self._client("s3").get_object(
                    Bucket=location["bucket"], Key=location["key"], **version
                )
                return str(found["Body"].read().decode())
            except (ClientError, UnicodeDecodeError) as error:
                raise failure(
                    "REVISION_MISSING",
                    f"The AppSpec file s3://{location['bucket']}/{location['key']} cannot be read: {error}",
                ) from error

        return appspec.content_of(self._deployment.revision, read)

    def _traffic(self) -> Traffic:
        deployment = self._deployment
        names = [each["name"] for each in deployment.pair["targetGroups"]]
        return Traffic(
            self._client("elbv2"), names, deployment.production_listeners, deployment.test_listeners
        )

    def _install(self, spec: appspec.AppSpec, traffic: Traffic) -> None:
        service = self._describe_service()
        primary = next(each for each in service["taskSets"] if each["status"] == "PRIMARY")
        blue = target_group(primary)
        green = traffic.replacement_of(blue)
        self._sets.original = primary
        self._shift(traffic, green, blue, 0)
        for leftover in service["taskSets"]:
            if leftover["status"] != "PRIMARY":  # of a deployment that was not rolled back
                self._delete(leftover["taskSetArn"])
        self._until(lambda: len(self._describe_service()["taskSets"]) == 1)
        launch = {} if "capacityProviderStrategy" in spec.options else {"launchType": service["launchType"]}
        parameters = {
            "networkConfiguration": primary.get("networkConfiguration"),
            **launch,
            **spec.options,
        }
        with self._ecs_errors():
            made = self._ecs.create_task_set(
                **self._service,
                externalId=self._deployment.id,
                taskDefinition=spec.task_definition,
                loadBalancers=[
                    {"targetGroupArn": green, "containerName": spec.container, "containerPort": spec.port}
                ],
                scale={"value": 100, "unit": "PERCENT"},
                **{name: value for name, value in parameters.items() if value},
            )
        self._sets.replacement = made["taskSet"]
        limit = self._pace.lengths.stability_seconds
        if not self._until(self._stable, limit):
            raise failure(
                "TIMEOUT",
                "The deployment timed out while waiting for the replacement task set to become healthy. This"
                f" time out period is {limit / 60:g} minutes.",
            )

    def _stable(self) -> bool:
        self._look()
        found = self._sets.replacement or {}
        return found.get("stabilityStatus") == "STEADY_STATE"

    def _hook(self, spec: appspec.AppSpec, event: str) -> None:
        function = spec.hooks.get(event)
        self._deployment.run_event(event, lambda: self._ask(function, event) if function else None)

    def _ask(self, function: str, event: str) -> dict[str, str]:
        execution = self._hooks.ask(self._client("lambda"), function, self._deployment.id, event)
        try:
            answered = self._until(lambda: execution.answer is not None, self._pace.lengths.hook_seconds)
        finally:
            execution.closed = True
        if not answered:
            raise failure(
                "HOOK_EXECUTION_FAILURE",
                f"The lifecycle event {event} timed out: the function {function} did not call"
                " PutLifecycleEventHookExecutionStatus in time.",
            )
        if execution.answer == "Failed":
            raise failure(
                "HOOK_EXECUTION_FAILURE",
                "The overall deployment failed because one or more of the lifecycle event hooks failed: the"
                f" function {function} of {event} reported Failed.",
            )
        return {"errorCode": "Success", "scriptName": function, "message": "Succeeded", "logTail": ""}

    def _await_permission(self) -> None:
        option = self._blue_green.get("deploymentReadyOption") or {}
        if option.get("actionOnTimeout") != "STOP_DEPLOYMENT":
            return
        deployment = self._deployment
        deployment.go_on.clear()
        deployment.status = "Ready"
        self._tell("DeploymentReady")
        minutes = option.get("waitTimeInMinutes") or 0
        if not self._until(deployment.go_on.is_set, self._pace.minutes(minutes)):
            raise EndingError(
                "Stopped",
                "TIMEOUT",
                f"Traffic rerouting was not started within {minutes} minutes, so the deployment was stopped.",
                "DEPLOYMENT_STOP_ON_REQUEST",
            )
        deployment.status = "InProgress"

    def _allow_traffic(self, traffic: Traffic, green: str, blue: str) -> None:
        for percent, minutes in configurations.steps(self._routing):
            self._shift(traffic, green, blue, percent)
            self._until(lambda: False, self._pace.minutes(minutes))
        _, replacement = self._sets.both()
        with self._ecs_errors():
            self._ecs.update_service_primary_task_set(
                **self._service, primaryTaskSet=replacement["taskSetArn"]
            )
        self._sets.primary_moved = True
        self._look()

    def _terminate(self, traffic: Traffic, green: str) -> None:
        deployment, (original, _) = self._deployment, self._sets.both()
        option = self._blue_green.get("terminateBlueInstancesOnDeploymentSuccess") or {}
        deployment.go_on.clear()
        deployment.terminating = True
        self._until(
            deployment.go_on.is_set, self._pace.minutes(option.get("terminationWaitTimeInMinutes") or 0)
        )
        traffic.divide(traffic.production, {green: 100})
        self._sets.weights = {green: 100}
        self._delete(original["taskSetArn"])
        # From here on there is nothing to go back to: alarms and stops come too late.
        self._until(lambda: self._task_set(original) is None, watched=False)
        self._look()

    def _shift(self, traffic: Traffic, green: str, blue: str, percent: int) -> None:
        weights = {blue: 100 - percent, green: percent}
        traffic.divide(traffic.production, weights)
        self._sets.weights = weights

    # ------------------------------------------------------------------ waiting

    def _until(self, done: Callable[[], bool], limit: float | None = None, *, watched: bool = True) -> bool:
        """Wait until it is done, at most `limit` seconds; return whether it is. Heeds stops and alarms."""
        end = None if limit is None else time.monotonic() + limit
        while True:
            if watched:
                self._check()
            if done():
                return True
            left = POLL_SECONDS if end is None else end - time.monotonic()
            if left <= 0:
                return False
            if self._stopping.wait(min(left, POLL_SECONDS)):
                raise ServerStopsError

    def _check(self) -> None:
        """Raise when somebody stopped the deployment or an alarm did."""
        if self._deployment.undoes is not None:
            return  # a rollback ends on its own
        if self._deployment.stop_asked:
            raise EndingError(
                "Stopped",
                "MANUAL_STOP",
                "The deployment was stopped because a stop request was received.",
                "DEPLOYMENT_STOP_ON_REQUEST",
            )
        settings = self._deployment.settings
        alarms = settings.get("overrideAlarmConfiguration") or settings.get("alarmConfiguration") or {}
        names = [each["name"] for each in alarms.get("alarms") or []]
        if not alarms.get("enabled") or not names or time.monotonic() - self._alarms_asked < ALARM_SECONDS:
            return
        self._alarms_asked = time.monotonic()
        self._check_alarms(names, ignore=bool(alarms.get("ignorePollAlarmFailure")))

    def _check_alarms(self, names: list[str], *, ignore: bool) -> None:
        try:
            found = self._client("cloudwatch").describe_alarms(
                AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
        except ClientError as error:
            if ignore:
                return
            raise _alarm(f"The alarms {', '.join(names)} could not be polled: {error}") from error
        known = found["MetricAlarms"] + found.get("CompositeAlarms", [])
        missing = sorted(set(names) - {each["AlarmName"] for each in known})
        if missing and not ignore:
            raise _alarm(f"The alarms {', '.join(missing)} could not be polled: they do not exist.")
        active = sorted(each["AlarmName"] for each in known if each["StateValue"] == "ALARM")
        if active:
            raise _alarm(
                "One or more alarms have been activated according to the Amazon CloudWatch metrics you"
                " selected, and the affected deployments have been stopped. Activated alarms:"
                f" <{', '.join(active)}>"
            )

    # ------------------------------------------------------------------ ECS

    @property
    def _service(self) -> dict[str, str]:
        return {"cluster": self._deployment.cluster, "service": self._deployment.service}

    @property
    def _ecs(self) -> Any:
        return self._client("ecs")

    @property
    def _blue_green(self) -> Mapping[str, Any]:
        return self._deployment.settings.get("blueGreenDeploymentConfiguration") or {}

    def _client(self, service: str) -> Any:
        return self._runtime.client(
            service, self._deployment.settings["serviceRoleArn"], self._deployment.region
        )

    def _describe_service(self) -> dict[str, Any]:
        with self._ecs_errors():
            found = self._ecs.describe_services(
                cluster=self._deployment.cluster, services=[self._deployment.service]
            )["services"]
        if not found or found[0]["status"] != "ACTIVE":
            raise failure(
                "INVALID_ECS_SERVICE",
                f"The ECS service {self._deployment.service} of the cluster {self._deployment.cluster} is not"
                " active.",
            )
        service: dict[str, Any] = found[0]
        return service

    def _task_set(self, known: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return what a task set is now; None when it is gone or never was."""
        if known is None:
            return None
        with self._ecs_errors():
            found = self._ecs.describe_task_sets(**self._service, taskSets=[known["taskSetArn"]])["taskSets"]
        return found[0] if found else None

    def _look(self) -> None:
        """Note what the two task sets are now; one that is gone has no tasks."""
        sets = self._sets
        gone = {"status": "DRAINING", "computedDesiredCount": 0, "pendingCount": 0, "runningCount": 0}
        if sets.original is not None:
            sets.original = self._task_set(sets.original) or {**sets.original, **gone}
        if sets.replacement is not None:
            sets.replacement = self._task_set(sets.replacement) or {**sets.replacement, **gone}

    def _target_groups(self) -> tuple[str, str]:
        original, replacement = self._sets.both()
        return target_group(replacement), target_group(original)

    def _delete(self, arn: str) -> None:
        with self._ecs_errors():
            try:
                self._ecs.delete_task_set(**self._service, taskSet=arn, force=True)
            except self._ecs.exceptions.TaskSetNotFoundException:
                return  # somebody was faster

    @staticmethod
    def _ecs_errors() -> AbstractContextManager[None]:
        return _Translation()


class _Translation(AbstractContextManager[None]):
    """Turns an error of ECS into the end of the deployment."""

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if isinstance(error, ClientError):
            said = error.response["Error"].get("Message")
            raise failure(
                "ECS_UPDATE_ERROR", f"The ECS service cannot be updated due to the following error: {said}"
            ) from error


def _alarm(message: str) -> EndingError:
    return EndingError("Stopped", "ALARM_ACTIVE", message, "DEPLOYMENT_STOP_ON_ALARM")
