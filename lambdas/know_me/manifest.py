"""The manifest: what exists in an environment, as Terraform publishes it (contracts, section 2)."""

import json
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from know_me.aws import read_parameter
from know_me.errors import ManifestMissing
from know_me.generations import STORES
from know_me.generations import Store as StoreName
from know_me.names import Slug, manifest_parameter
from know_me.wording import faults_of


class Part(BaseModel):
    """Base of the manifest's parts: unknown fields are a broken contract, not something to overlook."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cluster(Part):
    """The ECS cluster."""

    name: str
    arn: str


class Service(Part):
    """An ECS service that writes to the stores."""

    name: str
    cluster: str
    container: str
    task_definition_family: str


class ScalableTarget(Part):
    """A target of Application Auto Scaling that could start tasks again behind our back."""

    service_namespace: Literal["ecs"] = "ecs"
    resource_id: str
    scalable_dimension: str = "ecs:service:DesiredCount"


class Rule(Part):
    """An EventBridge rule that starts something that writes."""

    name: str
    event_bus_name: str = "default"


class Schedule(Part):
    """An EventBridge Scheduler schedule that starts something that writes."""

    name: str
    group_name: str = "default"


class Pipeline(Part):
    """A CodePipeline whose stages could deploy during a migration."""

    name: str
    stages: list[str]


class Deployment(Part):
    """A deployment group of CodeDeploy, which puts releases of a service in place."""

    application: str
    deployment_group: str


class DatabaseGeneration(Part):
    """One incarnation of the database: where it is and which secrets open it (by name).

    The application secret is the environment's; this generation is the version with the label.
    """

    generation: Slug
    instance_id: str
    endpoint: str
    port: int = Field(ge=1, le=65535)
    database_name: str
    engine_version: str
    allocated_storage: int = Field(gt=0, description="GiB")
    master_secret_arn: str
    application_secret_arn: str
    application_secret_label: str
    application_role: str
    subnet_ids: list[str]
    security_group_ids: list[str]


class MediaGeneration(Part):
    """One incarnation of the media bucket, and what hears of its changes."""

    generation: Slug
    bucket: str
    changes_rule: str
    changes_queue_url: str


class FileColumn(Part):
    """A database column with paths of uploads; `prefix` and path are an object's key."""

    table: str
    column: str
    prefix: str


Generation = TypeVar("Generation", DatabaseGeneration, MediaGeneration)


class Store(Part, Generic[Generation]):
    """A store: every generation, and which one the app uses."""

    active: Slug
    generations: dict[Slug, Generation]

    @model_validator(mode="after")
    def _active_exists(self) -> Self:
        if self.active not in self.generations:
            raise ValueError(f"the active generation {self.active} is not among the generations")
        return self


class MediaStore(Store[MediaGeneration]):
    """The media bucket, and who may write to a generation that is not active."""

    copy_role_arn: str
    migration_principals: list[str]
    file_columns: list[FileColumn]


class Builds(Part):
    """CodeBuild projects: that of the database jobs is inside the VPC."""

    database_jobs: str
    media_jobs: str


class Manifest(Part):
    """Everything that a runbook needs to know about an environment."""

    version: Literal[1]
    environment: Slug
    region: str
    account_id: str
    cluster: Cluster
    services: list[Service]
    scalable_targets: list[ScalableTarget]
    rules: list[Rule]
    schedules: list[Schedule]
    pipelines: list[Pipeline]
    deployments: list[Deployment] = []
    database: Store[DatabaseGeneration]
    media: MediaStore
    builds: Builds
    health_check_url: str
    web_url: str
    alarm_arns: list[str]
    topic_arns: list[str]

    @property
    def active_database(self) -> DatabaseGeneration:
        """The database that the app uses."""
        return self.database.generations[self.database.active]

    @property
    def active_bucket(self) -> MediaGeneration:
        """The media bucket that the app uses."""
        return self.media.generations[self.media.active]

    @property
    def api(self) -> Service:
        """The service whose image migrates the schema and runs the background jobs."""
        return self.services[0]


def read_published_generations(ssm: Any, environment: str) -> dict[StoreName, frozenset[str]] | None:
    """Return the generations that Terraform has published; None when there is no manifest yet.

    Nothing else of the manifest is looked at: one of an earlier version of the project tells them too.

    Raises
    ------
    ManifestMissing
        The parameter holds something else.
    """
    name = manifest_parameter(environment)
    value = read_parameter(ssm, name)
    if value is None:
        return None
    try:
        document = json.loads(value)
        return {store: frozenset(document[store]["generations"]) for store in STORES}
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestMissing(
            f"The manifest {name} does not say which generations there are.",
            "Put an earlier version of the parameter back (aws ssm get-parameter-history).",
        ) from error


def find_manifest(ssm: Any, environment: str) -> Manifest | None:
    """Read the manifest of an environment; None where Terraform has not published one yet.

    Raises
    ------
    ManifestMissing
        It is not what section 2 of the contracts says.
    """
    name = manifest_parameter(environment)
    value = read_parameter(ssm, name)
    if value is None:
        return None
    try:
        return Manifest.model_validate_json(value)
    except ValidationError as error:
        raise ManifestMissing(
            f"The manifest {name} cannot be read: {'; '.join(faults_of(error))}.", _remedy(environment)
        ) from error


def read_manifest(ssm: Any, environment: str) -> Manifest:
    """Read the manifest of an environment.

    Raises
    ------
    ManifestMissing
        There is none, or it is not what section 2 of the contracts says.
    """
    manifest = find_manifest(ssm, environment)
    if manifest is None:
        name = manifest_parameter(environment)
        raise ManifestMissing(
            f"The environment {environment} has no manifest ({name}).", _remedy(environment)
        )
    return manifest


def _remedy(environment: str) -> str:
    return f"Start know-me-{environment}-provision with {{}}: Terraform publishes the manifest."
