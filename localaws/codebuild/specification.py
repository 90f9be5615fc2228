"""The buildspec, version 0.2: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html."""

from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

PHASES = ("install", "pre_build", "build", "post_build")


class SpecificationError(Exception):
    """The buildspec cannot be used; the message says why."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Phase(_Model):
    """One phase.

    Attributes
    ----------
    on_failure:
        `ABORT`, `CONTINUE`, `RETRY` or `RETRY-<count>`; None follows the phase transitions of CodeBuild.
    """

    commands: list[str] = []
    finally_: list[str] = Field(default=[], alias="finally")
    on_failure: str | None = Field(
        default=None, alias="on-failure", pattern=r"^(ABORT|CONTINUE|RETRY(-[1-3])?)$"
    )
    runtime_versions: dict[str, Any] = Field(default={}, alias="runtime-versions")

    @field_validator("commands", "finally_", mode="before")
    @classmethod
    def _strings(cls, commands: Any) -> Any:
        for index, command in enumerate(commands or []):
            if not isinstance(command, str):
                raise ValueError(
                    f"Expected Commands[{index}] to be of string type: found {command!r} instead"
                )
        return commands or []

    @property
    def attempts(self) -> int:
        """How often the phase is tried."""
        if self.on_failure is None or not self.on_failure.startswith("RETRY"):
            return 1
        return 1 + int(self.on_failure.removeprefix("RETRY").lstrip("-") or 3)


class Environment(_Model):
    """`env`: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html#build-spec.env."""

    shell: Literal["bash", "/bin/sh", "sh"] = "sh"
    variables: dict[str, Any] = {}
    parameter_store: dict[str, str] = Field(default={}, alias="parameter-store")
    secrets_manager: dict[str, str] = Field(default={}, alias="secrets-manager")
    exported_variables: list[str] = Field(default=[], alias="exported-variables")
    git_credential_helper: Any = Field(default=None, alias="git-credential-helper")


class Artifacts(_Model):
    """`artifacts` or one of its secondary artifacts."""

    files: list[str] = []
    name: str | None = None
    base_directory: str | None = Field(default=None, alias="base-directory")
    discard_paths: bool = Field(default=False, alias="discard-paths")
    exclude_paths: list[str] = Field(default=[], alias="exclude-paths")
    secondary: dict[str, "Artifacts"] = Field(default={}, alias="secondary-artifacts")

    @field_validator("exclude_paths", mode="before")
    @classmethod
    def _one_or_many(cls, paths: Any) -> Any:
        return [paths] if isinstance(paths, str) else paths


class Specification(_Model):
    """A whole buildspec. `cache` is accepted and has no effect: every build starts without a cache here."""

    version: float | str
    env: Environment = Environment()
    phases: dict[Literal["install", "pre_build", "build", "post_build"], Phase]
    artifacts: Artifacts = Artifacts()
    cache: Any = None

    @field_validator("version")
    @classmethod
    def _supported(cls, version: float | str) -> float | str:
        if str(version) != "0.2":
            raise ValueError(f"version {version} is not supported: use 0.2")
        return version

    @field_validator("env", "artifacts", mode="before")
    @classmethod
    def _empty(cls, section: Any) -> Any:
        return section or {}

    @field_validator("phases", mode="before")
    @classmethod
    def _empty_phases(cls, phases: Any) -> Any:
        if not isinstance(phases, dict):
            raise ValueError("phases are missing")
        return {name: phase or {} for name, phase in phases.items()}

    def phase(self, name: str) -> Phase:
        """Return a phase, empty when it is not given."""
        return self.phases.get(name, Phase())  # type: ignore[call-overload,no-any-return]


def is_inline(text: str) -> bool:
    """Return whether a project's `buildspec` is the text itself and not a path."""
    return "\n" in text or text.lstrip().startswith(("{", "version:"))


def parse(text: str) -> Specification:
    """Return a buildspec.

    Raises
    ------
    SpecificationError
        Not YAML, or not a buildspec; lists every fault.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecificationError(f"Unable to parse the buildspec: {error}") from error
    if not isinstance(document, dict):
        raise SpecificationError("The buildspec is empty or not a mapping.")
    try:
        return Specification.model_validate(document)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            + (" (not implemented by the local AWS)" if fault["type"] == "extra_forbidden" else "")
            for fault in error.errors()
        )
        raise SpecificationError(faults) from error
