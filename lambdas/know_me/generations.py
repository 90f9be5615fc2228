"""Generations: which incarnations of each store exist and which is active, as the runbooks tell Terraform.

Every change is a pure function from document to document; reading and writing the parameter are separate.
"""

from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from know_me.errors import InvalidRequest
from know_me.names import Slug, generations_parameter
from know_me.wording import faults_of


class DatabaseSettings(BaseModel):
    """What a generation of the database sets itself; null means the environment's Terraform default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine_version: str | None = None
    instance_class: str | None = None
    allocated_storage: int | None = None


class _Store(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseGenerations(_Store):
    """The database's generations; one is active."""

    active: Slug
    all: dict[Slug, DatabaseSettings]

    @model_validator(mode="after")
    def _active_exists(self) -> "DatabaseGenerations":
        if self.active not in self.all:
            raise ValueError(f"the active generation {self.active} is not among all")
        return self


class MediaGenerations(_Store):
    """The media bucket's generations; passed through untouched."""

    active: Slug | None = None
    all: dict[Slug, dict[str, Any]] = Field(default_factory=dict)


class Generations(_Store):
    """The whole document."""

    database: DatabaseGenerations
    media: MediaGenerations = Field(default_factory=MediaGenerations)


FIRST = Generations(database=DatabaseGenerations(active="blue", all={"blue": DatabaseSettings()}))
"""What a new environment starts with."""


def add(document: Generations, name: str, settings: DatabaseSettings) -> Generations:
    """Return the document with one more generation of the database; adding the same twice changes nothing.

    Raises
    ------
    InvalidRequest
        A generation of this name exists with other settings.
    """
    existing = document.database.all.get(name)
    if existing is not None and existing != settings:
        raise InvalidRequest(
            f"The request is refused: candidate: the generation {name} exists.",
            "Leave `candidate` out, or name a generation that does not exist.",
        )
    return _with_database(document, all={**document.database.all, name: settings})


def activate(document: Generations, name: str) -> Generations:
    """Return the document with another active generation of the database.

    Raises
    ------
    InvalidRequest
        There is no such generation.
    """
    if name not in document.database.all:
        raise InvalidRequest(f"The generation {name} does not exist.", "Add it before it is made active.")
    return _with_database(document, active=name)


def drop(document: Generations, name: str) -> Generations:
    """Return the document without a generation of the database; dropping what is not there changes nothing.

    Raises
    ------
    InvalidRequest
        It is the active one.
    """
    if name == document.database.active:
        raise InvalidRequest(
            f"The generation {name} is active.", "Make another one active before it is dropped."
        )
    return _with_database(
        document, all={key: value for key, value in document.database.all.items() if key != name}
    )


def _with_database(document: Generations, **changes: Any) -> Generations:
    database = DatabaseGenerations.model_validate({**dict(document.database), **changes})
    return document.model_copy(update={"database": database})


def read_generations(ssm: Any, environment: str) -> Generations | None:
    """Read the document; None when the environment has none yet.

    Raises
    ------
    InvalidRequest
        The parameter holds something else.
    """
    name = generations_parameter(environment)
    try:
        value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    try:
        return Generations.model_validate_json(value)
    except ValidationError as error:
        raise InvalidRequest(
            f"The parameter {name} cannot be read: {'; '.join(faults_of(error))}.",
            "Put an earlier version of the parameter back (aws ssm get-parameter-history).",
        ) from error


def write_generations(ssm: Any, environment: str, document: Generations) -> None:
    """Replace the document."""
    ssm.put_parameter(
        Name=generations_parameter(environment),
        Value=document.model_dump_json(),
        Type="String",
        Overwrite=True,
    )


def create_generations(ssm: Any, environment: str) -> bool:
    """Write the first document when there is none; return whether it was written."""
    if read_generations(ssm, environment) is not None:
        return False
    try:
        ssm.put_parameter(
            Name=generations_parameter(environment),
            Value=FIRST.model_dump_json(),
            Type="String",
            Overwrite=False,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterAlreadyExists":
            raise
        return False  # another run was quicker; its document stands
    return True
