"""What a person may ask of a state machine: parsed, completed, and refused with every fault at once."""

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)
from pydantic import StringConstraints as Text

from know_me.errors import InvalidRequest
from know_me.generations import STORES, DatabaseSettings, Generations, Store, unfinished_media
from know_me.manifest import DatabaseGeneration, FileColumn, Manifest, MediaGeneration
from know_me.names import RUN_ID_PATTERN, RunId, Slug, first_free_generation, snapshot_name
from know_me.wording import faults_of

Request = TypeVar("Request", bound=BaseModel)

EngineVersion = Annotated[StrictStr, Text(pattern=r"^[1-9][0-9]{0,2}(\.[0-9]{1,3})?$")]
InstanceClass = Annotated[StrictStr, Text(pattern=r"^db\.[a-z0-9-]{2,20}\.[a-z0-9-]{2,20}$", max_length=40)]

MIGRATE_EXAMPLE = (
    'Valid inputs are, for example, {}, {"stores": ["media"]} and '
    '{"candidate": "green", "preflight_only": true}.'
)

LARGEST_SAMPLE = 1_000_000

BELONGS_TO: dict[str, Store] = {
    "engine_version": "database",
    "instance_class": "database",
    "allocated_storage": "database",
    "copy_ahead": "media",
    "versions": "media",
    "metadata_sample": "media",
}
"""Options that mean nothing unless their store moves."""


def _each_once(stores: list[Store]) -> list[Store]:
    if len(set(stores)) < len(stores):
        raise ValueError("each store is named once")
    return stores


def _sample(value: Any) -> Any:
    if value == "all" or (type(value) is int and 0 <= value <= LARGEST_SAMPLE):
        return value
    raise ValueError(f'a number from 0 to {LARGEST_SAMPLE}, or "all"')


MetadataSample = Annotated[int | Literal["all"], BeforeValidator(_sample)]
Versions = Literal["current", "all"]


