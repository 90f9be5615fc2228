"""CodePipeline: pipelines that really run.

True: pipelines (V1 and V2) with their declaration checked as a whole; executions in the modes QUEUED,
SUPERSEDED and PARALLEL, one execution in a stage, others before it in the order they came; a disabled
transition holds an execution before its stage, and enabling lets it go on; stop, abandon, retry of a stage,
rollback, `onFailure`; variables (`#{namespace.key}`) and artifacts (zip archives in the encrypted store);
triggers by branch and path of a push; events of pipelines, stages and actions; idempotency tokens. Each
action acts as the role of the action or the pipeline, and fails with what the service it called said. A new
pipeline runs at once, as on AWS: while its connection waits for approval that first execution fails.

Actions, of the owner AWS: Source `CodeStarSourceConnection` (repositories of this machine, see
`localaws.codeconnections`; CODE_ZIP) and `S3` (an object with versions), Build and Test `CodeBuild`, Deploy
`CodeDeployToECS` and `S3`, Invoke `Lambda`. Any other is refused when the pipeline is made.

Not true: transitions do not enable themselves after days; the conditions of a stage, approvals, tags and
pull requests as triggers, artifact stores of other regions, webhooks, batch builds and filters of the lists
are refused; executions are kept for the life of the server; a session of the pipeline's role is named after
the pipeline (AWS: a number), by which CodeBuild knows the initiator; a job of Lambda carries no credentials.
"""

from typing import Any

from moto.codepipeline.models import codepipeline_backends
from moto.codepipeline.responses import CodePipelineResponse

from localaws import codeconnections
from localaws.codeconnections.pushes import Push
from localaws.codepipeline.api import ACTIONS, Pipelines, start_on_push
from localaws.codepipeline.engine import Engine
from localaws.codepipeline.triggers import started_by
from localaws.runtime import Runtime


def install(runtime: Runtime) -> None:
    """Replace moto's CodePipeline: it keeps declarations, and its executions succeed as they start."""
    Pipelines.engine = engine = Engine(runtime)
    codepipeline_backends.backend = Pipelines
    for action in ACTIONS:
        setattr(CodePipelineResponse, action.__name__, action)

    def pushed(push: Push) -> None:
        for backend in _backends():
            for pipeline in list(backend.pipelines.values()):
                found = started_by(pipeline.definition, push, _heard)
                if found is not None:
                    name, branch = found
                    detail = f"{push.repository} {branch} {push.commit}"
                    start_on_push(backend, pipeline, name, push.commit, branch, detail)

    codeconnections.pushes.listen(pushed)
    runtime.instances["codepipeline"] = _under_way
    runtime.on_shutdown(engine.shut_down)


def _backends() -> list[Pipelines]:
    return [backend for account in list(codepipeline_backends.values()) for backend in list(account.values())]


def _heard(connection_arn: str) -> bool:
    connection = codeconnections.connections.find(connection_arn)
    return connection is not None and connection.status == "AVAILABLE"


def _under_way() -> list[dict[str, Any]]:
    """Return the executions that are not over, for `status`."""
    return [
        {"pipeline": pipeline.name, "execution": execution.identifier, "status": execution.status}
        for backend in _backends()
        for pipeline in list(backend.pipelines.values())
        for execution in list(pipeline.executions.values())
        if not execution.over
    ]
