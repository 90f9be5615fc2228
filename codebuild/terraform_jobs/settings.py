"""What a build is told by its environment variables."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from terraform_jobs.errors import ProvisionFailed

Name = Annotated[str, Field(pattern=r"^[a-z](-?[a-z0-9])+$", min_length=2, max_length=16)]
"""An environment's name (docs/develop/contracts.md)."""

Address = Annotated[str, Field(pattern=r"^[A-Za-z_][^\x00-\x1f]*$", max_length=500)]
"""A Terraform address. The request was checked in detail; here it must not be taken for an option."""


class Settings(BaseModel):
    """Environment variables of the Terraform build (docs/develop/contracts.md, section 3)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    environment: Name = Field(alias="ENVIRONMENT")
    state_bucket: str = Field(alias="STATE_BUCKET", min_length=3)
    region: str = Field(alias="AWS_REGION", min_length=1)
    run_id: str = Field(alias="RUN_ID", pattern=r"^[A-Za-z0-9_-]{1,80}$")
    run_folder: str = Field(alias="RUN_FOLDER", pattern=r"^s3://[a-z0-9.-]+/.+[^/]$")
    generations_parameter: str = Field(alias="GENERATIONS_PARAMETER", pattern=r"^/.+")
    backend_config: dict[str, Any] = Field(default_factory=dict, alias="BACKEND_CONFIG")
    destroy: bool = Field(default=False, alias="DESTROY")
    targets: tuple[Address, ...] = Field(default=(), alias="TARGETS")
    replace: tuple[Address, ...] = Field(default=(), alias="REPLACE")

    @field_validator("backend_config", "targets", "replace", mode="before")
    @classmethod
    def _parse(cls, value: object, field: ValidationInfo) -> object:
        """Accept JSON as text; empty is none."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value or ("{}" if field.field_name == "backend_config" else "[]"))
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from error

    @field_validator("destroy", mode="before")
    @classmethod
    def _yes_or_no(cls, value: object) -> object:
        """Accept `true` and `false` only: what deletes everything is not guessed."""
        known = {"": False, "true": True, "false": False, True: True, False: False}
        if isinstance(value, str | bool) and value in known:
            return known[value]
        raise ValueError("neither true nor false")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.destroy and self.replace:
            raise ValueError("DESTROY and REPLACE exclude each other")
        return self

    @property
    def backend(self) -> dict[str, Any]:
        """Configuration of the S3 backend beyond what the root module says itself."""
        return {
            "bucket": self.state_bucket,
            "key": "terraform.tfstate",
            "region": self.region,
            "workspace_key_prefix": "environments",
            **self.backend_config,
        }


def read_settings(variables: Mapping[str, str]) -> Settings:
    """Return the settings, or say everything that is wrong with them at once.

    Raises
    ------
    ProvisionFailed
        Variables are missing or malformed.
    """
    known = {"AWS_REGION": variables.get("AWS_DEFAULT_REGION", "")} | dict(variables)
    try:
        return Settings.model_validate(known)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))} {re.sub('^Value error, ', '', fault['msg'])}".strip()
            for fault in error.errors()
        )
        raise ProvisionFailed(
            f"The Terraform build's environment variables are not usable: {faults}.",
            "Start the build through the provision state machine, which sets them.",
        ) from error