class RequestModel(BaseModel):
    """Base of requests: a field that nobody knows is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MigrationRequest(RequestModel):
    """Input of `migrate` (contracts, section 6)."""

    environment: Slug | None = None
    candidate: Slug | None = None
    engine_version: EngineVersion | None = None
    instance_class: InstanceClass | None = None
    allocated_storage: Annotated[StrictInt, Field(ge=20, le=65536)] | None = None
    preflight_only: StrictBool = False
    grace_seconds: Annotated[StrictInt, Field(ge=0, le=3600)] = 60
    job_timeout_seconds: Annotated[StrictInt, Field(ge=10, le=86400)] = 28800
    stores: Annotated[list[Store], Field(min_length=1), AfterValidator(_each_once)] = list(STORES)
    copy_ahead: StrictBool = True
    versions: Versions = "current"
    metadata_sample: MetadataSample = 1000


class ReturnRequest(RequestModel):
    """Input of `return`."""

    run_id: RunId


class Migration(BaseModel):
    """A migration request with everything decided: what the rest of the run works from.

    What belongs to a store that stays is null: `candidate` and `snapshot` when the database stays,
    `media_source`, `media_candidate` and `source_bucket` when the media stays.
    """

    run_id: RunId
    environment: Slug
    stores: list[Store]
    source: Slug
    source_database: DatabaseGeneration
    candidate: Slug | None
    candidate_settings: DatabaseSettings
    snapshot: str | None
    media_source: Slug | None
    media_candidate: Slug | None
    source_bucket: MediaGeneration | None
    copy_ahead: bool
    versions: Versions
    metadata_sample: MetadataSample
    single_copy_limit_bytes: int
    file_columns: list[FileColumn]
    preflight_only: bool
    grace_seconds: int
    job_timeout_seconds: int
    run_folder: str

    def moves(self, store: Store) -> bool:
        """Whether a store is moved."""
        return store in self.stores


def parse(model: type[Request], document: Any, example: str) -> Request:
    """Parse a request, listing every fault.

    Raises
    ------
    InvalidRequest
        The document is not a request.
    """
    request, faults = parsed(model, document)
    if request is None:
        raise InvalidRequest.listing(faults, example)
    return request


def parsed(model: type[Request], document: Any) -> tuple[Request | None, list[str]]:
    """Parse a request; return it, or None and every fault."""
    if not isinstance(document, dict):
        return None, [f"the input is {_kind(document)}, not a JSON object"]
    try:
        return model.model_validate(document), []
    except ValidationError as error:
        return None, faults_of(error)


def _kind(document: Any) -> str:
    kinds: dict[type, str] = {type(None): "null", bool: "a boolean", str: "a text", list: "a list"}
    return kinds.get(type(document), "a number")


def plan_migration(
    document: Any,
    *,
    run_id: str,
    environment: str,
    manifest: Manifest,
    generations: Generations,
    bucket: str,
    single_copy_limit_bytes: int,
) -> Migration:
    """Complete a request to what the run will do.

    Raises
    ------
    InvalidRequest
        Anything is wrong with it; all faults in one message.
    """
    request, faults = parsed(MigrationRequest, document)
    named = document if isinstance(document, dict) else {}
    known = {*_known(generations, manifest, "database"), *_known(generations, manifest, "media")}
    if not re.fullmatch(RUN_ID_PATTERN, run_id):
        faults.append(
            "the name of the execution: at most 60 letters, digits, hyphens and underscores are allowed"
        )
    if isinstance(named.get("environment"), str) and named["environment"] != environment:
        faults.append(f"environment: this state machine belongs to {environment}")
    if isinstance(named.get("candidate"), str) and named["candidate"] in known:
        faults.append(f"candidate: the generation {named['candidate']} exists")
    faults += _misplaced(named)
    faults += [
        f"environment: Terraform still has {published} as the active generation of the {store}, but "
        f"{wanted} is wanted; start know-me-{environment}-provision first"
        for store, published, wanted in (
            ("database", manifest.database.active, generations.database.active),
            ("media", manifest.media.active, generations.media.active),
        )
        if published != wanted
    ]
    if request is None or faults:
        raise InvalidRequest.listing(faults, MIGRATE_EXAMPLE)
    database, media = ("database" in request.stores), ("media" in request.stores)
    candidate = request.candidate or first_free_generation(known)
    source, media_source = generations.database.active, generations.media.active
    inherited = generations.database.all[source]
    return Migration(
        run_id=run_id,
        environment=environment,
        stores=[store for store in STORES if store in request.stores],
        source=source,
        source_database=manifest.database.generations[source],
        candidate=candidate if database else None,
        candidate_settings=DatabaseSettings(
            engine_version=request.engine_version or inherited.engine_version,
            instance_class=request.instance_class or inherited.instance_class,
            allocated_storage=request.allocated_storage or inherited.allocated_storage,
        ),
        snapshot=snapshot_name(environment, run_id) if database else None,
        media_source=media_source if media else None,
        media_candidate=(unfinished_media(generations) or candidate) if media else None,
        source_bucket=manifest.media.generations[media_source] if media else None,
        copy_ahead=request.copy_ahead and media,
        versions=request.versions,
        metadata_sample=request.metadata_sample,
        single_copy_limit_bytes=single_copy_limit_bytes,
        file_columns=manifest.media.file_columns if media else [],
        preflight_only=request.preflight_only,
        grace_seconds=request.grace_seconds,
        job_timeout_seconds=request.job_timeout_seconds,
        run_folder=f"s3://{bucket}/runs/{run_id}",
    )


def _known(generations: Generations, manifest: Manifest, store: Store) -> set[str]:
    """Return every generation of a store that is wanted or exists."""
    published: Any = getattr(manifest, store).generations
    return {*generations.of(store).all, *published}


def _misplaced(named: dict[str, Any]) -> list[str]:
    """Name the options of a store that is not moved."""
    stores = named.get("stores", list(STORES))
    if not isinstance(stores, list) or not stores or not all(store in STORES for store in stores):
        return []  # which stores move is a fault of its own
    return [
        f"{option}: it belongs to the {store}, which is not moved"
        for option, store in BELONGS_TO.items()
        if option in named and store not in stores
    ]
