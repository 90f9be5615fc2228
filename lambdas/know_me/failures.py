"""Failures in words: what Step Functions caught, as an error name and a cause that a person can act on."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from know_me import errors
from know_me.builds import Build, describe_builds
from know_me.executions import history
from know_me.run_folder import RunFolder
from know_me.wording import counted

MET_BY_PEOPLE = {
    *(kind.__name__ for kind in errors.RunbookError.__subclasses__()),
    "DumpFailed",
    "RestoreFailed",
    "VerificationFailed",
}
"""Names of contracts, section 7: their causes are already sentences."""

NAMED = 20
"""How many objects a cause names."""

CAUSE_LIMIT = 8000
"""Step Functions takes 32768 characters; nobody reads more than this."""


class Caught(BaseModel):
    """`$states.errorOutput` of a Catch."""

    model_config = ConfigDict(extra="ignore")

    Error: str
    Cause: str = ""


class Failure(BaseModel):
    """What went wrong, in words."""

    error: str
    cause: str


class Kind(BaseModel):
    """What a kind of build is called, and the names of the errors with which it ends."""

    model_config = ConfigDict(frozen=True)

    called: str
    failed: str
    timed_out: str
    interrupted: str


DATABASE_JOB = Kind(
    called="The database job {job}",
    failed="DatabaseJobFailed",
    timed_out="DatabaseJobTimedOut",
    interrupted="DatabaseJobInterrupted",
)
MEDIA_JOB = Kind(
    called="The media job {job}",
    failed="MediaJobFailed",
    timed_out="MediaJobTimedOut",
    interrupted="MediaJobInterrupted",
)
TERRAFORM = Kind(
    called="Terraform's {job}",
    failed="ProvisionFailed",
    timed_out="ProvisionFailed",
    interrupted="ProvisionFailed",
)


class Explainer:
    """Explains what an execution caught.

    Parameters
    ----------
    s3, states, codebuild : clients
    bucket : str
        The artifacts bucket: a job says in its run's folder how it ended.
    run_id : str
        The run that the execution belongs to.
    media_jobs_build : str
        Name of the build project of the media jobs.
    """

    def __init__(
        self, s3: Any, states: Any, codebuild: Any, bucket: str, run_id: str, media_jobs_build: str
    ) -> None:
        self._s3 = s3
        self._states = states
        self._codebuild = codebuild
        self._bucket = bucket
        self._run_id = run_id
        self._media_jobs_build = media_jobs_build

    def explain(self, caught: Caught, execution_arn: str) -> Failure:
        """Return the failure in words.

        The cause that Step Functions gives is the JSON of what failed: a function's error, a build, or an
        execution. A task that timed out has none; the execution's history says which it was. A distributed
        map says only that too much failed; the objects left a document each.
        """
        document = json_of(caught.Cause)
        if "errorMessage" in document:
            return self._of_function(caught.Error, document)
        build = document.get("Build", document)
        if "BuildStatus" in build:
            return self._of_build(str(build["Id"]), _variables_of(build), str(build["BuildStatus"]))
        if "ExecutionArn" in document:
            return self._of_execution(document)
        if caught.Error in ("States.Timeout", "States.HeartbeatTimeout"):
            return self._of_timeout(execution_arn)
        if caught.Error == "States.ExceedToleratedFailureThreshold":
            return self._of_large_objects(caught.Cause)
        cause = caught.Cause[:CAUSE_LIMIT]
        if caught.Error in MET_BY_PEOPLE:
            return Failure(error=caught.Error, cause=cause)
        state = self._last_failed_task(execution_arn)["state"]
        return Failure(
            error=caught.Error, cause=f"The step “{state}” failed: {cause or 'no cause was given'}"
        )

    def _of_function(self, error: str, document: dict[str, Any]) -> Failure:
        message = str(document["errorMessage"])[:CAUSE_LIMIT]
        if error in MET_BY_PEOPLE:
            return Failure(error=error, cause=message)
        return Failure(
            error=error,
            cause=f"A step failed in a way nobody foresaw: {document.get('errorType', error)}: {message}. "
            "The logs of the function have the details; search them for the run id.",
        )

    def _of_execution(self, document: dict[str, Any]) -> Failure:
        arn, status = str(document["ExecutionArn"]), document.get("Status")
        if status == "ABORTED":
            kind = MEDIA_JOB if arn.split(":")[-2].endswith("-move-media") else DATABASE_JOB
            return Failure(
                error=document.get("Error") or kind.interrupted,
                cause=f"The execution {arn} was stopped. {document.get('Cause') or ''}".strip(),
            )
        if not document.get("Error"):
            return Failure(error="States.TaskFailed", cause=f"The execution {arn} ended as {status}.")
        return self.explain(Caught(Error=document["Error"], Cause=document.get("Cause") or ""), arn)

    def _of_timeout(self, execution_arn: str) -> Failure:
        task = self._last_failed_task(execution_arn)
        variables = _overrides_of(task["arguments"])
        seconds = task["timeout_seconds"]
        limit = f"the {seconds} s allowed" if seconds else "the time allowed"
        kind, job = self._kind(variables, str(task["arguments"].get("ProjectName", "")))
        if kind is None:
            return Failure(
                error="States.Timeout", cause=f"The step “{task['state']}” took longer than {limit}."
            )
        remedy = (
            "Look at the build's logs; when it has ended, start provision again."
            if kind is TERRAFORM
            else "Start again with a larger job_timeout_seconds."
        )
        return Failure(
            error=kind.timed_out, cause=f"{kind.called.format(job=job)} took longer than {limit}. {remedy}"
        )

    def _of_large_objects(self, cause: str) -> Failure:
        """Name the objects that a distributed map gave up."""
        folder = RunFolder(self._s3, self._bucket, self._run_id)
        names = list(folder.names("media/failed/"))
        failed = [document for name in names[:NAMED] if (document := folder.read(name))]
        if not failed:
            return Failure(
                error="MediaCopyFailed",
                cause=f"Large objects could not be copied: {cause or 'no cause was given'} "
                "The map run of the execution says which; then start the migration again.",
            )
        named = "; ".join(f"{document['key']} ({document['error']})" for document in failed)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return Failure(
            error="MediaCopyFailed",
            cause=f"{counted(len(names), 'large object')} could not be copied: {named}{more}. "
            "Solve what is named, then start the migration again: what is copied is not copied twice."[
                :CAUSE_LIMIT
            ],
        )

    def _of_build(self, build_id: str, variables: dict[str, str], status: str) -> Failure:
        build = next(
            iter(describe_builds(self._codebuild, [build_id])),
            Build(id=build_id, status=status, variables=variables),
        )
        variables = {**variables, **build.variables}
        project = build_id.rpartition("/")[2].partition(":")[0]
        kind, job = self._kind(variables, project)
        kind = kind or TERRAFORM
        reported = RunFolder(self._s3, self._bucket, variables.get("RUN_ID", "")).read(
            f"jobs/{_result_name(kind, job, variables)}.json"
        )
        said = (reported or {}).get("error") or {}
        if reported and reported.get("status") == "failed" and said:
            words = [said.get("cause") or "It gave no cause.", said.get("remedy") or ""]
            name = said.get("name")
            return Failure(
                error=name if name in MET_BY_PEOPLE else kind.failed,
                cause=" ".join(word for word in words if word)[:CAUSE_LIMIT],
            )
        return _of_silent_build(build, kind, job)

    def _kind(self, variables: dict[str, str], project: str) -> tuple[Kind | None, str]:
        """Return which kind of build it is, and what the job or action is called; None for no build."""
        if "JOB" in variables:
            kind = MEDIA_JOB if project == self._media_jobs_build else DATABASE_JOB
            return kind, variables["JOB"]
        return (TERRAFORM, variables["ACTION"]) if "ACTION" in variables else (None, "build")

    def _last_failed_task(self, execution_arn: str) -> dict[str, Any]:
        """Find the newest task that failed or timed out: its state's name, arguments and time limit."""
        found: dict[str, Any] = {"state": "unknown", "arguments": {}, "timeout_seconds": None}
        events = {event["id"]: event for event in history(self._states, execution_arn)}
        failed = [event for event in events.values() if event["type"] in FAILURES]
        event = max(failed, key=lambda item: item["id"], default=None)
        while event is not None:
            details = event.get("taskScheduledEventDetails")
            if details:
                found["arguments"] = json_of(details.get("parameters", ""))
                found["timeout_seconds"] = details.get("timeoutInSeconds")
            if event["type"] == "TaskStateEntered":
                found["state"] = event["stateEnteredEventDetails"]["name"]
                break
            event = events.get(event.get("previousEventId", 0))
        return found


