"""What a job is given, checked before anything is touched."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

Name = Annotated[str, StringConstraints(min_length=1)]


class Database(BaseModel):
    """One generation of the database, as the manifest describes it (fields of no use here are ignored)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    generation: Name
    instance_id: Name
    endpoint: Name
    port: int = Field(ge=1, le=65535)
    database_name: Name
    master_secret_arn: Name
    application_secret_arn: Name | None = None
    application_secret_label: Name | None = Field(
        default=None, description="staging label of the secret's version that is this generation's"
    )
    application_role: Name
    allocated_storage: int | None = Field(default=None, gt=0, description="GiB; unknown when absent")


class FileColumn(BaseModel):
    """A column whose values are paths of files.

    Parameters
    ----------
    table
        `schema.table`, each as the catalogue spells it; without a schema it is looked for in `public`.
    column
        As the catalogue spells it.
    prefix
        What is put before a value to make it the key of an object.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Name
    column: Name
    prefix: str = ""

    @property
    def qualified(self) -> tuple[str, str]:
        """Schema and table."""
        schema, _, table = self.table.rpartition(".")
        return schema or "public", table


class JobInputs(BaseModel):
    """The options of a command line, after parsing."""

    model_config = ConfigDict(frozen=True)

    run_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")
    run_folder: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/].*$")
    certificate_bundle_url: str = Field(pattern=r"^(https?|file)://.+$")
    source: Database | None = None
    candidate: Database | None = None
    grace_seconds: int = Field(default=60, ge=0, le=3600)
    workers: int = Field(default=4, ge=1, le=64)
    phase: Literal["ahead", "final"] | None = None
    file_columns: tuple[FileColumn, ...] = ()


def faults(error: ValidationError) -> list[str]:
    """Return one sentence per fault of a validation error, none of which repeats the value."""
    return [
        f"{'.'.join(str(part) for part in fault['loc']) or 'input'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
