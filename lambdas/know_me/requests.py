"""What a person may ask of a state machine: parsed, completed, and refused with every fault at once."""

import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError
from pydantic import StringConstraints as Text

from know_me.errors import InvalidRequest
from know_me.generations import DatabaseSettings, Generations
from know_me.manifest import DatabaseGeneration, Manifest
from know_me.names import RUN_ID_PATTERN, RunId, Slug, first_free_generation, snapshot_name
from know_me.wording import faults_of

Request = TypeVar("Request", bound=BaseModel)

EngineVersion = Annotated[StrictStr, Text(pattern=r"^[1-9][0-9]{0,2}(\.[0-9]{1,3})?$")]
InstanceClass = Annotated[StrictStr, Text(pattern=r"^db\.[a-z0-9-]{2,20}\.[a-z0-9-]{2,20}$", max_length=40)]

MIGRATE_EXAMPLE = 'Valid inputs are, for example, {} and {"candidate": "green", "preflight_only": true}.'


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MigrationRequest(_Request):
    """Input of `migrate` (contracts, section 6)."""

    environment: Slug | None = None
    candidate: Slug | None = None
    engine_version: EngineVersion | None = None
    instance_class: InstanceClass | None = None
    allocated_storage: Annotated[StrictInt, Field(ge=20, le=65536)] | None = None
    preflight_only: StrictBool = False
    grace_seconds: Annotated[StrictInt, Field(ge=0, le=3600)] = 60
    job_timeout_seconds: Annotated[StrictInt, Field(ge=10, le=86400)] = 28800


class ProvisionRequest(_Request):
    """Input of `provision`."""

    acting_for: RunId | None = None


class ReturnRequest(_Request):
    """Input of `return`."""

    run_id: RunId


class Migration(BaseModel):
    """A migration request with everything decided: what the rest of the run works from."""

    run_id: RunId
    environment: Slug
    source: Slug
    source_database: DatabaseGeneration
    candidate: Slug
    candidate_settings: DatabaseSettings
    snapshot: str
    preflight_only: bool
    grace_seconds: int
    job_timeout_seconds: int
    run_folder: str


def parse(model: type[Request], document: Any, example: str) -> Request:
    """Parse a request, listing every fault.

    Raises
    ------
    InvalidRequest
        The document is not a request.
    """
    request, faults = _parsed(model, document)
    if request is None:
        raise InvalidRequest.listing(faults, example)
    return request


def _parsed(model: type[Request], document: Any) -> tuple[Request | None, list[str]]:
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
    document: Any, *, run_id: str, environment: str, manifest: Manifest, generations: Generations, bucket: str
) -> Migration:
    """Complete a request to what the run will do.

    Raises
    ------
    InvalidRequest
        Anything is wrong with it; all faults in one message.
    """
    request, faults = _parsed(MigrationRequest, document)
    named = document if isinstance(document, dict) else {}
    if not re.fullmatch(RUN_ID_PATTERN, run_id):
        faults.append(
            "the name of the execution: at most 60 letters, digits, hyphens and underscores are allowed"
        )
    if isinstance(named.get("environment"), str) and named["environment"] != environment:
        faults.append(f"environment: this state machine belongs to {environment}")
    known = {*generations.database.all, *manifest.database.generations}
    if isinstance(named.get("candidate"), str) and named["candidate"] in known:
        faults.append(f"candidate: the generation {named['candidate']} exists")
    if manifest.database.active != generations.database.active:
        faults.append(
            f"environment: Terraform still has {manifest.database.active} as the active database, but "
            f"{generations.database.active} is wanted; start know-me-{environment}-provision first"
        )
    if request is None or faults:
        raise InvalidRequest.listing(faults, MIGRATE_EXAMPLE)
    source = generations.database.active
    inherited = generations.database.all[source]
    return Migration(
        run_id=run_id,
        environment=environment,
        source=source,
        source_database=manifest.database.generations[source],
        candidate=request.candidate or first_free_generation(known),
        candidate_settings=DatabaseSettings(
            engine_version=request.engine_version or inherited.engine_version,
            instance_class=request.instance_class or inherited.instance_class,
            allocated_storage=request.allocated_storage or inherited.allocated_storage,
        ),
        snapshot=snapshot_name(environment, run_id),
        preflight_only=request.preflight_only,
        grace_seconds=request.grace_seconds,
        job_timeout_seconds=request.job_timeout_seconds,
        run_folder=f"s3://{bucket}/runs/{run_id}",
    )