FAILURES = frozenset(
    {"TaskFailed", "TaskTimedOut", "TaskStartFailed", "TaskSubmitFailed", "LambdaFunctionFailed"}
)


def _result_name(kind: Kind, job: str, variables: dict[str, str]) -> str:
    """Return the name of the document in which a job says how it ended (contracts, sections 4a and 5)."""
    if kind is MEDIA_JOB:
        return f"{variables.get('PHASE', '')}-{job}"
    return f"terraform-{job}" if kind is TERRAFORM else job


def _of_silent_build(build: Build, kind: Kind, job: str) -> Failure:
    """Say how a build ended that could not say it itself."""
    logs = f" Its logs: {build.logs_link}." if build.logs_link else " Its logs in CodeBuild say more."
    name = kind.interrupted
    if build.status == "TIMED_OUT":
        words, name = "took longer than the build project allows", kind.timed_out
    elif build.status == "STOPPED":
        words = "was stopped"
    else:
        phase = next((item for item in build.phases if item.get("phaseStatus") in ("FAILED", "FAULT")), {})
        message = "; ".join(
            item.get("message", "") for item in phase.get("contexts", []) if item.get("message")
        )
        words = "was killed or failed before it could report" + (
            f" (phase {phase['phaseType']}{': ' + message if message else ''})" if phase else ""
        )
    return Failure(
        error=name,
        cause=f"{kind.called.format(job=job)} {words} (build {build.id}).{logs} "
        "Start again when the reason is gone.",
    )


def words_of(caught: Caught) -> str:
    """Return what was caught in one line: a function's own message, or the service's."""
    said = json_of(caught.Cause).get("errorMessage") or caught.Cause
    return f"{caught.Error}: {said}"[:CAUSE_LIMIT] if said else caught.Error


def json_of(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is, an empty one when it is none."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _variables_of(build: dict[str, Any]) -> dict[str, str]:
    """Environment variables of a build in Step Functions' spelling."""
    items = build.get("Environment", {}).get("EnvironmentVariables", [])
    return {str(item["Name"]): str(item["Value"]) for item in items}


def _overrides_of(arguments: dict[str, Any]) -> dict[str, str]:
    """Environment variables that a state gave to a build."""
    return {
        str(item["Name"]): str(item["Value"]) for item in arguments.get("EnvironmentVariablesOverride", [])
    }
