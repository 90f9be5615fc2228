"""The API of CodePipeline: https://docs.aws.amazon.com/codepipeline/latest/APIReference/Welcome.html."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from moto.codepipeline.models import CodePipelineBackend
from moto.codepipeline.responses import CodePipelineResponse
from moto.core.responses import ActionResult, EmptyResult

from localaws import codeconnections
from localaws.codeconnections.repositories import RepositoryError
from localaws.codepipeline.actions.invoke import jobs
from localaws.codepipeline.engine import Engine, last_success
from localaws.codepipeline.errors import PipelineError
from localaws.codepipeline.pipelines import Pipeline
from localaws.codepipeline.records import SUCCEEDED, Execution
from localaws.codepipeline.structure import check, completed
from localaws.codepipeline.triggers import sources

Document = dict[str, Any]

PAGE = 100
MAXIMUM_TAGS = 50


class Pipelines(CodePipelineBackend):  # type: ignore[misc]
    """Pipelines of one account and region."""

    engine: Engine

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.pipelines: dict[str, Pipeline] = {}

    # BaseBackend derives the URLs from the module of its class.
    @property
    def _url_module(self) -> Any:
        import moto.codepipeline.urls

        return moto.codepipeline.urls

    def arn(self, name: str) -> str:
        """Return the ARN of a pipeline."""
        return f"arn:{self.partition}:codepipeline:{self.region_name}:{self.account_id}:{name}"

    def find(self, name: str) -> Pipeline:
        """Return a pipeline by its name.

        Raises
        ------
        PipelineError
            There is none.
        """
        found = self.pipelines.get(name)
        if found is None:
            raise PipelineError(
                "PipelineNotFoundException",
                f"Account '{self.account_id}' does not have a pipeline with name '{name}'",
            )
        return found

    def by_arn(self, arn: str) -> Pipeline:
        """Return a pipeline by its ARN.

        Raises
        ------
        PipelineError
            There is none.
        """
        found = self.pipelines.get(arn.rpartition(":")[2])
        if found is None or found.arn != arn:
            raise PipelineError(
                "ResourceNotFoundException",
                f"The account with id '{self.account_id}' does not include a pipeline with the ARN '{arn}'",
            )
        return found

    def check_role(self, role_arn: str) -> None:
        """Refuse a role that does not exist or does not trust CodePipeline.

        Raises
        ------
        PipelineError
            `InvalidStructureException`, which Terraform takes for a role that is not known everywhere yet.
        """
        roles = list(self.iam_backend.roles.values())
        role = next((role for role in roles if role.arn == role_arn), None)
        if role is None or not _trusts(json.loads(role.assume_role_policy_document)):
            raise PipelineError(
                "InvalidStructureException",
                f"CodePipeline is not authorized to perform AssumeRole on role {role_arn}",
            )


def _trusts(policy: Mapping[str, Any]) -> bool:
    statements = policy["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal") or {}
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        if "codepipeline.amazonaws.com" in ([services] if isinstance(services, str) else services):
            return True
    return False


def _backend(response: CodePipelineResponse) -> Pipelines:
    from moto.codepipeline.models import codepipeline_backends

    backend: Pipelines = codepipeline_backends[response.current_account][response.region]
    return backend


def _parameters(response: CodePipelineResponse) -> Document:
    parameters: Document = json.loads(response.body or "{}")
    return parameters


def _caller(response: CodePipelineResponse) -> str:
    from moto.sts.models import sts_backends

    sts = sts_backends[response.current_account][response.partition]
    return str(sts.get_caller_identity(response.access_key, response.region)[1])


def _tags(tags: list[Mapping[str, str]] | None, known: Mapping[str, str]) -> dict[str, str]:
    """Return all tags of a resource after new ones came."""
    given = {tag["key"]: tag["value"] for tag in tags or []}
    if any(key.startswith("aws:") for key in given):
        raise PipelineError(
            "InvalidTagsException", "Not allowed to modify system tags. System tags start with 'aws:'."
        )
    full = {**known, **given}
    if len(full) > MAXIMUM_TAGS:
        raise PipelineError("TooManyTagsException", f"A pipeline has at most {MAXIMUM_TAGS} tags.")
    return full


def _listed(tags: Mapping[str, str]) -> list[Document]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


def _page(parameters: Mapping[str, Any], items: list[Document], name: str) -> ActionResult:
    start, size = int(parameters.get("nextToken") or 0), int(parameters.get("maxResults") or PAGE)
    following = {"nextToken": str(start + size)} if start + size < len(items) else {}
    return ActionResult({name: items[start : start + size], **following})


# -- pipelines ---------------------------------------------------------------------------------------------


def _hear_earlier_pushes(definition: Mapping[str, Any]) -> None:
    """Let pushes that nobody noticed yet start what is declared now, not what is declared next."""
    for action in sources(definition):
        with suppress(RepositoryError):  # a repository that is not known: its source action will say so
            codeconnections.pushes.check(action["configuration"]["FullRepositoryId"])


def create_pipeline(response: CodePipelineResponse) -> ActionResult:
    """CreatePipeline: the new pipeline runs at once, as on AWS."""
    backend, parameters = _backend(response), _parameters(response)
    definition = completed(parameters["pipeline"])
    check(definition)
    backend.check_role(definition["roleArn"])
    name = definition["name"]
    if name in backend.pipelines:
        raise PipelineError(
            "PipelineNameInUseException",
            f"A pipeline with the name '{name}' already exists in account '{backend.account_id}'",
        )
    tags = _tags(parameters.get("tags"), {})
    _hear_earlier_pushes(definition)
    pipeline = backend.pipelines[name] = Pipeline(backend.arn(name), definition, tags)
    _start(backend, pipeline, "CreatePipeline", _caller(response), {}, {})
    return ActionResult({"pipeline": pipeline.definition, "tags": _listed(tags)})


def get_pipeline(response: CodePipelineResponse) -> ActionResult:
    """GetPipeline."""
    parameters = _parameters(response)
    pipeline = _backend(response).find(parameters["name"])
    version = parameters.get("version")
    definition = pipeline.versions.get(version) if version else pipeline.definition
    if definition is None:
        raise PipelineError(
            "PipelineVersionNotFoundException", f"The pipeline {pipeline.name} has no version {version}"
        )
    times = {"created": pipeline.created, "updated": pipeline.updated}
    return ActionResult({"pipeline": definition, "metadata": {"pipelineArn": pipeline.arn, **times}})


def update_pipeline(response: CodePipelineResponse) -> ActionResult:
    """UpdatePipeline: starts nothing; executions under way keep what they began with."""
    backend = _backend(response)
    definition = completed(_parameters(response)["pipeline"])
    pipeline = backend.find(definition["name"])
    check(definition)
    backend.check_role(definition["roleArn"])
    _hear_earlier_pushes(definition)
    pipeline.update(definition)
    return ActionResult({"pipeline": pipeline.definition})


def delete_pipeline(response: CodePipelineResponse) -> EmptyResult:
    """DeletePipeline: a pipeline that does not exist is no error; executions under way are abandoned."""
    backend = _backend(response)
    pipeline = backend.pipelines.pop(_parameters(response)["name"], None)
    if pipeline is not None:
        for execution in [known for known in pipeline.executions.values() if not known.over]:
            backend.engine.stop(pipeline, execution, abandon=True, reason="The pipeline was deleted")
    return EmptyResult()


def list_pipelines(response: CodePipelineResponse) -> ActionResult:
    """ListPipelines."""
    pipelines = sorted(_backend(response).pipelines.values(), key=lambda pipeline: pipeline.name)
    items = [
        {
            "name": pipeline.name,
            "version": pipeline.definition["version"],
            "pipelineType": pipeline.definition["pipelineType"],
            "executionMode": pipeline.definition["executionMode"],
            "created": pipeline.created,
            "updated": pipeline.updated,
        }
        for pipeline in pipelines
    ]
    return _page(_parameters(response), items, "pipelines")


def list_tags_for_resource(response: CodePipelineResponse) -> ActionResult:
    """ListTagsForResource."""
    parameters = _parameters(response)
    pipeline = _backend(response).by_arn(parameters["resourceArn"])
    return _page(parameters, _listed(pipeline.tags), "tags")


def tag_resource(response: CodePipelineResponse) -> EmptyResult:
    """TagResource."""
    parameters = _parameters(response)
    pipeline = _backend(response).by_arn(parameters["resourceArn"])
    pipeline.tags = _tags(parameters["tags"], pipeline.tags)
    return EmptyResult()


def untag_resource(response: CodePipelineResponse) -> EmptyResult:
    """UntagResource."""
    parameters = _parameters(response)
    pipeline = _backend(response).by_arn(parameters["resourceArn"])
    gone = set(parameters["tagKeys"])
    pipeline.tags = {key: value for key, value in pipeline.tags.items() if key not in gone}
    return EmptyResult()


# -- executions --------------------------------------------------------------------------------------------


def _start(
    backend: Pipelines,
    pipeline: Pipeline,
    kind: str,
    detail: str,
    variables: Mapping[str, str],
    asked: Mapping[str, tuple[str | None, str | None]],
) -> Execution:
    declared = pipeline.definition.get("variables") or []
    unknown = set(variables) - {variable["name"] for variable in declared}
    values = {
        variable["name"]: variables.get(variable["name"], variable.get("defaultValue"))
        for variable in declared
    }
    faults = [f"The pipeline has no variable {name}" for name in sorted(unknown)]
    faults += [f"The variable {name} has no value" for name, value in values.items() if value is None]
    if faults and kind == "StartPipelineExecution":
        raise PipelineError("ValidationException", "; ".join(faults))
    trigger = {"triggerType": kind, "triggerDetail": detail}
    known = {name: str(value) for name, value in values.items() if value is not None}
    return backend.engine.start(pipeline, trigger, known, asked)


def start_on_push(
    backend: Pipelines, pipeline: Pipeline, action: str, commit: str, branch: str, detail: str
) -> Execution:
    """Start an execution because somebody pushed; the source action takes that commit."""
    return _start(backend, pipeline, "WebhookV2", detail, {}, {action: (commit, branch)})


def start_pipeline_execution(response: CodePipelineResponse) -> ActionResult:
    """StartPipelineExecution: of the latest commit of each source, or of the commit that is asked for."""
    backend, parameters = _backend(response), _parameters(response)
    pipeline = backend.find(parameters["name"])
    token = parameters.get("clientRequestToken")
    with pipeline.condition:
        if token in pipeline.tokens:
            return ActionResult({"pipelineExecutionId": pipeline.tokens[token]})
        asked: dict[str, tuple[str | None, str | None]] = {}
        for revision in parameters.get("sourceRevisions") or []:
            if revision["revisionType"] != "COMMIT_ID":
                raise NotImplementedError(f"sourceRevisions of the type {revision['revisionType']}")
            asked[revision["actionName"]] = (revision["revisionValue"], None)
        variables = {variable["name"]: variable["value"] for variable in parameters.get("variables") or []}
        execution = _start(backend, pipeline, "StartPipelineExecution", _caller(response), variables, asked)
        if token:
            pipeline.tokens[token] = execution.identifier
    return ActionResult({"pipelineExecutionId": execution.identifier})


def _execution(pipeline: Pipeline, identifier: str) -> Execution:
    found = pipeline.executions.get(identifier)
    if found is None:
        raise PipelineError(
            "PipelineExecutionNotFoundException",
            f"The pipeline '{pipeline.name}' has no execution with the id '{identifier}'",
        )
    return found


def stop_pipeline_execution(response: CodePipelineResponse) -> ActionResult:
    """StopPipelineExecution."""
    backend, parameters = _backend(response), _parameters(response)
    pipeline = backend.find(parameters["pipelineName"])
    execution = _execution(pipeline, parameters["pipelineExecutionId"])
    abandon, reason = bool(parameters.get("abandon")), parameters.get("reason", "")
    backend.engine.stop(pipeline, execution, abandon=abandon, reason=reason)
    return ActionResult({"pipelineExecutionId": execution.identifier})


def retry_stage_execution(response: CodePipelineResponse) -> ActionResult:
    """RetryStageExecution."""
    backend, parameters = _backend(response), _parameters(response)
    pipeline = backend.find(parameters["pipelineName"])
    execution = _execution(pipeline, parameters["pipelineExecutionId"])
    everything = parameters["retryMode"] == "ALL_ACTIONS"
    backend.engine.retry(pipeline, execution, parameters["stageName"], everything=everything)
    return ActionResult({"pipelineExecutionId": execution.identifier})


def rollback_stage(response: CodePipelineResponse) -> ActionResult:
    """RollbackStage: run a stage again with the artifacts of an execution that went well through it."""
    backend, parameters = _backend(response), _parameters(response)
    pipeline = backend.find(parameters["pipelineName"])
    target = _execution(pipeline, parameters["targetPipelineExecutionId"])
    stage = parameters["stageName"]
    if target.stage_status.get(stage) != SUCCEEDED or last_success(pipeline, stage) is None:
        raise PipelineError(
            "UnableToRollbackStageException",
            f"The stage {stage} of the execution {target.identifier} did not succeed: nothing to roll back "
            "to.",
        )
    trigger = {"triggerType": "ManualRollback", "triggerDetail": _caller(response)}
    execution = backend.engine.roll_back(pipeline, stage, target, trigger)
    return ActionResult({"pipelineExecutionId": execution.identifier})


def get_pipeline_execution(response: CodePipelineResponse) -> ActionResult:
    """GetPipelineExecution."""
    parameters = _parameters(response)
    pipeline = _backend(response).find(parameters["pipelineName"])
    execution = _execution(pipeline, parameters["pipelineExecutionId"])
    return ActionResult({"pipelineExecution": execution.described()})


def list_pipeline_executions(response: CodePipelineResponse) -> ActionResult:
    """ListPipelineExecutions, newest first."""
    parameters = _parameters(response)
    if parameters.get("filter"):
        raise NotImplementedError("ListPipelineExecutions with a filter")
    pipeline = _backend(response).find(parameters["pipelineName"])
    items = [execution.listed() for execution in reversed(list(pipeline.executions.values()))]
    return _page(parameters, items, "pipelineExecutionSummaries")


def list_action_executions(response: CodePipelineResponse) -> ActionResult:
    """ListActionExecutions, newest first."""
    parameters = _parameters(response)
    wanted = parameters.get("filter") or {}
    if wanted.get("latestInPipelineExecution"):
        raise NotImplementedError("ListActionExecutions with latestInPipelineExecution")
    pipeline = _backend(response).find(parameters["pipelineName"])
    identifier = wanted.get("pipelineExecutionId")
    chosen = [_execution(pipeline, identifier)] if identifier else list(pipeline.executions.values())
    items = [run.detail(execution) for execution in chosen for run in list(execution.runs)]
    items.sort(key=lambda item: item["startTime"], reverse=True)
    return _page(parameters, items, "actionExecutionDetails")


# -- stages ------------------------------------------------------------------------------------------------


def get_pipeline_state(response: CodePipelineResponse) -> ActionResult:
    """GetPipelineState."""
    pipeline = _backend(response).find(_parameters(response)["name"])
    with pipeline.condition:
        stages = [
            _stage_state(pipeline, stage, position)
            for position, stage in enumerate(pipeline.definition["stages"])
        ]
    return ActionResult(
        {
            "pipelineName": pipeline.name,
            "pipelineVersion": pipeline.definition["version"],
            "stageStates": stages,
            "created": pipeline.created,
            "updated": pipeline.updated,
        }
    )


def _inbound(execution: Execution) -> Document:
    kind = "ROLLBACK" if execution.rollback_of else "STANDARD"
    return {"pipelineExecutionId": execution.identifier, "status": execution.status, "type": kind}


def _stage_state(pipeline: Pipeline, stage: Mapping[str, Any], position: int) -> Document:
    name = stage["name"]
    gate = pipeline.gate(name)
    latest = gate.latest
    state: Document = {
        "stageName": name,
        "inboundExecutions": [_inbound(execution) for execution in gate.waiting],
        "actionStates": [_action_state(latest, name, action) for action in stage["actions"]],
    }
    if gate.waiting:
        state["inboundExecution"] = state["inboundExecutions"][0]
    if position:
        transition: Document = {"enabled": gate.enabled}
        if gate.changed_at is not None:
            transition |= {"lastChangedBy": gate.changed_by, "lastChangedAt": gate.changed_at}
        if not gate.enabled:
            transition["disabledReason"] = gate.reason
        state["inboundTransitionState"] = transition
    if latest is not None:
        state["latestExecution"] = {**_inbound(latest), "status": latest.stage_status[name]}
    return state


def _action_state(execution: Execution | None, stage: str, action: Mapping[str, Any]) -> Document:
    state: Document = {"actionName": action["name"]}
    run = execution.latest_run(stage, action["name"]) if execution else None
    if execution is None or run is None:
        return state
    state["latestExecution"] = run.state()
    for revision in execution.revisions:
        if revision.action == action["name"]:
            state["currentRevision"] = {
                "revisionId": revision.identifier,
                "revisionChangeId": revision.identifier,
                "created": run.updated,
            }
            state["revisionUrl"] = revision.url
    return state


def disable_stage_transition(response: CodePipelineResponse) -> EmptyResult:
    """DisableStageTransition: of the inbound transition, the only kind that the API has left."""
    return _transition(response, enabled=False)


def enable_stage_transition(response: CodePipelineResponse) -> EmptyResult:
    """EnableStageTransition."""
    return _transition(response, enabled=True)


def _transition(response: CodePipelineResponse, *, enabled: bool) -> EmptyResult:
    backend, parameters = _backend(response), _parameters(response)
    if parameters["transitionType"] != "Inbound":
        raise NotImplementedError(f"Transitions of the type {parameters['transitionType']}")
    backend.engine.transition(
        backend.find(parameters["pipelineName"]),
        parameters["stageName"],
        enabled=enabled,
        reason=parameters.get("reason", ""),
        changed_by=_caller(response),
    )
    return EmptyResult()


# -- jobs --------------------------------------------------------------------------------------------------


def put_job_success_result(response: CodePipelineResponse) -> EmptyResult:
    """PutJobSuccessResult."""
    parameters = _parameters(response)
    jobs.answer(parameters["jobId"], parameters)
    return EmptyResult()


def put_job_failure_result(response: CodePipelineResponse) -> EmptyResult:
    """PutJobFailureResult."""
    parameters = _parameters(response)
    jobs.answer(parameters["jobId"], parameters)
    return EmptyResult()


ACTIONS: tuple[Callable[[CodePipelineResponse], Any], ...] = (
    create_pipeline,
    get_pipeline,
    update_pipeline,
    delete_pipeline,
    list_pipelines,
    list_tags_for_resource,
    tag_resource,
    untag_resource,
    start_pipeline_execution,
    stop_pipeline_execution,
    retry_stage_execution,
    rollback_stage,
    get_pipeline_execution,
    list_pipeline_executions,
    list_action_executions,
    get_pipeline_state,
    disable_stage_transition,
    enable_stage_transition,
    put_job_success_result,
    put_job_failure_result,
)
