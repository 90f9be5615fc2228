"""What an execution knows about itself, and how the API shows it."""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localaws.codepipeline.store import Artifact

Document = dict[str, Any]

IN_PROGRESS, SUCCEEDED, FAILED = "InProgress", "Succeeded", "Failed"
STOPPING, STOPPED, ABANDONED, SUPERSEDED = "Stopping", "Stopped", "Abandoned", "Superseded"


@dataclass(frozen=True)
class Revision:
    """What a source action found.

    Attributes
    ----------
    action, artifact:
        Names of the source action and of its artifact.
    identifier, summary, url:
        The commit, its message, and where to look at it.
    """

    action: str
    artifact: str
    identifier: str
    summary: str
    url: str

    def of_source(self) -> Document:
        """Return it as an item of `sourceRevisions`."""
        return {
            "actionName": self.action,
            "revisionId": self.identifier,
            "revisionSummary": self.summary,
            "revisionUrl": self.url,
        }

    def of_artifact(self) -> Document:
        """Return it as an item of `artifactRevisions`."""
        return {
            "name": self.artifact,
            "revisionId": self.identifier,
            "revisionSummary": self.summary,
            "revisionUrl": self.url,
        }


@dataclass
class ActionRun:
    """One run of an action.

    Attributes
    ----------
    stage:
        Its stage.
    declaration:
        The action, as the pipeline declares it.
    role_arn, region:
        With which it acts, and where.
    status:
        `InProgress`, `Succeeded`, `Failed` or `Abandoned`.
    """

    stage: str
    declaration: Mapping[str, Any]
    role_arn: str
    region: str
    status: str = IN_PROGRESS
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    configuration: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Artifact, ...] = ()
    outputs: tuple[Artifact, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    external_id: str = ""
    external_url: str = ""
    summary: str = ""
    log_stream_arn: str = ""
    error: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The action's name."""
        return str(self.declaration["name"])

    def external(self) -> Document:
        """Return what is known of the work outside of the pipeline."""
        known = {
            "externalExecutionId": self.external_id,
            "externalExecutionUrl": self.external_url,
            "logStreamARN": self.log_stream_arn,
        }
        found: Document = {name: value for name, value in known.items() if value}
        if self.error:
            found |= {"errorDetails": {"code": self.error[0], "message": self.error[1]}}
        return found

    def state(self) -> Document:
        """Return the action as GetPipelineState shows it."""
        summary = {"summary": self.summary} if self.summary else {}
        return {
            "actionExecutionId": self.identifier,
            "status": self.status,
            "lastStatusChange": self.updated,
            **summary,
            **self.external(),
        }

    def detail(self, execution: "Execution") -> Document:
        """Return the action as ListActionExecutions shows it."""
        result = self.external()
        if self.summary:
            result["externalExecutionSummary"] = self.summary
        namespace = self.declaration.get("namespace")
        return {
            "pipelineExecutionId": execution.identifier,
            "actionExecutionId": self.identifier,
            "pipelineVersion": execution.version,
            "stageName": self.stage,
            "actionName": self.name,
            "startTime": self.started,
            "lastUpdateTime": self.updated,
            "updatedBy": "",
            "status": self.status,
            "input": {
                "actionTypeId": self.declaration["actionTypeId"],
                "configuration": self.declaration["configuration"],
                "resolvedConfiguration": dict(self.configuration),
                "region": self.region,
                "inputArtifacts": [artifact.described() for artifact in self.inputs],
                **({"roleArn": self.declaration["roleArn"]} if self.declaration.get("roleArn") else {}),
                **({"namespace": namespace} if namespace else {}),
            },
            "output": {
                "outputArtifacts": [artifact.described() for artifact in self.outputs],
                "executionResult": result,
                "outputVariables": dict(self.variables),
            },
        }


@dataclass
class Execution:
    """One execution of a pipeline. Its pipeline's lock guards what changes.

    Attributes
    ----------
    pipeline, pipeline_arn:
        Whose execution it is.
    definition, version:
        The pipeline as it was when the execution began.
    trigger:
        `triggerType` and `triggerDetail`.
    stages:
        Names of the stages that it goes through: all, or the one that is rolled back.
    asked:
        Source action → (commit, branch) that it must take, from a push or from who started it.
    rollback_of:
        The execution whose artifacts a rollback uses.
    """

    pipeline: str
    pipeline_arn: str
    definition: Document
    version: int
    trigger: Mapping[str, str]
    stages: tuple[str, ...]
    variables: Mapping[str, str]
    asked: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    rollback_of: str | None = None
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    status: str = IN_PROGRESS
    summary: str = ""
    attempt: int = 1
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    revisions: list[Revision] = field(default_factory=list)
    runs: list[ActionRun] = field(default_factory=list)
    stage_status: dict[str, str] = field(default_factory=dict)
    retried: set[str] = field(default_factory=set)
    stop_reason: str | None = None
    abandoned: threading.Event = field(default_factory=threading.Event)

    @property
    def mode(self) -> str:
        """`QUEUED`, `SUPERSEDED` or `PARALLEL`."""
        return str(self.definition["executionMode"])

    @property
    def stopping(self) -> bool:
        """Whether somebody asked it to stop."""
        return self.stop_reason is not None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status not in (IN_PROGRESS, STOPPING)

    def stage(self, name: str) -> Document:
        """Return the declaration of a stage."""
        found: Document = next(stage for stage in self.definition["stages"] if stage["name"] == name)
        return found

    def latest_run(self, stage: str, action: str) -> ActionRun | None:
        """Return the latest run of an action."""
        found = [run for run in list(self.runs) if run.stage == stage and run.name == action]
        return found[-1] if found else None

    def all_namespaces(self) -> dict[str, Mapping[str, str]]:
        """Return every namespace that an action can refer to now."""
        return {
            **self.namespaces,
            "codepipeline": {"PipelineExecutionId": self.identifier},
            "variables": self.variables,
        }

    def _common(self) -> Document:
        found: Document = {
            "pipelineExecutionId": self.identifier,
            "status": self.status,
            "trigger": dict(self.trigger),
            "executionMode": self.mode,
            "executionType": "ROLLBACK" if self.rollback_of else "STANDARD",
        }
        if self.summary:
            found["statusSummary"] = self.summary
        if self.rollback_of:
            found["rollbackMetadata"] = {"rollbackTargetPipelineExecutionId": self.rollback_of}
        return found

    def described(self) -> Document:
        """Return it as GetPipelineExecution shows it."""
        return {
            **self._common(),
            "pipelineName": self.pipeline,
            "pipelineVersion": self.version,
            "artifactRevisions": [revision.of_artifact() for revision in list(self.revisions)],
            "variables": [{"name": name, "resolvedValue": value} for name, value in self.variables.items()],
        }

    def listed(self) -> Document:
        """Return it as ListPipelineExecutions shows it."""
        stop = {"stopTrigger": {"reason": self.stop_reason}} if self.stop_reason is not None else {}
        return {
            **self._common(),
            **stop,
            "startTime": self.started,
            "lastUpdateTime": self.updated,
            "sourceRevisions": [revision.of_source() for revision in list(self.revisions)],
        }
