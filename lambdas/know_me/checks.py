"""What the checks of a preflight share: what they look at, and how they say what they found."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from know_me.findings import Finding, Result
from know_me.manifest import DatabaseGeneration, Manifest
from know_me.requests import Migration
from know_me.settings import Settings


class Surroundings(BaseModel):
    """What the checks look at."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    migration: Migration
    manifest: Manifest
    settings: Settings
    client: Callable[[str], Any]
    now: datetime
    execution_arn: str
    instance: dict[str, Any] = {}
    """What RDS says about the old database; nothing when it does not move."""

    @property
    def source(self) -> DatabaseGeneration:
        """The database that the app uses now."""
        return self.manifest.database.generations[self.migration.source]


Check = Callable[[Surroundings], Iterator[Finding]]


def finding(subject: str, result: Result, message: str, remedy: str | None = None) -> Finding:
    """Make a finding; the table of checks adds the check's name."""
    return Finding(check="", result=result, subject=subject, message=message, remedy=remedy)


def project_exists(around: Surroundings, name: str, jobs: str) -> Finding:
    """Find whether there is the build project of some jobs."""
    return either(
        name,
        not around.client("codebuild").batch_get_projects(names=[name])["projects"],
        f"The build project of the {jobs} exists",
        f"The build project of the {jobs} does not exist",
        "Start provision, which makes it",
    )


def either(subject: str, bad: Any, good_message: str, message: str, remedy: str) -> Finding:
    """Pass unless something is bad."""
    return finding(subject, "failed", message, remedy) if bad else finding(subject, "passed", good_message)
