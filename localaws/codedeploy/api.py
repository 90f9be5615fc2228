"""The API's actions, and the backend that they work on."""

import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.codedeploy.models import CodeDeployBackend
from moto.ecs.models import ecs_backends

from localaws.codedeploy import appspec, groups
from localaws.codedeploy.configurations import PLATFORMS, Configurations
from localaws.codedeploy.deployments import Deployment
from localaws.codedeploy.errors import CodeDeployError
from localaws.codedeploy.groups import Group
from localaws.codedeploy.hooks import Hooks
from localaws.codedeploy.running import Runner
from localaws.roles import role_exists

PAGE = 100
MOST_AT_ONCE = 25
"""Deployments that BatchGetDeployments answers."""

Request = Mapping[str, Any]
Answer = dict[str, Any]


class Releases(CodeDeployBackend):  # type: ignore[misc]
    """CodeDeploy of one account and region: moto's tags, and everything else our own."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.applications: dict[str, dict[str, Any]] = {}
        self.deployment_groups: dict[str, dict[str, Group]] = {}
        self.deployments: dict[str, Deployment] = {}
        self.configurations = Configurations()
        self.hooks = Hooks()
        self.lock = threading.RLock()

    # BaseBackend derives the URLs from the module of its class.
    @property
    def _url_module(self) -> Any:
        import moto.codedeploy.urls

        return moto.codedeploy.urls

    def application(self, request: Request) -> dict[str, Any]:
        """Return the application that a request names."""
        name = request.get("applicationName")
        if not name:
            raise CodeDeployError("ApplicationNameRequiredException", "Application name is required.")
        if name not in self.applications:
            raise CodeDeployError(
                "ApplicationDoesNotExistException", f"No application found for name: {name}"
            )
        return self.applications[name]

    def group(self, request: Request, parameter: str = "deploymentGroupName") -> Group:
        """Return the deployment group that a request names."""
        application = self.application(request)["applicationName"]
        name = request.get(parameter)
        if not name:
            raise CodeDeployError(
                "DeploymentGroupNameRequiredException", "Deployment group name is required."
            )
        if name not in self.deployment_groups.get(application, {}):
            raise CodeDeployError(
                "DeploymentGroupDoesNotExistException",
                f"No Deployment Group found for name: {name}",
            )
        return self.deployment_groups[application][name]

    def deployment(self, request: Request) -> Deployment:
        """Return the deployment that a request names."""
        wanted = request.get("deploymentId")
        if not wanted:
            raise CodeDeployError("DeploymentIdRequiredException", "Deployment id is required.")
        if wanted not in self.deployments:
            raise CodeDeployError(
                "DeploymentDoesNotExistException", f"The deployment {wanted} could not be found"
            )
        return self.deployments[wanted]

    def of_group(self, group: Group) -> list[Deployment]:
        """Return the deployments of a group, oldest first."""
        return [
            each
            for each in self.deployments.values()
            if (each.application, each.group) == (group.application, group.name)
        ]

    def revision_in_place(self, group: Group) -> dict[str, Any] | None:
        """Return the revision of the group's latest deployment that succeeded; None when there is none, or
        when it was a rollback to what CreateService put in place."""
        done = [each.revision or None for each in self.of_group(group) if each.status == "Succeeded"]
        return done[-1] if done else None


class Actions:
    """What the API does.

    Parameters
    ----------
    runner:
        Runs deployments.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    # ------------------------------------------------------------------ applications

    def create_application(self, backend: Releases, request: Request) -> Answer:
        """CreateApplication."""
        name, platform = request.get("applicationName"), request.get("computePlatform") or "Server"
        if not name:
            raise CodeDeployError("ApplicationNameRequiredException", "Application name is required.")
        if platform not in PLATFORMS:
            raise CodeDeployError("InvalidComputePlatformException", f"Invalid compute platform: {platform}")
        if name in backend.applications:
            raise CodeDeployError("ApplicationAlreadyExistsException", f"Application already exists: {name}")
        identity = str(uuid.uuid4())
        backend.applications[name] = {
            "applicationId": identity,
            "applicationName": name,
            "createTime": datetime.now(UTC),
            "linkedToGitHub": False,
            "computePlatform": platform,
        }
        backend.tagger.tag_resource(backend._application_arn(name), list(request.get("tags") or []))
        return {"applicationId": identity}

    def get_application(self, backend: Releases, request: Request) -> Answer:
        """GetApplication."""
        return {"application": backend.application(request)}

    def batch_get_applications(self, backend: Releases, request: Request) -> Answer:
        """BatchGetApplications."""
        names = request.get("applicationNames") or []
        return {"applicationsInfo": [backend.application({"applicationName": name}) for name in names]}

    def list_applications(self, backend: Releases, request: Request) -> Answer:
        """ListApplications."""
        return _page("applications", list(backend.applications), request)

    def update_application(self, backend: Releases, request: Request) -> Answer:
        """UpdateApplication: the name."""
        application = backend.application(request)
        old, new = application["applicationName"], request.get("newApplicationName")
        if not new or new == old:
            return {}
        if new in backend.applications:
            raise CodeDeployError("ApplicationAlreadyExistsException", f"Application already exists: {new}")
        with backend.lock:
            for group in backend.deployment_groups.get(old, {}).values():
                self._move(backend, group, new, group.name)
            backend.applications[new] = {**application, "applicationName": new}
            backend.deployment_groups[new] = backend.deployment_groups.pop(old, {})
            del backend.applications[old]
        _move_tags(backend, backend._application_arn(old), backend._application_arn(new))
        return {}

    def delete_application(self, backend: Releases, request: Request) -> Answer:
        """DeleteApplication, and its groups; one that is not there is no error."""
        if not request.get("applicationName"):
            raise CodeDeployError("ApplicationNameRequiredException", "Application name is required.")
        name = request["applicationName"]
        for group in list(backend.deployment_groups.get(name, {})):
            self.delete_deployment_group(backend, {**request, "deploymentGroupName": group})
        backend.applications.pop(name, None)
        backend.deployment_groups.pop(name, None)
        backend.tagger.delete_all_tags_for_resource(backend._application_arn(name))
        return {}

    # ------------------------------------------------------------------ deployment configurations

    def create_deployment_config(self, backend: Releases, request: Request) -> Answer:
        """CreateDeploymentConfig."""
        if not request.get("deploymentConfigName"):
            raise CodeDeployError("DeploymentConfigNameRequiredException", "A name is required.")
        return {"deploymentConfigId": backend.configurations.create(request)["deploymentConfigId"]}

    def get_deployment_config(self, backend: Releases, request: Request) -> Answer:
        """GetDeploymentConfig."""
        return {"deploymentConfigInfo": backend.configurations.get(str(request["deploymentConfigName"]))}

    def list_deployment_configs(self, backend: Releases, request: Request) -> Answer:
        """ListDeploymentConfigs."""
        return _page("deploymentConfigsList", backend.configurations.names(), request)

    def delete_deployment_config(self, backend: Releases, request: Request) -> Answer:
        """DeleteDeploymentConfig, unless a group uses it."""
        name = str(request["deploymentConfigName"])
        for group in _all_groups(backend):
            if group.settings["deploymentConfigName"] == name:
                raise CodeDeployError(
                    "DeploymentConfigInUseException",
                    f"The deployment configuration {name} is used by the deployment group {group.name}.",
                )
        backend.configurations.delete(name)
        return {}

    # ------------------------------------------------------------------ deployment groups

    def create_deployment_group(self, backend: Releases, request: Request) -> Answer:
        """CreateDeploymentGroup."""
        application = backend.application(request)
        name, here = request.get("deploymentGroupName"), application["applicationName"]
        if not name:
            raise CodeDeployError(
                "DeploymentGroupNameRequiredException", "Deployment group name is required."
            )
        if name in backend.deployment_groups.get(here, {}):
            raise CodeDeployError(
                "DeploymentGroupAlreadyExistsException", f"Deployment group name '{name}' already exists"
            )
        group = Group(here, application["computePlatform"], name, request)
        self._check(backend, group, group.settings)
        backend.deployment_groups.setdefault(here, {})[name] = group
        backend.tagger.tag_resource(
            backend._deployment_group_arn(here, name), list(request.get("tags") or [])
        )
        return {"deploymentGroupId": group.id}

    def get_deployment_group(self, backend: Releases, request: Request) -> Answer:
        """GetDeploymentGroup."""
        return {"deploymentGroupInfo": self._describe(backend, backend.group(request))}

    def batch_get_deployment_groups(self, backend: Releases, request: Request) -> Answer:
        """BatchGetDeploymentGroups."""
        known = backend.deployment_groups.get(backend.application(request)["applicationName"], {})
        names = request.get("deploymentGroupNames") or []
        return {
            "deploymentGroupsInfo": [self._describe(backend, known[name]) for name in names if name in known]
        }

    def list_deployment_groups(self, backend: Releases, request: Request) -> Answer:
        """ListDeploymentGroups."""
        application = backend.application(request)["applicationName"]
        answer = _page("deploymentGroups", list(backend.deployment_groups.get(application, {})), request)
        return {"applicationName": application, **answer}

    def update_deployment_group(self, backend: Releases, request: Request) -> Answer:
        """UpdateDeploymentGroup: what is given replaces what was."""
        group = backend.group(request, "currentDeploymentGroupName")
        settings = group.changed(request)
        self._check(backend, group, settings)
        new = request.get("newDeploymentGroupName")
        known = backend.deployment_groups[group.application]
        if new and new != group.name:
            if new in known:
                raise CodeDeployError(
                    "DeploymentGroupAlreadyExistsException", f"Deployment group name '{new}' already exists"
                )
            with backend.lock:
                del known[group.name]
                self._move(backend, group, group.application, new)
                known[new] = group
        group.settings = settings
        return {"hooksNotCleanedUp": []}

    def delete_deployment_group(self, backend: Releases, request: Request) -> Answer:
        """DeleteDeploymentGroup; one that is not there is no error."""
        application, name = request.get("applicationName"), request.get("deploymentGroupName")
        if not application:
            raise CodeDeployError("ApplicationNameRequiredException", "Application name is required.")
        if not name:
            raise CodeDeployError(
                "DeploymentGroupNameRequiredException", "Deployment group name is required."
            )
        backend.deployment_groups.get(application, {}).pop(name, None)
        backend.tagger.delete_all_tags_for_resource(backend._deployment_group_arn(application, name))
        return {"hooksNotCleanedUp": []}

    def _describe(self, backend: Releases, group: Group) -> Answer:
        described = group.describe()
        deployments = backend.of_group(group)
        succeeded = [each for each in deployments if each.status == "Succeeded"]
        if deployments:
            described["lastAttemptedDeployment"] = deployments[-1].describe_short()
        if succeeded:
            described["lastSuccessfulDeployment"] = succeeded[-1].describe_short()
            if succeeded[-1].revision:
                described["targetRevision"] = appspec.described(succeeded[-1].revision)
        return described

    def _check(self, backend: Releases, group: Group, settings: Mapping[str, Any]) -> None:
        """Raise when a group cannot have these settings."""
        groups.check(group.platform, settings)
        role = settings["serviceRoleArn"]
        if not role_exists(role):
            raise CodeDeployError("InvalidRoleException", f"Cannot assume role provided: {role}")
        if backend.configurations.get(settings["deploymentConfigName"])["computePlatform"] != group.platform:
            raise CodeDeployError(
                "InvalidDeploymentConfigNameException",
                f"The deployment configuration {settings['deploymentConfigName']} is not one of the compute"
                f" platform {group.platform}.",
            )
        if group.platform == "ECS":
            check_service(backend, *groups.service_of(settings))
            for other in _all_groups(backend):
                if other is group or other.platform != "ECS":
                    continue
                if groups.service_of(other.settings) == groups.service_of(settings):
                    raise CodeDeployError(
                        "ECSServiceMappingLimitExceededException",
                        "The ECS service is already mapped to the deployment group"
                        f" {other.application}/{other.name}.",
                    )

    @staticmethod
    def _move(backend: Releases, group: Group, application: str, name: str) -> None:
        """Give a group another name, with its deployments and its tags."""
        before = backend._deployment_group_arn(group.application, group.name)
        for deployment in backend.of_group(group):
            deployment.application, deployment.group = application, name
        group.application, group.name = application, name
        _move_tags(backend, before, backend._deployment_group_arn(application, name))

    # ------------------------------------------------------------------ deployments

    def create_deployment(self, backend: Releases, request: Request) -> Answer:
        """CreateDeployment: one at a time in a group."""
        group = backend.group(request)
        if group.platform != "ECS":
            raise NotImplementedError(f"deployments of the compute platform {group.platform}")
        appspec.check_revision(request.get("revision"))
        settings = dict(group.settings)
        for name in ("autoRollbackConfiguration", "overrideAlarmConfiguration"):
            if request.get(name):
                settings[name] = request[name]
        groups.check(group.platform, settings)
        groups.check_alarms(settings.get("overrideAlarmConfiguration") or {})
        configuration = request.get("deploymentConfigName") or settings["deploymentConfigName"]
        routing = backend.configurations.get(configuration)
        if routing["computePlatform"] != "ECS":
            raise CodeDeployError(
                "InvalidDeploymentConfigNameException",
                f"The deployment configuration {configuration} is not one of the compute platform ECS.",
            )
        cluster, service = groups.service_of(settings)
        check_service(backend, cluster, service)
        with backend.lock:
            for other in backend.of_group(group):
                if other.active:
                    raise CodeDeployError(
                        "DeploymentLimitExceededException",
                        f"The Deployment Group '{group.name}' already has an active Deployment '{other.id}'",
                    )
            deployment = Deployment(
                group.application,
                group.name,
                backend.region_name,
                backend.account_id,
                settings,
                cluster,
                service,
                dict(request["revision"]),
                configuration,
                request.get("description"),
                previous_revision=backend.revision_in_place(group),
            )
            backend.deployments[deployment.id] = deployment
        self._runner.start(backend, group.id, deployment)
        return {"deploymentId": deployment.id}

    def get_deployment(self, backend: Releases, request: Request) -> Answer:
        """GetDeployment."""
        return {"deploymentInfo": backend.deployment(request).describe()}

    def batch_get_deployments(self, backend: Releases, request: Request) -> Answer:
        """BatchGetDeployments: those that are not there are left out."""
        wanted = request.get("deploymentIds") or []
        if not wanted:
            raise CodeDeployError("DeploymentIdRequiredException", "At least one deployment id is required.")
        if len(wanted) > MOST_AT_ONCE:
            raise CodeDeployError("BatchLimitExceededException", f"At most {MOST_AT_ONCE} at once.")
        known = backend.deployments
        return {"deploymentsInfo": [known[each].describe() for each in wanted if each in known]}

    def list_deployments(self, backend: Releases, request: Request) -> Answer:
        """ListDeployments: the newest first."""
        application, group = request.get("applicationName"), request.get("deploymentGroupName")
        if application and not group:
            raise CodeDeployError(
                "DeploymentGroupNameRequiredException", "Deployment group name is required."
            )
        if group and not application:
            raise CodeDeployError("ApplicationNameRequiredException", "Application name is required.")
        found = backend.of_group(backend.group(request)) if group else list(backend.deployments.values())
        statuses = request.get("includeOnlyStatuses")
        between = request.get("createTimeRange") or {}
        start, end = (_moment(between.get(name)) for name in ("start", "end"))
        if start and end and start > end:
            raise CodeDeployError("InvalidTimeRangeException", "The start time must be before the end time.")
        chosen = [
            each.id
            for each in sorted(found, key=lambda each: each.created, reverse=True)
            if (not statuses or each.status in statuses)
            and (not start or each.created >= start)
            and (not end or each.created <= end)
        ]
        return _page("deployments", chosen, request)

    def stop_deployment(self, backend: Releases, request: Request) -> Answer:
        """StopDeployment."""
        backend.deployment(request).stop(request.get("autoRollbackEnabled"))
        return {"status": "Pending", "statusMessage": "Stopping deployment"}

    def continue_deployment(self, backend: Releases, request: Request) -> Answer:
        """ContinueDeployment."""
        backend.deployment(request).carry_on(request.get("deploymentWaitType") or "READY_WAIT")
        return {}

    def put_lifecycle_event_hook_execution_status(self, backend: Releases, request: Request) -> Answer:
        """PutLifecycleEventHookExecutionStatus."""
        token = str(request.get("lifecycleEventHookExecutionId"))
        backend.hooks.put(backend.deployment(request).id, token, str(request.get("status")))
        return {"lifecycleEventHookExecutionId": token}

    def get_application_revision(self, backend: Releases, request: Request) -> Answer:
        """GetApplicationRevision: an AppSpec given inline, by its hash; with its text, which GetDeployment
        leaves out."""
        name, asked = str(request.get("applicationName")), request.get("revision") or {}
        if name not in backend.applications:
            raise CodeDeployError(
                "ApplicationDoesNotExistException", f"No application found for name: {name}"
            )
        wanted = (asked.get("appSpecContent") or {}).get("sha256")
        for each in backend.deployments.values():
            content = (each.revision.get("appSpecContent") or {}).get("content")
            if each.application == name and content and appspec.sha256_of(content) == wanted:
                revision = {
                    "revisionType": "AppSpecContent",
                    "appSpecContent": {"content": content, "sha256": wanted},
                }
                return {"applicationName": name, "revision": revision, "revisionInfo": {}}
        raise CodeDeployError(
            "RevisionDoesNotExistException", f"The application {name} has no such revision."
        )

    # ------------------------------------------------------------------ targets

    def list_deployment_targets(self, backend: Releases, request: Request) -> Answer:
        """ListDeploymentTargets: the ECS service."""
        deployment = self._started(backend, request)
        statuses = (request.get("targetFilters") or {}).get("TargetStatus")
        shown = not statuses or deployment.target_status in statuses
        return {"targetIds": [deployment.target_id] if shown else []}

    def get_deployment_target(self, backend: Releases, request: Request) -> Answer:
        """GetDeploymentTarget."""
        deployment = self._started(backend, request)
        if not request.get("targetId"):
            raise CodeDeployError("DeploymentTargetIdRequiredException", "A target id is required.")
        if request["targetId"] != deployment.target_id:
            raise CodeDeployError(
                "DeploymentTargetDoesNotExistException",
                f"The target {request['targetId']} does not belong to the deployment {deployment.id}.",
            )
        return {"deploymentTarget": deployment.describe_target()}

    def batch_get_deployment_targets(self, backend: Releases, request: Request) -> Answer:
        """BatchGetDeploymentTargets."""
        return {
            "deploymentTargets": [
                self.get_deployment_target(backend, {**request, "targetId": each})["deploymentTarget"]
                for each in request.get("targetIds") or []
            ]
        }

    @staticmethod
    def _started(backend: Releases, request: Request) -> Deployment:
        deployment = backend.deployment(request)
        if deployment.started is None:
            raise CodeDeployError(
                "DeploymentNotStartedException", f"The deployment {deployment.id} has not started."
            )
        return deployment


