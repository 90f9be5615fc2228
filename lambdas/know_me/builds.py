"""CodeBuild builds of a run, found by the variables that the runbooks give them."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel

from know_me.aws import error_code

RECENT = 100
"""How many of a project's newest builds are looked at: one call, and far more than one run starts."""


class Build(BaseModel):
    """What CodeBuild says about a build."""

    id: str
    status: str
    variables: dict[str, str]
    phases: list[dict[str, Any]] = []
    logs_link: str | None = None

    @property
    def run_id(self) -> str:
        """The run that the build works for."""
        return self.variables.get("RUN_ID", "")


def describe_builds(codebuild: Any, ids: list[str]) -> list[Build]:
    """Describe builds; those that CodeBuild does not know are left out."""
    if not ids:
        return []
    return [
        Build(
            id=found["id"],
            status=found["buildStatus"],
            variables={
                item["name"]: item["value"]
                for item in found.get("environment", {}).get("environmentVariables", [])
            },
            phases=found.get("phases", []),
            logs_link=found.get("logs", {}).get("deepLink"),
        )
        for found in codebuild.batch_get_builds(ids=ids)["builds"]
    ]


def running_builds(codebuild: Any, project: str) -> Iterator[Build]:
    """Yield the builds of a project that are under way; none when there is no such project."""
    try:
        ids = codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING").get("ids", [])
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return
        raise
    for build in describe_builds(codebuild, ids[:RECENT]):
        if build.status == "IN_PROGRESS":
            yield build
