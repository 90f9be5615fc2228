"""Failures in words: what Step Functions caught, as an error name and a cause that a person can act on."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from know_me import errors
from know_me.builds import Build, describe_builds
from know_me.executions import history
from know_me.run_folder import RunFolder

MET_BY_PEOPLE = {
    *(kind.__name__ for kind in errors.RunbookError.__subclasses__()),
    "DumpFailed",
    "RestoreFailed",
    "VerificationFailed",
}
"""Names of contracts, section 7: their causes are already sentences."""

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


class Explainer:
    """Explains what an execution caught.

    Parameters
    ----------
    s3, states, codebuild : clients
    bucket : str
        The artifacts bucket: a database job says in its run's folder how it ended.
    """

    def __init__(self, s3: Any, states: Any, codebuild: Any, bucket: str) -> None:
        self._s3 = s3
        self._states = states
        self._codebuild = codebuild
        self._bucket = bucket

    def explain(self, caught: Caught, execution_arn: str) -> Failure:
        """Return the failure in words.

        The cause that Step Functions gives is the JSON of what failed: a function's error, a build, or an
        execution. A task that timed out has none; the execution's history says which it was.
        """
        document = _json(caught.Cause)
        if "errorMessage" in document:
            return self._of_function(caught.Error, document)
        build = document.get("Build", document)
        if "BuildStatus" in build:
            return self._of_build(str(build["Id"]), _variables_of(build), str(build["BuildStatus"]))
        if "ExecutionArn" in document:
            return self._of_execution(document)
        if caught.Error in ("States.Timeout", "States.HeartbeatTimeout"):
            return self._of_timeout(execution_arn)
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
            return Failure(
                error=document.get("Error") or "DatabaseJobInterrupted",
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
        if "JOB" in variables:
            return Failure(
                error="DatabaseJobTimedOut",
                cause=f"The database job {variables['JOB']} took longer than {limit}. "
                "Start again with a larger job_timeout_seconds.",
            )
        if "ACTION" in variables:
            return Failure(
                error="ProvisionFailed",
                cause=f"Terraform's {variables['ACTION']} took longer than {limit}. "
                "Look at the build's logs; when it has ended, start provision again.",
            )
        return Failure(error="States.Timeout", cause=f"The step “{task['state']}” took longer than {limit}.")

    def _of_build(self, build_id: str, variables: dict[str, str], status: str) -> Failure:
        build = next(
            iter(describe_builds(self._codebuild, [build_id])),
            Build(id=build_id, status=status, variables=variables),
        )
        variables = {**variables, **build.variables}
        action = variables.get("ACTION")
        job = variables.get("JOB") or f"terraform-{action}"
        own = {"error": "ProvisionFailed", "called": f"Terraform's {action}"}
        if "JOB" in variables:
            own = {"error": "DatabaseJobFailed", "called": f"The database job {job}"}
        reported = (
            RunFolder(self._s3, self._bucket, variables.get("RUN_ID", "")).read(f"jobs/{job}.json") or {}
        )
        said = reported.get("error") or {}
        if reported.get("status") == "failed" and said:
            words = [said.get("cause") or "It gave no cause.", said.get("remedy") or ""]
            name = said.get("name")
            return Failure(
                error=name if name in MET_BY_PEOPLE else own["error"],
                cause=" ".join(word for word in words if word)[:CAUSE_LIMIT],
            )
        return _of_silent_build(build, own["called"], is_database_job="JOB" in variables)

    def _last_failed_task(self, execution_arn: str) -> dict[str, Any]:
        """Find the newest task that failed or timed out: its state's name, arguments and time limit."""
        found: dict[str, Any] = {"state": "unknown", "arguments": {}, "timeout_seconds": None}
        events = {event["id"]: event for event in history(self._states, execution_arn)}
        failed = [event for event in events.values() if event["type"] in FAILURES]
        event = max(failed, key=lambda item: item["id"], default=None)
        while event is not None:
            details = event.get("taskScheduledEventDetails")
            if details:
                found["arguments"] = _json(details.get("parameters", ""))
                found["timeout_seconds"] = details.get("timeoutInSeconds")
            if event["type"] == "TaskStateEntered":
                found["state"] = event["stateEnteredEventDetails"]["name"]
                break
            event = events.get(event.get("previousEventId", 0))
        return found


FAILURES = frozenset(
    {"TaskFailed", "TaskTimedOut", "TaskStartFailed", "TaskSubmitFailed", "LambdaFunctionFailed"}
)


def _of_silent_build(build: Build, called: str, *, is_database_job: bool) -> Failure:
    """Say how a build ended that could not say it itself."""
    logs = f" Its logs: {build.logs_link}." if build.logs_link else " Its logs in CodeBuild say more."
    if build.status == "TIMED_OUT":
        words, name = "took longer than the build project allows", "DatabaseJobTimedOut"
    elif build.status == "STOPPED":
        words, name = "was stopped", "DatabaseJobInterrupted"
    else:
        phase = next((item for item in build.phases if item.get("phaseStatus") in ("FAILED", "FAULT")), {})
        message = "; ".join(
            item.get("message", "") for item in phase.get("contexts", []) if item.get("message")
        )
        words = "was killed or failed before it could report" + (
            f" (phase {phase['phaseType']}{': ' + message if message else ''})" if phase else ""
        )
        name = "DatabaseJobInterrupted"
    return Failure(
        error=name if is_database_job else "ProvisionFailed",
        cause=f"{called} {words} (build {build.id}).{logs} Start again when the reason is gone.",
    )


def _json(text: str) -> dict[str, Any]:
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