def check_service(backend: Releases, cluster: str, name: str) -> None:
    """Raise when there is no such ECS service that leaves its releases to CodeDeploy."""
    service = ecs_backends[backend.account_id][backend.region_name].services.get(f"{cluster}:{name}")
    if service is None or service.status != "ACTIVE":
        raise CodeDeployError(
            "InvalidECSServiceException",
            f"The ECS service {name} of the cluster {cluster} does not exist or is not active.",
        )
    if service.deployment_controller["type"] != "CODE_DEPLOY":
        raise CodeDeployError(
            "InvalidECSServiceException",
            "Deployment group's ECS service must be configured for a CODE_DEPLOY deployment controller.",
        )


def _all_groups(backend: Releases) -> list[Group]:
    return [group for known in backend.deployment_groups.values() for group in known.values()]


def _move_tags(backend: Releases, old: str, new: str) -> None:
    tags = backend.tagger.list_tags_for_resource(old)["Tags"]
    backend.tagger.delete_all_tags_for_resource(old)
    backend.tagger.tag_resource(new, tags)


def _moment(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromtimestamp(float(value), UTC)


def _page(name: str, everything: list[str], request: Request) -> Answer:
    """Return a page of names; the token is where the next one begins."""
    token = request.get("nextToken") or "0"
    if not str(token).isdigit():
        raise CodeDeployError("InvalidNextTokenException", "The next token is not valid.")
    start = int(token)
    answer: Answer = {name: everything[start : start + PAGE]}
    if start + PAGE < len(everything):
        answer["nextToken"] = str(start + PAGE)
    return answer
