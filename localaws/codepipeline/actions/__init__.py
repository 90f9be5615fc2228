"""The actions of a pipeline: one module per action type, and the table of them."""

from localaws.codepipeline.actions import build, ecs_deploy, invoke, s3_deploy, s3_source, source
from localaws.codepipeline.actions.work import ActionType

ACTION_TYPES: dict[tuple[str, str], ActionType] = {
    kind.key: kind
    for kind in (
        source.TYPE,
        s3_source.TYPE,
        build.BUILD,
        build.TEST,
        ecs_deploy.TYPE,
        s3_deploy.TYPE,
        invoke.TYPE,
    )
}
"""Category and provider → action type; owner AWS, version 1."""
