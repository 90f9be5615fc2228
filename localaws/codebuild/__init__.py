"""CodeBuild: projects and builds that run their buildspec on this machine.

True: sources from S3 and from a pipeline (whose builds only `localaws.codepipeline` starts), secondary
sources and artifacts, buildspec 0.2 (inline, from the source, from S3, overridden), variables from plaintext,
Parameter Store and Secrets Manager with AWS's precedence, phases and their transitions, `finally`,
`on-failure`, exported variables, artifacts, timeouts, stop, logs while the build runs, events, idempotency
tokens. A build acts as the service role of its project and sees nothing of the server's environment.

Not true: there is no container; a build sees this machine's files and tools (`localaws.images`), runs as the
user of the server, and `runtime-versions` chooses nothing. VPC settings, privileged mode, caches, compute
types and KMS keys are kept and have no effect. Role credentials come as environment variables that last
twelve hours. A build whose `on-failure: CONTINUE` phase failed ends FAILED. GitHub, Bitbucket and CodeCommit
sources, batch builds, reports, webhooks and S3 logs are refused or not implemented.
"""

import json
import threading
import time
import uuid
from typing import Any

from moto.codebuild.exceptions import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
)
from moto.codebuild.models import CodeBuildBackend, codebuild_backends
from moto.codebuild.responses import CodeBuildResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult

from localaws.codebuild.build import Build
from localaws.codebuild.source import IMPLEMENTED, OBJECT_ARN
from localaws.events import publisher
from localaws.runtime import Runtime

CONCURRENT_BUILDS = 8
"""Builds of a server that run at the same time; more wait in QUEUED."""

TIMEOUT_MINUTES = range(5, 2161)
QUEUED_MINUTES = range(5, 481)
TOKEN_SECONDS = 300
PAGE = 100

SOURCE_TYPES = (
    "BITBUCKET",
    "CODECOMMIT",
    "CODEPIPELINE",
    "GITHUB",
    "GITHUB_ENTERPRISE",
    "GITLAB",
    "NO_SOURCE",
    "S3",
)

OVERRIDES = {
    # parameter of StartBuild → path in the build's record
    "sourceTypeOverride": ("source", "type"),
    "sourceLocationOverride": ("source", "location"),
    "buildspecOverride": ("source", "buildspec"),
    "environmentTypeOverride": ("environment", "type"),
    "imageOverride": ("environment", "image"),
    "computeTypeOverride": ("environment", "computeType"),
    "privilegedModeOverride": ("environment", "privilegedMode"),
    "artifactsOverride": ("artifacts",),
    "secondarySourcesOverride": ("secondarySources",),
    "secondaryArtifactsOverride": ("secondaryArtifacts",),
    "sourceVersion": ("sourceVersion",),
    "serviceRoleOverride": ("serviceRole",),
    "timeoutInMinutesOverride": ("timeoutInMinutes",),
    "queuedTimeoutInMinutesOverride": ("queuedTimeoutInMinutes",),
    "encryptionKeyOverride": ("encryptionKey",),
}
APPLIED_ELSEWHERE = {"projectName", "idempotencyToken", "environmentVariablesOverride", "logsConfigOverride"}
WITHOUT_EFFECT = {
    "cacheOverride",
    "imagePullCredentialsTypeOverride",
    "debugSessionEnabled",
    "registryCredentialOverride",
}


