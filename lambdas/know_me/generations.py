"""Generations: which incarnations of each store exist and which is active, as the runbooks tell Terraform.

Every change is a pure function from document to document; reading and writing the parameter are separate.
"""

import json
from collections.abc import Mapping
from typing import Any, Generic, Literal, Self, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from know_me.aws import read_parameter
from know_me.errors import InvalidRequest
from know_me.names import Slug, generations_parameter
from know_me.wording import faults_of

Store = Literal["database", "media"]
"""What holds data and has generations."""

STORES: tuple[Store, ...] = ("database", "media")


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GenerationSettings(_Document):
    """What is known of one generation of a store."""

    def finished(self) -> Self:
        """Return the settings of the same generation when it is the active one."""
        return self


class DatabaseSettings(GenerationSettings):
    """What a generation of the database sets itself; null means the environment's Terraform default."""

    engine_version: str | None = None
    instance_class: str | None = None
    allocated_storage: int | None = None


class MediaSettings(GenerationSettings):
    """A generation of the media bucket.

    `unfinished` from when it is added until it is made active: a copy that a failed run began, which the
    next run takes up again.
    """

    unfinished: bool = False

    def finished(self) -> Self:
        """Return the settings without `unfinished`."""
        return self.model_copy(update={"unfinished": False})


Settings = TypeVar("Settings", bound=GenerationSettings)


class StoreGenerations(_Document, Generic[Settings]):
    """A store's generations; one is active."""

    active: Slug
    all: dict[Slug, Settings]

    @model_validator(mode="after")
    def _active_exists(self) -> Self:
        if self.active not in self.all:
            raise ValueError(f"the active generation {self.active} is not among all")
        return self


FIRST_MEDIA = StoreGenerations[MediaSettings](active="blue", all={"blue": MediaSettings()})


def _lacks_media(document: Any) -> bool:
    if not isinstance(document, Mapping):
        return False
    return document.get("media") in (None, {}, {"active": None, "all": {}})


class Generations(_Document):
    """The whole document.

    One written before the media had generations has none, or an empty store: it is completed with the first.
    """

    database: StoreGenerations[DatabaseSettings]
    media: StoreGenerations[MediaSettings]

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, document: Any) -> Any:
        return {**document, "media": FIRST_MEDIA} if _lacks_media(document) else document

    def of(self, store: Store) -> StoreGenerations[Any]:
        """Return the generations of a store."""
        generations: StoreGenerations[Any] = getattr(self, store)
        return generations


FIRST = Generations(
    database=StoreGenerations[DatabaseSettings](active="blue", all={"blue": DatabaseSettings()}),
    media=FIRST_MEDIA,
)
"""What a new environment starts with."""


def add(document: Generations, store: Store, name: str, settings: GenerationSettings) -> Generations:
    """Return the document with one more generation of a store; adding the same twice changes nothing.

    Raises
    ------
    InvalidRequest
        A generation of this name exists with other settings.
    """
    generations = document.of(store)
    if generations.all.get(name, settings) != settings:
        raise InvalidRequest(
            f"The request is refused: candidate: the generation {name} of the {store} exists.",
            "Leave `candidate` out, or name a generation that does not exist.",
        )
    return _with(document, store, all={**generations.all, name: settings})


def activate(document: Generations, store: Store, name: str) -> Generations:
    """Return the document with another active generation of a store; what is active is finished.

    Raises
    ------
    InvalidRequest
        There is no such generation.
    """
    generations = document.of(store)
    if name not in generations.all:
        raise InvalidRequest(
            f"The generation {name} of the {store} does not exist.", "Add it before it is made active."
        )
    finished = {**generations.all, name: generations.all[name].finished()}
    return _with(document, store, active=name, all=finished)


def drop(document: Generations, store: Store, name: str) -> Generations:
    """Return the document without a generation of a store; dropping what is not there changes nothing.

    Raises
    ------
    InvalidRequest
        It is the active one.
    """
    generations = document.of(store)
    if name == generations.active:
        raise InvalidRequest(
            f"The generation {name} of the {store} is active.",
            "Make another one active before it is dropped.",
        )
    return _with(document, store, all={key: kept for key, kept in generations.all.items() if key != name})


def _with(document: Generations, store: Store, **changes: Any) -> Generations:
    return document.model_copy(update={store: document.of(store).model_copy(update=changes)})


def unfinished_media(document: Generations) -> str | None:
    """Return the media generation that a failed run began to fill, the newest if there are several."""
    names = [name for name, settings in document.media.all.items() if settings.unfinished]
    return names[-1] if names else None


def read_generations(ssm: Any, environment: str) -> Generations | None:
    """Read the document; None when the environment has none yet.

    Raises
    ------
    InvalidRequest
        The parameter holds something else.
    """
    name = generations_parameter(environment)
    value = read_parameter(ssm, name)
    if value is None:
        return None
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
    """Write the first document when there is none, complete an earlier one; return whether it was written."""
    existing = read_generations(ssm, environment)
    if existing is not None:
        return _complete(ssm, environment, existing)
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


def _complete(ssm: Any, environment: str, existing: Generations) -> bool:
    """Write a document back that was made before the media had generations."""
    stored = ssm.get_parameter(Name=generations_parameter(environment))["Parameter"]["Value"]
    if not _lacks_media(json.loads(stored)):
        return False
    write_generations(ssm, environment, existing)
    return True
