"""One build: its phases from SUBMITTED to COMPLETED, in a thread of its own.

Phase transitions: https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localaws.codebuild import artifacts, source
from localaws.codebuild.shell import Shell
from localaws.codebuild.specification import (
    Artifacts,
    Phase,
    Specification,
    SpecificationError,
    is_inline,
    parse,
)
from localaws.codebuild.variables import VariableError, declared, resolve
from localaws.log_stream import LogStream
from localaws.runtime import Runtime

STOP_GRACE_SECONDS = 5.0
MAXIMUM_MESSAGE = 1000
"""Characters of a phase context."""

Emit = Callable[[str, dict[str, Any]], None]


class Interrupted(Exception):  # noqa: N818 - not an error: the build was told to end
    """The build was stopped or ran out of time."""


class PhaseFailed(Exception):  # noqa: N818 - named after what AWS calls it
    """A phase failed.

    Parameters
    ----------
    status_code, message:
        Of the phase context.
    """

    def __init__(self, status_code: str, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


class Build:
    """A build that runs.

    Parameters
    ----------
    runtime:
        Of the server.
    record:
        What BatchGetBuilds answers; this object keeps it up to date.
    overrides:
        The parameters of StartBuild.
    emit:
        Called with detail type and additional detail when something is worth an event.
    timeout_seconds, queue_seconds:
        From the project or the overrides.
    slots:
        How many builds run at the same time.
    """

    def __init__(
        self,
        runtime: Runtime,
        record: dict[str, Any],
        overrides: dict[str, Any],
        emit: Emit,
        timeout_seconds: float,
        queue_seconds: float,
        slots: threading.Semaphore,
    ) -> None:
        self.record = record
        self._runtime = runtime
        self._overrides = overrides
        self._emit = emit
        self._timeout_seconds = timeout_seconds
        self._queue_seconds = queue_seconds
        self._slots = slots
        self._stopping = threading.Event()
        self._deadline: float | None = None
        self._succeeding = True
        self._specification = Specification(version="0.2", phases={})
        self._environment: dict[str, str] = {}
        self._shell: Shell | None = None
        self._finished = threading.Event()
        project, _, number = record["id"].partition(":")
        self._project = project
        self._uuid = number
        self._directory = runtime.directory / "codebuild" / number
        self._source = self._directory / "output" / "src" / "src"
        self._log: LogStream | None = None
        self._output: int = -1
        self._pump: threading.Thread | None = None

    # ------------------------------------------------------------------ from outside

    def stop(self) -> None:
        """Ask the build to end as STOPPED."""
        self._stopping.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; return whether it came."""
        return self._finished.wait(timeout)

    def run(self) -> None:
        """Run every phase; never raises."""
        acquired = False
        try:
            with self._phase("SUBMITTED"):
                pass
            with self._phase("QUEUED"):
                acquired = self._wait_for_slot()
            self._deadline = time.monotonic() + self._timeout_seconds
            self._work()
            status = "SUCCEEDED" if self._succeeding else "FAILED"
        except Interrupted:
            status = "STOPPED" if self._stopping.is_set() else "TIMED_OUT"
        except PhaseFailed:
            status = "FAILED"
        except Exception as error:
            self._runtime.log.exception("build %s", self.record["id"])
            self._say(f"Internal error of the local AWS: {type(error).__name__}: {error}")
            status = "FAULT"
        finally:
            if acquired:
                self._slots.release()
        self._finish(status)

    # ------------------------------------------------------------------ the phases

    def _wait_for_slot(self) -> bool:
        deadline = time.monotonic() + self._queue_seconds
        while not self._slots.acquire(timeout=0.2):
            if self._stopping.is_set() or time.monotonic() > deadline:
                raise Interrupted
        return True

    def _work(self) -> None:
        with self._phase("PROVISIONING"):
            self._provision()
        with self._phase("DOWNLOAD_SOURCE"):
            self._download()
        try:
            self._commands()
        finally:
            self._export()
            if self._shell is not None:
                self._shell.close(STOP_GRACE_SECONDS if self._stopping.is_set() else 0)
        with self._phase("FINALIZING"):
            pass

    def _provision(self) -> None:
        self._directory.mkdir(parents=True)
        self._directory.chmod(0o700)
        logs = (self.record["logs"].get("cloudWatchLogs") or {}).get("status", "ENABLED")
        if logs == "ENABLED":
            self._log = LogStream(
                self._client("logs"), self.record["logs"]["groupName"], self.record["logs"]["streamName"]
            )
        reader, self._output = os.pipe()
        self._pump = threading.Thread(target=self._read, args=(reader,), name="build output", daemon=True)
        self._pump.start()
        self._say(f"Waiting for agent ping of {self.record['id']}")

    def _client(self, service: str) -> Any:
        return self._runtime.client(service, self.record["serviceRole"])

    def _read(self, reader: int) -> None:
        with open(reader, "rb", buffering=0) as stream:
            rest = b""
            while chunk := stream.read(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if self._log:
                        self._log.write(line.decode(errors="replace") + "\n")
            if rest and self._log:
                self._log.write(rest.decode(errors="replace"))

    def _say(self, message: str) -> None:
        if self._output >= 0:
            stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime())
            os.write(self._output, f"[Container] {stamp} {message}\n".encode())

    def _download(self) -> None:
        definition = self.record["source"]
        try:
            version = source.fetch(
                definition, self.record.get("sourceVersion"), self._source, self._client("s3")
            )
            extra = {}
            for secondary in self.record.get("secondarySources") or []:
                name = secondary["sourceIdentifier"]
                extra[f"CODEBUILD_SRC_DIR_{name}"] = str(self._source.parent / name)
                source.fetch(secondary, None, self._source.parent / name, self._client("s3"))
        except source.SourceError as error:
            raise PhaseFailed("CLIENT_ERROR", str(error)) from error
        if version:
            self.record["resolvedSourceVersion"] = version
        try:
            self._specification = parse(self._buildspec(definition))
        except (SpecificationError, source.SourceError, OSError) as error:
            raise PhaseFailed("YAML_FILE_ERROR", str(error)) from error
        try:
            variables = resolve(
                declared(
                    self._specification.env,
                    self.record["environment"].get("environmentVariables") or [],
                    self._overrides.get("environmentVariablesOverride") or [],
                ),
                self._client("ssm"),
                self._client("secretsmanager"),
            )
        except VariableError as error:
            raise PhaseFailed(error.status_code, str(error)) from error
        self._environment = self._standard_environment() | extra | variables
        for name, phase in self._specification.phases.items():
            if phase.runtime_versions:
                self._say(f"Runtime versions of {name} are those of this machine: {phase.runtime_versions}")
        try:
            self._shell = Shell(
                self._runtime.processes,
                f"codebuild {self.record['id']}",
                self._agent_directory(),
                self._source,
                self._environment,
                self._output,
                self._specification.env.shell,
            )
        except OSError as error:
            raise PhaseFailed("CLIENT_ERROR", str(error)) from error

    def _agent_directory(self) -> Path:
        directory: Path = self._directory / "agent"
        directory.mkdir()
        return directory

    def _buildspec(self, definition: dict[str, Any]) -> str:
        given = definition.get("buildspec") or ""
        if is_inline(given):
            return str(given)
        if given.startswith("arn:aws:s3:::"):
            bucket, _, key = given.removeprefix("arn:aws:s3:::").partition("/")
            try:
                return str(self._client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode())
            except ClientError as error:
                raise source.SourceError(f"{given}: {error}") from error
        file: Path = self._source / (given or "buildspec.yml")
        if not file.is_file():
            raise source.SourceError(f"YAML file does not exist: {given or 'buildspec.yml'}")
        return file.read_text()

    def _standard_environment(self) -> dict[str, str]:
        """https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html."""
        record = self.record
        image = self._runtime.images.build(record["environment"]["image"])
        home = self._directory / "home"
        home.mkdir()
        temporary = self._directory / "tmp"
        temporary.mkdir()
        return {
            "LANG": "C.UTF-8",
            **image.environment,
            "PATH": image.path,
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "CI": "true",
            "CODEBUILD_CI": "true",
            "CODEBUILD_AUTH_TOKEN": "",
            "CODEBUILD_BUILD_ARN": record["arn"],
            "CODEBUILD_BUILD_ID": record["id"],
            "CODEBUILD_BUILD_IMAGE": record["environment"]["image"],
            "CODEBUILD_BUILD_NUMBER": str(record["buildNumber"]),
            "CODEBUILD_INITIATOR": record["initiator"],
            "CODEBUILD_KMS_KEY_ID": record["encryptionKey"],
            "CODEBUILD_LOG_PATH": record["logs"].get("streamName", ""),
            "CODEBUILD_PROJECT_ARN": record["arn"].replace(":build/", ":project/").rpartition(":")[0],
            "CODEBUILD_RESOLVED_SOURCE_VERSION": record.get("resolvedSourceVersion", ""),
            "CODEBUILD_SOURCE_REPO_URL": record["source"].get("location") or "",
            "CODEBUILD_SOURCE_VERSION": record.get("sourceVersion") or "",
            "CODEBUILD_SRC_DIR": str(self._source),
            "CODEBUILD_START_TIME": str(int(record["startTime"] * 1000)),
            **self._runtime.role_environment(record["serviceRole"], f"AWSCodeBuild-{self._uuid}"),
        }

    def _commands(self) -> None:
        for name in ("install", "pre_build", "build", "post_build"):
            phase = self._specification.phase(name)
            try:
                self._run_phase(name, phase)
            except PhaseFailed:
                self._succeeding = False
                leave = phase.on_failure == "ABORT" or (name != "build" and phase.on_failure != "CONTINUE")
                if leave:
                    return
        if self._specification.artifacts.files or self._specification.artifacts.secondary:
            try:
                with self._phase("UPLOAD_ARTIFACTS"):
                    self._upload()
            except PhaseFailed:
                self._succeeding = False
        else:
            with self._phase("UPLOAD_ARTIFACTS"):
                pass

    def _run_phase(self, name: str, phase: Phase) -> None:
        for attempt in range(1, phase.attempts + 1):
            try:
                with self._phase(name.upper()):
                    self._run_commands(phase)
                return
            except PhaseFailed:
                if attempt == phase.attempts:
                    raise
                self._say(f"Retrying phase {name.upper()} ({attempt} of {phase.attempts - 1})")

    def _run_commands(self, phase: Phase) -> None:
        failure: PhaseFailed | None = None
        try:
            for command in phase.commands:
                self._run_command(command)
        except PhaseFailed as error:
            failure = error
            self._succeeding = False
        for command in phase.finally_:
            self._run_command(command)
        if failure:
            raise failure

    def _run_command(self, command: str) -> None:
        if self._shell is None:
            raise RuntimeError("the shell is made while the source is downloaded")
        self._say(f"Running command {command}")
        status = self._shell.run(command, self._succeeding, self._interrupted)
        if status is None:
            if self._interrupted():
                raise Interrupted
            raise PhaseFailed(
                "COMMAND_EXECUTION_ERROR",
                f"Error while executing command: {command}. Reason: the shell ended",
            )
        if status != 0:
            self._say(f"Command did not exit successfully {command} exit status {status}")
            raise PhaseFailed(
                "COMMAND_EXECUTION_ERROR",
                f"Error while executing command: {command}. Reason: exit status {status}",
            )

    def _interrupted(self) -> bool:
        return self._stopping.is_set() or (self._deadline is not None and time.monotonic() > self._deadline)

    def _upload(self) -> None:
        destinations = {None: self.record["artifacts"]} | {
            destination["artifactIdentifier"]: destination
            for destination in self.record.get("secondaryArtifacts") or []
        }
        wanted: dict[str | None, Artifacts] = {None: self._specification.artifacts}
        wanted.update(self._specification.artifacts.secondary)
        for identifier, listed in wanted.items():
            destination = destinations.get(identifier)
            if not listed.files or destination is None or not destination.get("location"):
                continue
            name = self._expanded(listed.name)
            key = artifacts.prefix(destination, self._project, self._uuid, name)
            try:
                files = list(artifacts.matching(self._source, listed))
                destination["location"] = artifacts.upload(
                    self._client("s3"), destination, key, iter(files), self.record["encryptionKey"]
                )
            except artifacts.ArtifactsError as error:
                raise PhaseFailed("CLIENT_ERROR", str(error)) from error
            except ClientError as error:
                raise PhaseFailed("CLIENT_ERROR", f"Error in UPLOAD_ARTIFACTS phase: {error}") from error
            self._say(f"Uploaded {len(files)} files to {destination['location']}")

    def _expanded(self, name: str | None) -> str | None:
        """Return an artifact's name with its shell expressions (`name-$(date +%F)`) evaluated."""
        if name is None or self._shell is None or not set("$`") & set(name):
            return name
        target: Path = self._directory / "name"
        self._shell.run(f'printf %s "{name}" > {target}', self._succeeding, self._interrupted)
        return target.read_text()

    def _export(self) -> None:
        names = self._specification.env.exported_variables
        if not names or self._shell is None or not self._shell.process.running or self._interrupted():
            return
        values = self._shell.variables()
        self.record["exportedEnvironmentVariables"] = [
            {"name": name, "value": values[name]} for name in names if name in values
        ]

    # ------------------------------------------------------------------ bookkeeping

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        record: dict[str, Any] = {"phaseType": name, "startTime": time.time()}
        self.record["phases"] = [*self.record["phases"], record]
        self.record["currentPhase"] = name
        self._say(f"Entering phase {name}")
        if self._interrupted() and name != "SUBMITTED":
            self._end_phase(record, "STOPPED" if self._stopping.is_set() else "TIMED_OUT")
            raise Interrupted
        try:
            yield
        except Interrupted:
            self._end_phase(record, "STOPPED" if self._stopping.is_set() else "TIMED_OUT")
            raise
        except PhaseFailed as error:
            self._end_phase(record, "FAILED", error)
            raise
        except Exception:
            self._end_phase(record, "FAULT")
            raise
        self._end_phase(record, "SUCCEEDED")

    def _end_phase(self, record: dict[str, Any], status: str, error: PhaseFailed | None = None) -> None:
        now = time.time()
        message = str(error)[:MAXIMUM_MESSAGE] if error else ""
        if status == "TIMED_OUT":
            context = {"statusCode": "BUILD_TIMED_OUT", "message": "Build has timed out. "}
        else:
            context = {"statusCode": error.status_code if error else "", "message": message}
        record.update(
            phaseStatus=status,
            endTime=now,
            durationInSeconds=int(now - record["startTime"]),
            contexts=[context],
        )
        self._say(f"Phase complete: {record['phaseType']} State: {status}")
        self._say(f"Phase context status code: {context['statusCode']} Message: {context['message']}")
        self._emit(
            "CodeBuild Build Phase Change",
            {
                "completed-phase": record["phaseType"],
                "completed-phase-status": status,
                "completed-phase-duration-seconds": record["durationInSeconds"],
                "completed-phase-context": f"[{context['statusCode']}: {context['message']}]",
            },
        )

    def _finish(self, status: str) -> None:
        if self._shell is not None:
            with suppress(OSError):
                os.close(self._output)
            self._output = -1
        elif self._output >= 0:
            os.close(self._output)
            self._output = -1
        if self._pump is not None:
            # Whoever held the pipe was killed with the shell's group; all the same, never wait for ever.
            self._pump.join(STOP_GRACE_SECONDS)
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        now = time.time()
        self.record["phases"] = [*self.record["phases"], {"phaseType": "COMPLETED", "startTime": now}]
        self.record.update(currentPhase="COMPLETED", endTime=now, buildComplete=True, buildStatus=status)
        self._finished.set()
        self._emit("CodeBuild Build State Change", {})