class AccountLimitExceededError(JsonRESTError):  # type: ignore[misc]
    """The project's limit of concurrent builds is reached."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("AccountLimitExceededException", message)


class Projects(CodeBuildBackend):  # type: ignore[misc]
    """Projects and builds of one account and region."""

    runtime: Runtime

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.projects: dict[str, dict[str, Any]] = {}
        self.builds: dict[str, Build] = {}
        self._numbers: dict[str, int] = {}
        self._tokens: dict[str, tuple[float, str, str]] = {}
        self._slots = threading.Semaphore(CONCURRENT_BUILDS)
        self._lock = threading.RLock()

    # BaseBackend derives the URLs from the module of its class.
    @property
    def _url_module(self) -> Any:
        import moto.codebuild.urls

        return moto.codebuild.urls

    @property
    def _default_key(self) -> str:
        return f"arn:{self.partition}:kms:{self.region_name}:{self.account_id}:alias/aws/s3"

    # ------------------------------------------------------------------ projects

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of a project or a build."""
        return f"arn:{self.partition}:codebuild:{self.region_name}:{self.account_id}:{kind}/{name}"

    def create(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Make a project from the parameters of CreateProject."""
        name = parameters["name"]
        with self._lock:
            if name in self.projects:
                raise ResourceAlreadyExistsException(f"Project already exists: {self.arn('project', name)}")
            now = time.time()
            project = {
                "arn": self.arn("project", name),
                "encryptionKey": self._default_key,
                "badge": {"badgeEnabled": False},
                "cache": {"type": "NO_CACHE"},
                "timeoutInMinutes": 60,
                "queuedTimeoutInMinutes": 480,
                "projectVisibility": "PRIVATE",
                "tags": [],
                "created": now,
                "lastModified": now,
                **_completed(parameters),
            }
            _check(project)
            self.projects[name] = project
            return project

    def update(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Change what is given, keep the rest."""
        with self._lock:
            project = self.projects.get(parameters["name"])
            if project is None:
                raise ResourceNotFoundException(
                    f"Project cannot be found: {self.arn('project', parameters['name'])}"
                )
            changed = {**project, **_completed(parameters), "lastModified": time.time()}
            if changed.get("concurrentBuildLimit") == -1:  # how the API takes a limit away
                del changed["concurrentBuildLimit"]
            _check(changed)
            self.projects[parameters["name"]] = changed
            return changed

    def find(self, name: str) -> dict[str, Any] | None:
        """Return a project by its name or ARN."""
        return self.projects.get(_name_of(name))

    def delete_project(self, project_name: str) -> None:
        """Remove a project by its name or ARN; running builds run on."""
        with self._lock:
            self.projects.pop(_name_of(project_name), None)

    # ------------------------------------------------------------------ builds

    def start(self, parameters: dict[str, Any], initiator: str) -> dict[str, Any]:
        """Start a build from the parameters of StartBuild."""
        project = self.find(parameters["projectName"])
        if project is None:
            raise ResourceNotFoundException(
                f"Project cannot be found: {self.arn('project', parameters['projectName'])}"
            )
        unknown = set(parameters) - set(OVERRIDES) - APPLIED_ELSEWHERE - WITHOUT_EFFECT
        if unknown:
            raise NotImplementedError(f"StartBuild with {', '.join(sorted(unknown))}")
        with self._lock:
            token = parameters.get("idempotencyToken")
            fingerprint = json.dumps(parameters, sort_keys=True)
            earlier = self._tokens.get(token) if token else None
            if earlier and time.monotonic() - earlier[0] < TOKEN_SECONDS:
                if earlier[1] != fingerprint:
                    raise InvalidInputException(
                        "Invalid idempotency token: it was used with different parameters"
                    )
                return self.builds[earlier[2]].record
            self._check_limit(project)
            record = self._record(project, parameters, initiator)
            build = Build(
                self.runtime,
                record,
                parameters,
                lambda kind, detail: self._emit(kind, record, detail),
                record["timeoutInMinutes"] * 60,
                record["queuedTimeoutInMinutes"] * 60,
                self._slots,
            )
            self.builds[record["id"]] = build
            if token:
                self._tokens[token] = (time.monotonic(), fingerprint, record["id"])
        self._emit("CodeBuild Build State Change", record, {})
        threading.Thread(target=build.run, name=record["id"], daemon=True).start()
        return record

    def _check_limit(self, project: dict[str, Any]) -> None:
        limit = project.get("concurrentBuildLimit")
        running = [
            build
            for build in self.builds.values()
            if build.record["projectName"] == project["name"] and not build.record["buildComplete"]
        ]
        if limit and len(running) >= limit:
            raise AccountLimitExceededError(f"Cannot have more than {limit} active builds for the project")

    def _record(self, project: dict[str, Any], parameters: dict[str, Any], initiator: str) -> dict[str, Any]:
        name, identifier = project["name"], str(uuid.uuid4())
        build_id = f"{name}:{identifier}"
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        kept: tuple[str, ...] = (
            "source",
            "environment",
            "artifacts",
            "cache",
            "secondarySources",
            "secondaryArtifacts",
        )
        kept += (
            "serviceRole",
            "timeoutInMinutes",
            "queuedTimeoutInMinutes",
            "encryptionKey",
            "vpcConfig",
            "sourceVersion",
        )
        record: dict[str, Any] = {
            "id": build_id,
            "arn": self.arn("build", build_id),
            "buildNumber": number,
            "startTime": time.time(),
            "currentPhase": "SUBMITTED",
            "buildStatus": "IN_PROGRESS",
            "projectName": name,
            "phases": [],
            "buildComplete": False,
            "initiator": initiator,
            **json.loads(json.dumps({key: project[key] for key in kept if project.get(key) is not None})),
        }
        for parameter, path in OVERRIDES.items():
            if parameter in parameters:
                holder = record[path[0]] if len(path) == 2 else record
                holder[path[-1]] = parameters[parameter]
        variables = {
            variable["name"]: variable
            for source in (
                record["environment"].get("environmentVariables") or [],
                parameters.get("environmentVariablesOverride") or [],
            )
            for variable in source
        }
        record["environment"]["environmentVariables"] = list(variables.values())
        _check(record)
        if record["source"]["type"] not in IMPLEMENTED:
            raise InvalidInputException(
                f"Source type {record['source']['type']} is not implemented here: "
                f"use {', '.join(IMPLEMENTED)}"
            )
        if record["source"]["type"] == "CODEPIPELINE":
            if not str(record.get("sourceVersion") or "").startswith(OBJECT_ARN):
                raise InvalidInputException(
                    f"The source of project {name} is CODEPIPELINE: only a pipeline can start its builds"
                )
            # A pipeline's session is named after the pipeline: localaws.codepipeline.
            record["initiator"] = f"codepipeline/{initiator.rpartition('/')[2]}"
        record["logs"] = self._logs(
            parameters.get("logsConfigOverride") or project.get("logsConfig") or {}, name, identifier
        )
        return record

    def _logs(self, configuration: dict[str, Any], project: str, identifier: str) -> dict[str, Any]:
        watch = {"status": "ENABLED", **(configuration.get("cloudWatchLogs") or {})}
        logs: dict[str, Any] = {
            "cloudWatchLogs": watch,
            "s3Logs": configuration.get("s3Logs") or {"status": "DISABLED", "encryptionDisabled": False},
        }
        if watch["status"] == "ENABLED":
            group = watch.get("groupName") or f"/aws/codebuild/{project}"
            stream = f"{watch['streamName']}/{identifier}" if watch.get("streamName") else identifier
            prefix = f"arn:{self.partition}:logs:{self.region_name}:{self.account_id}"
            logs |= {
                "groupName": group,
                "streamName": stream,
                "cloudWatchLogsArn": f"{prefix}:log-group:{group}:log-stream:{stream}",
                "deepLink": f"https://console.aws.amazon.com/cloudwatch/home?region={self.region_name}"
                f"#logsV2:log-groups/log-group/{group.replace('/', '$252F')}/log-events/{stream}",
            }
        return logs

    def _emit(self, detail_type: str, record: dict[str, Any], extra: dict[str, Any]) -> None:
        """https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html."""
        detail = {
            "build-status": record["buildStatus"],
            "project-name": record["projectName"],
            "build-id": record["arn"],
            "current-phase": record["currentPhase"],
            "current-phase-context": "[]",
            "version": "1",
            "additional-information": {
                "build-complete": record["buildComplete"],
                "build-number": record["buildNumber"],
                "initiator": record["initiator"],
                "timeout-in-minutes": record["timeoutInMinutes"],
                "queued-timeout-in-minutes": record["queuedTimeoutInMinutes"],
                "source": {
                    "type": record["source"]["type"],
                    "location": record["source"].get("location"),
                },
                "logs": {
                    "group-name": record["logs"].get("groupName"),
                    "stream-name": record["logs"].get("streamName"),
                    "deep-link": record["logs"].get("deepLink"),
                },
                "phases": [_event_phase(phase) for phase in record["phases"]],
            },
            **extra,
        }
        try:
            publisher(self.runtime, self.region_name)("aws.codebuild", detail_type, [record["arn"]], detail)
        except Exception:
            # A rule that cannot be served must not end the build; the build itself is told by its record.
            self.runtime.log.exception("event of %s", record["id"])

    def instances(self) -> list[dict[str, Any]]:
        """Return the builds that run, for `status`."""
        return [
            {"build": build.record["id"], "phase": build.record["currentPhase"]}
            for build in list(self.builds.values())
            if not build.record["buildComplete"]
        ]


def _event_phase(phase: dict[str, Any]) -> dict[str, Any]:
    shown = {"phase-type": phase["phaseType"], "start-time": _event_time(phase["startTime"])}
    if "endTime" in phase:
        shown |= {
            "end-time": _event_time(phase["endTime"]),
            "duration-in-seconds": phase["durationInSeconds"],
            "phase-status": phase["phaseStatus"],
            "phase-context": [
                f"{context['statusCode']}: {context['message']}" for context in phase["contexts"]
            ],
        }
    return shown


def _event_time(seconds: float) -> str:
    return time.strftime("%b %d, %Y %I:%M:%S %p", time.gmtime(seconds))


def _completed(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with the defaults that the API adds inside of them."""
    completed = dict(parameters)
    if "environment" in completed:
        completed["environment"] = {
            "privilegedMode": False,
            "imagePullCredentialsType": "CODEBUILD",
            "environmentVariables": [],
            **completed["environment"],
        }
        completed["environment"]["environmentVariables"] = [
            {"type": "PLAINTEXT", **variable}
            for variable in completed["environment"]["environmentVariables"] or []
        ]
    artifacts = completed.get("artifacts")
    if artifacts and artifacts.get("type") == "S3":
        completed["artifacts"] = {
            "packaging": "NONE",
            "namespaceType": "NONE",
            "name": completed.get("name"),
            "encryptionDisabled": False,
            **artifacts,
        }
    if "badgeEnabled" in completed:
        completed["badge"] = {"badgeEnabled": completed.pop("badgeEnabled")}
    return completed


def _name_of(project: str) -> str:
    """Return the name in a project's ARN; a name is one already."""
    return project.rpartition("project/")[2] if project.startswith("arn:") else project


def _check(project: dict[str, Any]) -> None:
    """Refuse what CodeBuild refuses, all faults in one message."""
    faults = []
    source, artifacts = project["source"], project["artifacts"]
    if source["type"] not in SOURCE_TYPES:
        faults.append(f"Invalid source type {source['type']}")
    if source["type"] not in ("NO_SOURCE", "CODEPIPELINE") and not source.get("location"):
        faults.append("Project source location is required")
    if source["type"] == "NO_SOURCE" and not source.get("buildspec"):
        faults.append("buildspec is required when source is NO_SOURCE")
    if (source["type"] == "CODEPIPELINE") != (artifacts["type"] == "CODEPIPELINE"):
        faults.append("Invalid source and artifacts: either both are of the type CODEPIPELINE or none is")
    if artifacts["type"] == "S3" and not artifacts.get("location"):
        faults.append("Project artifacts location is required")
    if artifacts["type"] == "NO_ARTIFACTS" and artifacts.get("location"):
        faults.append("Invalid artifacts: artifact type NO_ARTIFACTS should have null location")
    if not str(project.get("serviceRole", "")).startswith("arn:"):
        faults.append("Invalid service role: an ARN is required")
    if project["timeoutInMinutes"] not in TIMEOUT_MINUTES:
        faults.append("timeoutInMinutes must be between 5 and 2160")
    if project["queuedTimeoutInMinutes"] not in QUEUED_MINUTES:
        faults.append("queuedTimeoutInMinutes must be between 5 and 480")
    if faults:
        raise InvalidInputException("; ".join(faults))


def _backend(response: CodeBuildResponse) -> Projects:
    backend: Projects = codebuild_backends[response.current_account][response.region]
    return backend


def _parameters(response: CodeBuildResponse) -> dict[str, Any]:
    parameters: dict[str, Any] = json.loads(response.body or "{}")
    return parameters


def _page(response: CodeBuildResponse, items: list[str]) -> ActionResult:
    parameters = _parameters(response)
    if parameters.get("sortOrder", "DESCENDING") == "DESCENDING":
        items = items[::-1]
    start = int(parameters.get("nextToken") or 0)
    following = {"nextToken": str(start + PAGE)} if start + PAGE < len(items) else {}
    return ActionResult({"ids": items[start : start + PAGE], **following})


def create_project(response: CodeBuildResponse) -> ActionResult:
    """CreateProject."""
    return ActionResult({"project": _backend(response).create(_parameters(response))})


def update_project(response: CodeBuildResponse) -> ActionResult:
    """UpdateProject."""
    return ActionResult({"project": _backend(response).update(_parameters(response))})


def delete_project(response: CodeBuildResponse) -> EmptyResult:
    """DeleteProject."""
    _backend(response).delete_project(_parameters(response)["name"])
    return EmptyResult()


def list_projects(response: CodeBuildResponse) -> ActionResult:
    """ListProjects."""
    return ActionResult({"projects": sorted(_backend(response).projects)})


def batch_get_projects(response: CodeBuildResponse) -> ActionResult:
    """BatchGetProjects."""
    names = _parameters(response)["names"]
    found = {name: _backend(response).find(name) for name in names}
    return ActionResult(
        {
            "projects": [project for project in found.values() if project],
            "projectsNotFound": [name for name, project in found.items() if not project],
        }
    )


def start_build(response: CodeBuildResponse) -> ActionResult:
    """StartBuild."""
    from moto.sts.models import sts_backends

    sts = sts_backends[response.current_account][response.partition]
    caller = sts.get_caller_identity(response.access_key, response.region)[1].rpartition(":")[2]
    initiator = caller.removeprefix("user/").removeprefix("assumed-role/")
    return ActionResult({"build": _backend(response).start(_parameters(response), initiator)})


def stop_build(response: CodeBuildResponse) -> ActionResult:
    """StopBuild: returns at once, the build ends soon after."""
    build = _find(response, _parameters(response)["id"])
    if build is None:
        raise ResourceNotFoundException(f"Build {_parameters(response)['id']} does not exist")
    build.stop()
    return ActionResult({"build": build.record})


def _find(response: CodeBuildResponse, build: str) -> Build | None:
    identifier = build.rpartition("build/")[2] if build.startswith("arn:") else build
    return _backend(response).builds.get(identifier)


def batch_get_builds(response: CodeBuildResponse) -> ActionResult:
    """BatchGetBuilds."""
    ids = _parameters(response)["ids"]
    if any(":" not in identifier for identifier in ids):
        raise InvalidInputException("Invalid build ID provided")
    found = {identifier: _find(response, identifier) for identifier in ids}
    return ActionResult(
        {
            "builds": [dict(build.record) for build in found.values() if build],
            "buildsNotFound": [identifier for identifier, build in found.items() if not build],
        }
    )


def list_builds(response: CodeBuildResponse) -> ActionResult:
    """ListBuilds."""
    return _page(response, list(_backend(response).builds))


def list_builds_for_project(response: CodeBuildResponse) -> ActionResult:
    """ListBuildsForProject."""
    name = _parameters(response)["projectName"]
    backend = _backend(response)
    if backend.find(name) is None:
        raise ResourceNotFoundException(f"The provided project {backend.arn('project', name)} does not exist")
    return _page(
        response, [key for key, build in backend.builds.items() if build.record["projectName"] == name]
    )


ACTIONS = (
    create_project,
    update_project,
    delete_project,
    list_projects,
    batch_get_projects,
    start_build,
    stop_build,
    batch_get_builds,
    list_builds,
    list_builds_for_project,
)


def install(runtime: Runtime) -> None:
    """Replace moto's CodeBuild: it keeps projects only, and its builds succeed when they are looked at."""
    Projects.runtime = runtime
    codebuild_backends.backend = Projects
    for action in ACTIONS:
        setattr(CodeBuildResponse, action.__name__, action)

    def running() -> list[dict[str, Any]]:
        return [
            instance
            for account in list(codebuild_backends.values())
            for backend in list(account.values())
            for instance in backend.instances()
        ]

    def stop() -> None:
        for account in list(codebuild_backends.values()):
            for backend in list(account.values()):
                for build in list(backend.builds.values()):
                    if not build.record["buildComplete"]:
                        build.stop()

    runtime.instances["codebuild"] = running
    runtime.on_shutdown(stop)
